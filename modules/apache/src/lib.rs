//! mod_cutover: each request that Apache answers sees exactly one release.
//!
//! The promise: the release is chosen when the request has been read, by reading the link then, and everything that
//! the request touches comes from it: static files, `.htaccess`, rewrite conditions, CGI and PHP scripts, subrequests,
//! internal redirects, error pages. A flip counts for every request that is read after it.
//!
//! ```text
//! post_read_request   first of all: the pin, the document root, CUTOVER_RELEASE
//! translate_name      first of all: the document root again, for subrequests
//! map_to_storage      first of all: what Alias, ScriptAlias, VirtualDocumentRoot, UserDir, a rule or mod_proxy made of
//!                     the link's path; just before the core: the walk through <Directory> sections that name the link
//! end of the request  its pool is cleared, and with it goes the pin
//! ```
//!
//! - what was configured: [`directive`] (the words), [`settings`], [`detect`], [`site`] (what they come to)
//! - what a request does: [`hook`] (where Apache calls us), [`visit`] (its pins), [`kept`] (those of its
//!   connection), [`link`] (what is live)
//! - what Apache thinks of paths: [`place`], [`section`] (`<Directory>` sections that name the link), [`walk`] (with
//!   them, for a release), [`proxy`]
//! - the way in and out: [`bindings`], [`border`] (panics end here), [`log`]
//!
//! Nothing is keyed by what a client sends, and nothing is remembered but the release that was pinned last. Processes
//! share one thing ([`shared`]): what the link said when it was whole, for when it breaks.

#[allow(
    non_camel_case_types,
    missing_docs,
    dead_code,
    reason = "names as in Apache's headers; fields that only take up room"
)]
mod bindings;
mod border;
mod detect;
mod directive;
mod hook;
mod kept;
mod link;
mod log;
mod place;
mod proxy;
mod section;
mod settings;
mod shared;
mod site;
mod visit;
mod walk;

use bindings::{MODULE_MAGIC_COOKIE, MODULE_MAGIC_NUMBER_MAJOR, MODULE_MAGIC_NUMBER_MINOR, module};
use std::ptr;

/// What httpd looks for when it reads `LoadModule cutover_module …`.
///
/// Mutable for httpd, which numbers and links its modules here.
#[unsafe(no_mangle)]
pub static mut cutover_module: module = module {
    version: MODULE_MAGIC_NUMBER_MAJOR,
    minor_version: MODULE_MAGIC_NUMBER_MINOR,
    module_index: -1,
    name: c"mod_cutover.c".as_ptr(),
    dynamic_load_handle: ptr::null_mut(),
    next: ptr::null_mut(),
    magic: MODULE_MAGIC_COOKIE,
    rewrite_args: None,
    create_dir_config: None,
    merge_dir_config: None,
    create_server_config: Some(directive::create),
    merge_server_config: Some(directive::merge),
    cmds: directive::TABLE.0.as_ptr(),
    register_hooks: Some(hook::register),
    flags: 0,
};

/// The module, for the functions of httpd that ask whose configuration is meant.
fn this() -> *const module {
    &raw const cutover_module
}
