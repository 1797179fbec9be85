//! Bindings: what mod_cutover uses of Apache 2.4 and APR, by hand, trimmed to it.
//!
//! A test compiles a small C program against apache2-dev and compares each offset, size and constant with what stands
//! here (tests/it/layout.rs). The layouts hold for all of 2.4: its module magic number stays 20120211, fields are
//! only ever added at the end, and httpd refuses a module with another number.

use std::ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void};

/// `include/ap_mmn.h`: what httpd compares when it loads a module.
pub const MODULE_MAGIC_NUMBER_MAJOR: c_int = 20120211;
/// That of the headers these bindings were compared with (2.4.71); httpd does not look at it.
pub const MODULE_MAGIC_NUMBER_MINOR: c_int = 142;
/// "AP24".
pub const MODULE_MAGIC_COOKIE: c_ulong = 0x4150_3234;

pub const OK: c_int = 0;
pub const DECLINED: c_int = -1;
pub const HTTP_INTERNAL_SERVER_ERROR: c_int = 500;
pub const HTTP_SERVICE_UNAVAILABLE: c_int = 503;

pub const APR_HOOK_REALLY_FIRST: c_int = -10;
pub const APR_HOOK_MIDDLE: c_int = 10;
pub const APR_HOOK_REALLY_LAST: c_int = 30;

/// `apr_filetype_e`: not looked at yet.
pub const APR_NOFILE: c_int = 0;
/// `apr_fnmatch.h`: `*` and `?` do not match a slash.
pub const APR_FNM_PATHNAME: c_int = 2;

pub const APLOG_ERR: c_int = 3;
pub const APLOG_WARNING: c_int = 4;
pub const APLOG_NOTICE: c_int = 5;
pub const APLOG_INFO: c_int = 6;

pub const OR_ALL: c_int = 31;
pub const ACCESS_CONF: c_int = 64;
pub const RSRC_CONF: c_int = 128;
pub const OPT_ALL: c_int = 47;
pub const OPT_SYM_OWNER: c_int = 64;
pub const OPT_MULTI: c_int = 128;

pub const TAKE1: c_uint = 1;
pub const ITERATE: c_uint = 3;

/// What is only ever pointed to.
macro_rules! opaque {
    ($($name:ident),*) => { $(#[repr(C)] pub struct $name { _private: [u8; 0] })* };
}
opaque!(apr_pool_t, apr_table_t, ap_conf_vector_t, process_rec);

#[repr(C)]
pub struct apr_array_header_t {
    pub pool: *mut apr_pool_t,
    pub elt_size: c_int,
    pub nelts: c_int,
    pub nalloc: c_int,
    pub elts: *mut c_char,
}

/// `include/httpd.h`, as far as what modules keep with a connection.
#[repr(C)]
pub struct conn_rec {
    pub pool: *mut apr_pool_t,
    _addresses: [u64; 9],
    _id: c_long,
    pub conn_config: *mut ap_conf_vector_t,
}

/// `include/httpd.h`, as far as the file's type; what is not used has no name.
#[repr(C)]
pub struct request_rec {
    pub pool: *mut apr_pool_t,
    pub connection: *mut conn_rec,
    pub server: *mut server_rec,
    pub next: *mut request_rec,
    pub prev: *mut request_rec,
    pub main: *mut request_rec,
    _request: [u64; 25],
    pub err_headers_out: *mut apr_table_t,
    pub subprocess_env: *mut apr_table_t,
    _content: [u64; 8],
    pub unparsed_uri: *mut c_char,
    pub uri: *mut c_char,
    pub filename: *mut c_char,
    pub canonical_filename: *mut c_char,
    pub path_info: *mut c_char,
    _args: [u64; 2],
    pub per_dir_config: *mut ap_conf_vector_t,
    pub request_config: *mut ap_conf_vector_t,
    _filters: [u64; 9],
    _parsed_uri: [u64; 11],
    _finfo: [u64; 2],
    pub finfo_filetype: c_int,
}

/// `include/httpd.h`, whole: it is copied for the walk through directory sections.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct server_rec {
    pub process: *mut process_rec,
    pub next: *mut server_rec,
    _log: [u64; 4],
    pub module_config: *mut ap_conf_vector_t,
    pub lookup_defaults: *mut ap_conf_vector_t,
    pub defn_name: *const c_char,
    pub defn_line_number: c_uint,
    pub is_virtual: c_char,
    _port: u16,
    _server_scheme: *const c_char,
    pub server_admin: *mut c_char,
    pub server_hostname: *mut c_char,
    _transaction: [u64; 11],
}

/// `include/http_core.h`, its beginning.
#[repr(C)]
pub struct core_server_config {
    pub gprof_dir: *mut c_char,
    pub ap_document_root: *const c_char,
    pub access_name: *mut c_char,
    pub sec_dir: *mut apr_array_header_t,
}

#[repr(C)]
pub struct module {
    pub version: c_int,
    pub minor_version: c_int,
    pub module_index: c_int,
    pub name: *const c_char,
    pub dynamic_load_handle: *mut c_void,
    pub next: *mut module,
    pub magic: c_ulong,
    pub rewrite_args: Option<unsafe extern "C" fn(*mut process_rec)>,
    pub create_dir_config: Option<unsafe extern "C" fn(*mut apr_pool_t, *mut c_char) -> *mut c_void>,
    pub merge_dir_config:
        Option<unsafe extern "C" fn(*mut apr_pool_t, *mut c_void, *mut c_void) -> *mut c_void>,
    pub create_server_config: Option<unsafe extern "C" fn(*mut apr_pool_t, *mut server_rec) -> *mut c_void>,
    pub merge_server_config:
        Option<unsafe extern "C" fn(*mut apr_pool_t, *mut c_void, *mut c_void) -> *mut c_void>,
    pub cmds: *const command_rec,
    pub register_hooks: Option<unsafe extern "C" fn(*mut apr_pool_t)>,
    pub flags: c_int,
}

/// A function that takes one argument of a directive: what TAKE1 and ITERATE ask for.
pub type take1_fn = unsafe extern "C" fn(*mut cmd_parms, *mut c_void, *const c_char) -> *const c_char;

#[repr(C)]
pub struct command_rec {
    pub name: *const c_char,
    pub func: Option<take1_fn>,
    pub cmd_data: *mut c_void,
    pub req_override: c_int,
    pub args_how: c_uint,
    pub errmsg: *const c_char,
}

#[repr(C)]
pub struct cmd_parms {
    pub info: *mut c_void,
    pub override_: c_int,
    pub override_opts: c_int,
    pub override_list: *mut apr_table_t,
    pub limited: i64,
    pub limited_xmethods: *mut apr_array_header_t,
    pub xlimited: *mut c_void,
    pub config_file: *mut c_void,
    pub directive: *mut ap_directive_t,
    pub pool: *mut apr_pool_t,
    pub temp_pool: *mut apr_pool_t,
    pub server: *mut server_rec,
    pub path: *mut c_char,
    pub cmd: *const command_rec,
    pub context: *mut ap_conf_vector_t,
    pub err_directive: *const ap_directive_t,
}

#[repr(C)]
pub struct ap_directive_t {
    pub directive: *const c_char,
    pub args: *const c_char,
    pub next: *mut ap_directive_t,
    pub first_child: *mut ap_directive_t,
    pub parent: *mut ap_directive_t,
    pub data: *mut c_void,
    pub filename: *const c_char,
    pub line_num: c_int,
    pub last: *mut ap_directive_t,
}

/// A hook that runs for a request.
pub type request_hook = unsafe extern "C" fn(*mut request_rec) -> c_int;
/// A hook that runs while the configuration is read.
pub type config_hook = unsafe extern "C" fn(*mut apr_pool_t, *mut apr_pool_t, *mut apr_pool_t) -> c_int;
/// A hook that runs when the configuration was read.
pub type post_config_hook =
    unsafe extern "C" fn(*mut apr_pool_t, *mut apr_pool_t, *mut apr_pool_t, *mut server_rec) -> c_int;
/// A hook that runs in each child when it starts.
pub type child_hook = unsafe extern "C" fn(*mut apr_pool_t, *mut server_rec);
/// Other modules' names, ended by null.
pub type names = *const *const c_char;
/// `mod_log_config.h`: what answers a log format item.
pub type log_item = unsafe extern "C" fn(*mut request_rec, *mut c_char) -> *const c_char;
/// `mod_log_config.h`: the optional function that registers one.
pub type register_log_item = unsafe extern "C" fn(*mut apr_pool_t, *mut c_char, log_item, c_int);
/// What puts an entry into a table.
pub type table_put = unsafe extern "C" fn(*mut apr_table_t, *const c_char, *const c_char);
/// What runs when a pool is cleared.
pub type cleanup = unsafe extern "C" fn(*mut c_void) -> c_int;

unsafe extern "C" {
    pub static mut ap_conftree: *mut ap_directive_t;
    pub static mut ap_top_module: *mut module;
    pub static mut core_module: module;

    pub fn ap_hook_pre_config(hook: config_hook, before: names, after: names, order: c_int);
    pub fn ap_hook_post_config(hook: post_config_hook, before: names, after: names, order: c_int);
    pub fn ap_hook_child_init(hook: child_hook, before: names, after: names, order: c_int);
    pub fn ap_hook_post_read_request(hook: request_hook, before: names, after: names, order: c_int);
    pub fn ap_hook_translate_name(hook: request_hook, before: names, after: names, order: c_int);
    pub fn ap_hook_map_to_storage(hook: request_hook, before: names, after: names, order: c_int);

    pub fn ap_get_module_config(vector: *const ap_conf_vector_t, module: *const module) -> *mut c_void;
    pub fn ap_set_module_config(vector: *mut ap_conf_vector_t, module: *const module, config: *mut c_void);
    pub fn ap_create_per_dir_config(pool: *mut apr_pool_t) -> *mut ap_conf_vector_t;
    pub fn ap_walk_config(
        tree: *mut ap_directive_t,
        parms: *mut cmd_parms,
        vector: *mut ap_conf_vector_t,
    ) -> *const c_char;
    pub fn ap_core_reorder_directories(pool: *mut apr_pool_t, server: *mut server_rec);
    pub fn ap_getword_conf(pool: *mut apr_pool_t, line: *mut *const c_char) -> *mut c_char;
    pub fn ap_directory_walk(r: *mut request_rec) -> c_int;
    pub fn ap_file_walk(r: *mut request_rec) -> c_int;

    pub fn ap_document_root(r: *mut request_rec) -> *const c_char;
    pub fn ap_set_document_root(r: *mut request_rec, root: *const c_char);
    pub fn ap_context_document_root(r: *mut request_rec) -> *const c_char;
    pub fn ap_set_context_info(r: *mut request_rec, prefix: *const c_char, root: *const c_char);

    pub fn ap_log_error_(
        file: *const c_char,
        line: c_int,
        module_index: c_int,
        level: c_int,
        status: c_int,
        server: *const server_rec,
        format: *const c_char,
        ...
    );

    pub fn apr_palloc(pool: *mut apr_pool_t, size: usize) -> *mut c_void;
    pub fn apr_pcalloc(pool: *mut apr_pool_t, size: usize) -> *mut c_void;
    pub fn apr_pstrmemdup(pool: *mut apr_pool_t, bytes: *const c_char, length: usize) -> *mut c_char;
    pub fn apr_pool_create_ex(
        new: *mut *mut apr_pool_t,
        parent: *mut apr_pool_t,
        abort: *const c_void,
        allocator: *mut c_void,
    ) -> c_int;
    pub fn apr_pool_destroy(pool: *mut apr_pool_t);
    pub fn apr_pool_cleanup_register(
        pool: *mut apr_pool_t,
        data: *const c_void,
        plain: cleanup,
        child: cleanup,
    );
    pub fn apr_pool_cleanup_null(data: *mut c_void) -> c_int;
    pub fn apr_table_addn(table: *mut apr_table_t, key: *const c_char, value: *const c_char);
    pub fn apr_table_setn(table: *mut apr_table_t, key: *const c_char, value: *const c_char);
    pub fn apr_fnmatch(pattern: *const c_char, text: *const c_char, flags: c_int) -> c_int;
    pub fn apr_dynamic_fn_retrieve(name: *const c_char) -> Option<unsafe extern "C" fn()>;
    pub fn apr_filepath_merge(
        new: *mut *mut c_char,
        root: *const c_char,
        added: *const c_char,
        flags: i32,
        pool: *mut apr_pool_t,
    ) -> c_int;
}

/// `apr_file_info.h`: `..` and doubled slashes are taken out.
pub const APR_FILEPATH_TRUENAME: i32 = 0x20;
/// A status, as wide as APR's.
pub type apr_status_t = c_int;
const _: () = assert!(size_of::<c_long>() == 8, "layouts are those of 64-bit machines");
