//! Walk: the walk through `<Directory>` sections for a release.
//!
//! Once per release the sections that name the link are read again from httpd's own tree of the configuration, by httpd
//! itself, under the release's path: every module makes its part of them as it would have at the start (mod_rewrite,
//! for one, keeps the path to strip it from what rules see). They go into a copy of the server's list of sections, and
//! the walk through the directories of a pinned file uses that copy. Order, merging, `AllowOverride` and `.htaccess`
//! files stay httpd's business.

use crate::bindings::{
    ACCESS_CONF, OPT_ALL, OPT_MULTI, OPT_SYM_OWNER, OR_ALL, RSRC_CONF, ap_core_reorder_directories,
    ap_create_per_dir_config, ap_directive_t, ap_directory_walk, ap_get_module_config, ap_set_module_config,
    ap_top_module, ap_walk_config, apr_pcalloc, apr_pool_create_ex, apr_pool_destroy, apr_pool_t,
    apr_pstrmemdup, cmd_parms, core_module, core_server_config, request_rec, server_rec,
};
use crate::section::Section;
use std::ffi::{CStr, CString, c_int};
use std::path::Path;
use std::ptr;

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
