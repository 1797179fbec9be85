//! Section: `<Directory>` sections that name the link, made to hold for the release that it leads to.
//!
//! httpd compares sections with the path of the file, which is the release's once a request is pinned, so
//! `<Directory /srv/shop/current/private>` would match nothing any more: its `Require` would guard nothing. Whoever
//! writes it means whatever release is live. So once per release such sections are read again from httpd's own tree of
//! the configuration, by httpd itself, under the release's path: every module makes its part of them as it would have
//! at the start (mod_rewrite, for one, keeps the path to strip it from what rules see). They go into a copy of the
//! server's list of sections, and the walk through the directories of a pinned file uses that copy. Order, merging,
//! `AllowOverride` and `.htaccess` files stay httpd's business.

use crate::bindings::{
    ACCESS_CONF, APR_FILEPATH_TRUENAME, APR_FNM_PATHNAME, OPT_ALL, OPT_MULTI, OPT_SYM_OWNER, OR_ALL,
    RSRC_CONF, ap_conftree, ap_core_reorder_directories, ap_create_per_dir_config, ap_directive_t,
    ap_directory_walk, ap_get_module_config, ap_getword_conf, ap_set_module_config, ap_top_module,
    ap_walk_config, apr_filepath_merge, apr_fnmatch, apr_pcalloc, apr_pool_create_ex, apr_pool_destroy,
    apr_pool_t, apr_pstrmemdup, cmd_parms, core_module, core_server_config, request_rec, server_rec,
};
use std::ffi::{CStr, CString, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

/// A section as it stands in the configuration.
#[derive(Clone)]
pub struct Section {
    /// Its path or pattern, with a slash at its end.
    path: CString,
    /// Its place in httpd's tree of the configuration, which lives as long as the configuration.
    node: *const ap_directive_t,
}

/// What of the configuration concerns `<Directory>` in one server.
#[derive(Default)]
pub struct Sections {
    /// Plain paths and patterns: the main server's, then the virtual host's, each in its order.
    pub plain: Vec<Section>,
    /// Regular expressions, which are matched against the release's path.
    pub expressions: Vec<String>,
}

/// A server's list of sections for one release, and the memory they live in.
pub struct Walk {
    pool: *mut apr_pool_t,
    /// A copy of the server with its own list; null: nothing in the list names the link.
    server: *mut server_rec,
    /// What httpd said of a directive that it took when it started.
    refused: Option<String>,
}

// SAFETY: written by the one thread that makes it, read by all; the pool is destroyed by the last who drops it.
unsafe impl Send for Walk {}
// SAFETY: as above.
unsafe impl Sync for Walk {}

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

    fn depth(&self) -> usize {
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

impl Walk {
    /// A list of sections for a release at `root`: the server's own, and behind those of the same depth the ones that
    /// name `link`.
    pub fn new(server: *mut server_rec, sections: &[Section], link: &Path, root: &Path) -> Walk {
        let mut moved: Vec<(&Section, CString)> =
            sections.iter().filter_map(|section| Some((section, section.moved(link, root)?))).collect();
        // Those above the link come to stand at the release, before those that name it.
        moved.sort_by_key(|(section, _)| section.depth());
        let mut walk = Walk { pool: ptr::null_mut(), server: ptr::null_mut(), refused: None };
        if moved.is_empty() {
            return walk;
        }
        // SAFETY: a pool of its own, for this thread alone until the walk is given out; `server` is one of httpd's.
        unsafe {
            apr_pool_create_ex(&mut walk.pool, ptr::null_mut(), ptr::null(), ptr::null_mut());
            walk.server = copy(server, walk.pool);
            for (section, path) in moved {
                if let Err(why) = read(section, &path, walk.server, walk.pool) {
                    walk.refused = Some(format!("<Directory {}>: {why}", path.to_string_lossy()));
                    return walk;
                }
            }
            ap_core_reorder_directories(walk.pool, walk.server);
        }
        walk
    }

    /// Whether the walk through directories has to be this one: there are sections that name the link.
    pub fn is_own(&self) -> bool {
        !self.server.is_null()
    }

    /// Walks through the directories of the request's file. An error is what httpd said of a section.
    ///
    /// # Safety
    /// `r` is a request of the server that this walk is for.
    pub unsafe fn go(&self, r: *mut request_rec) -> Result<c_int, &str> {
        if let Some(why) = &self.refused {
            return Err(why);
        }
        // SAFETY: the request is in the hands of this thread, and has its own server again before anybody else looks.
        unsafe {
            let server = (*r).server;
            (*r).server = self.server;
            let status = ap_directory_walk(r);
            (*r).server = server;
            Ok(status)
        }
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        if !self.pool.is_null() {
            // SAFETY: made in `new`, and used by nobody any more: every request that used it held this.
            unsafe { apr_pool_destroy(self.pool) };
        }
    }
}

/// How much room is left behind a copied server, for fields that a later 2.4 may have: they read as unset.
const ROOM: usize = 512;

/// A copy of the server, with a list of sections of its own.
///
/// # Safety
/// `server` is one of httpd's; the copy lives as long as the pool.
unsafe fn copy(server: *mut server_rec, pool: *mut apr_pool_t) -> *mut server_rec {
    // SAFETY: the copy is big enough; the vector of configurations is of the size that httpd gives all of them; the
    // core merges its configuration with itself, which makes one of its true size, with the list of sections twice.
    unsafe {
        let copy = apr_pcalloc(pool, size_of::<server_rec>() + ROOM).cast::<server_rec>();
        ptr::copy_nonoverlapping(server, copy, 1);
        let vector = ap_create_per_dir_config(pool);
        let mut module = ap_top_module;
        while !module.is_null() {
            let config = ap_get_module_config((*server).module_config, module);
            ap_set_module_config(vector, module, config);
            module = (*module).next;
        }
        let core = &raw const core_module;
        let config = ap_get_module_config((*server).module_config, core);
        if let Some(merge) = (*core).merge_server_config {
            let merged = merge(pool, config, config).cast::<core_server_config>();
            (*(*merged).sec_dir).nelts = (*(*config.cast::<core_server_config>()).sec_dir).nelts;
            ap_set_module_config(vector, core, merged.cast());
        }
        (*copy).module_config = vector;
        copy
    }
}

/// Has httpd read a section once more, under another path, into the list of a server.
///
/// # Safety
/// `server` is a copy made by [`copy`] from the server whose section it is, in this pool.
unsafe fn read(
    section: &Section,
    path: &CStr,
    server: *mut server_rec,
    pool: *mut apr_pool_t,
) -> Result<(), String> {
    let mut quoted = vec![b'"'];
    for byte in path.to_bytes() {
        if matches!(byte, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted.extend_from_slice(b"\">");
    // SAFETY: the node is like the one in httpd's tree, with other arguments; the parameters are those with which httpd
    // reads the top of its configuration; all of it lives as long as the pool.
    unsafe {
        let node = apr_pcalloc(pool, size_of::<ap_directive_t>()).cast::<ap_directive_t>();
        ptr::copy_nonoverlapping(section.node, node, 1);
        (*node).next = ptr::null_mut();
        (*node).args = apr_pstrmemdup(pool, quoted.as_ptr().cast(), quoted.len());
        // By two different pools the core tells its own configuration from a .htaccess file.
        let mut temporary = ptr::null_mut();
        apr_pool_create_ex(&mut temporary, pool, ptr::null(), ptr::null_mut());
        let mut parms = cmd_parms {
            info: ptr::null_mut(),
            override_: RSRC_CONF | ACCESS_CONF | OR_ALL,
            override_opts: OPT_ALL | OPT_SYM_OWNER | OPT_MULTI,
            override_list: ptr::null_mut(),
            limited: -1,
            limited_xmethods: ptr::null_mut(),
            xlimited: ptr::null_mut(),
            config_file: ptr::null_mut(),
            directive: ptr::null_mut(),
            pool,
            temp_pool: temporary,
            server,
            path: ptr::null_mut(),
            cmd: ptr::null(),
            context: ptr::null_mut(),
            err_directive: ptr::null(),
        };
        let said = ap_walk_config(node, &mut parms, ap_create_per_dir_config(pool));
        let said =
            if said.is_null() { Ok(()) } else { Err(CStr::from_ptr(said).to_string_lossy().into_owned()) };
        apr_pool_destroy(temporary);
        said
    }
}
