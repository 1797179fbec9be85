//! Section: `<Directory>` sections that name the link, found in the configuration, and where they have to stand for the
//! release that the link leads to.
//!
//! httpd compares sections with the path of the file, which is the release's once a request is pinned, so
//! `<Directory /srv/shop/current/private>` would match nothing any more: its `Require` would guard nothing. Whoever
//! writes it means whatever release is live.

use crate::bindings::{
    APR_FILEPATH_TRUENAME, APR_FNM_PATHNAME, ap_conftree, ap_directive_t, ap_getword_conf,
    apr_filepath_merge, apr_fnmatch, apr_pool_t, apr_pstrmemdup, server_rec,
};
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

/// A section as it stands in the configuration.
#[derive(Clone)]
pub struct Section {
    /// Its path or pattern, with a slash at its end.
    path: CString,
    /// Its place in httpd's tree of the configuration, which lives as long as the configuration.
    pub node: *const ap_directive_t,
}

/// What of the configuration concerns `<Directory>` in one server.
#[derive(Default)]
pub struct Sections {
    /// Plain paths and patterns: the main server's, then the virtual host's, each in its order.
    pub plain: Vec<Section>,
    /// Regular expressions, which are matched against the release's path.
    pub expressions: Vec<String>,
}

impl Sections {
    /// Finds the sections that count in `server`, in the tree of the configuration that was just read.
    pub fn find(server: *const server_rec, pool: *mut apr_pool_t) -> Sections {
        let mut found = Sections::default();
        // SAFETY: called after the configuration was read: the tree stands, and so does the server.
        unsafe {
            collect(ap_conftree, None, pool, &mut found);
            if (*server).is_virtual != 0 {
                collect(ap_conftree, Some(server), pool, &mut found);
            }
        }
        found
    }
}

/// Collects the sections of the main server, or those of one virtual host.
///
/// # Safety
/// `node` is null or a node of httpd's tree, `host` a server of that configuration.
unsafe fn collect(
    mut node: *const ap_directive_t,
    host: Option<*const server_rec>,
    pool: *mut apr_pool_t,
    found: &mut Sections,
) {
    // SAFETY: the tree is httpd's; its strings end with a zero, and nobody changes it any more.
    unsafe {
        while let Some(here) = node.as_ref() {
            node = here.next;
            let name = CStr::from_ptr(here.directive).to_bytes();
            let is = |section: &str| name.eq_ignore_ascii_case(section.as_bytes());
            if is("<VirtualHost") {
                if let Some(server) = host
                    && ptr::eq((*server).defn_name, here.filename)
                    && i64::from((*server).defn_line_number) == i64::from(here.line_num)
                {
                    collect(here.first_child, None, pool, found);
                }
            } else if is("<Directory") || is("<DirectoryMatch") {
                if host.is_none() {
                    note(here, is("<DirectoryMatch"), pool, found);
                }
            } else if !is("<Location") && !is("<LocationMatch") && !is("<Files") && !is("<Proxy") {
                // What <IfModule> and its like contain, where httpd leaves them in the tree.
                collect(here.first_child, host, pool, found);
            }
        }
    }
}

/// Notes one section, by the path that httpd makes of its argument.
///
/// # Safety
/// `node` is a `<Directory>` of httpd's tree.
unsafe fn note(node: &ap_directive_t, mut expression: bool, pool: *mut apr_pool_t, found: &mut Sections) {
    // SAFETY: the functions take strings that end with a zero, and give such from the pool.
    unsafe {
        let whole = CStr::from_ptr(node.args).to_bytes();
        let Some(end) = whole.iter().rposition(|byte| *byte == b'>') else { return };
        let mut rest: *const _ = apr_pstrmemdup(pool, whole.as_ptr().cast(), end);
        let mut word = CStr::from_ptr(ap_getword_conf(pool, &mut rest));
        if word.to_bytes() == b"~" {
            expression = true;
            word = CStr::from_ptr(ap_getword_conf(pool, &mut rest));
        }
        if expression {
            found.expressions.push(word.to_string_lossy().into_owned());
            return;
        }
        if word.to_bytes() == b"/" {
            return;
        }
        let mut plain = ptr::null_mut();
        // Its status is of no interest: httpd has taken the path, and only asks the same.
        apr_filepath_merge(&mut plain, ptr::null(), word.as_ptr(), APR_FILEPATH_TRUENAME, pool);
        if plain.is_null() {
            return;
        }
        let mut path = CStr::from_ptr(plain).to_bytes().to_vec();
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        if let Ok(path) = CString::new(path) {
            found.plain.push(Section { path, node });
        }
    }
}

impl Section {
    /// Where the section has to stand for a release at `root`, if the path of `link` matches it: the same below the
    /// release as it was below the link. A section above the link holds by itself, unless the release stands elsewhere.
    pub fn moved(&self, link: &Path, root: &Path) -> Option<CString> {
        let path = self.path.to_bytes();
        let (link, root) = (link.as_os_str().as_bytes(), root.as_os_str().as_bytes());
        let parts = |path: &[u8]| path.iter().filter(|byte| **byte == b'/').count();
        // `/srv/shop/current/` has as many slashes as parts, `/srv/shop/current` too.
        let (of_section, of_link) = (parts(path) - 1, parts(link));
        let mut moved = root.to_vec();
        if of_section >= of_link {
            let (own, rest) = path.split_at(nth_slash(path, of_link)?);
            if !matches(own, link) {
                return None;
            }
            moved.extend_from_slice(rest);
        } else {
            let own = &path[..path.len() - 1];
            let above = |path: &[u8]| nth_slash(path, of_section).map(|end| matches(own, &path[..end]));
            if above(link) != Some(true) || above(root) == Some(true) {
                return None;
            }
            moved.push(b'/');
        }
        CString::new(moved).ok()
    }

    /// How deep it stands, counted as httpd does.
    pub fn depth(&self) -> usize {
        self.path.to_bytes().iter().filter(|byte| **byte == b'/').count()
    }
}

/// Where the slash behind the n-th part is.
fn nth_slash(path: &[u8], parts: usize) -> Option<usize> {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).nth(parts)
}

/// Whether a path or pattern is that of this path, as httpd matches them.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (Ok(pattern), Ok(path)) = (CString::new(pattern), CString::new(path)) else { return false };
    // SAFETY: both end with a zero.
    unsafe { apr_fnmatch(pattern.as_ptr(), path.as_ptr(), APR_FNM_PATHNAME) == 0 }
}
