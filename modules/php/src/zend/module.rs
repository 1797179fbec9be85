//! Module: what PHP wants to know of an extension.

use std::ffi::{CStr, c_char, c_int, c_uchar, c_uint, c_ushort, c_void};
use std::ptr;

use super::{API, FunctionEntry, ZTS};

/// How PHP names the build that a module is for: `API20220829,NTS`.
const BUILD_ID: [u8; 16] = {
    let mut text = *b"API00000000,NTS\0";
    let (mut rest, mut at) = (API, 10);
    while at > 2 {
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        at -= 1;
    }
    text
};

/// The same with threads, where the name is a byte shorter.
const BUILD_ID_ZTS: [u8; 15] = {
    let mut text = *b"API00000000,TS\0";
    let mut at = 3;
    while at < 11 {
        text[at] = BUILD_ID[at];
        at += 1;
    }
    text
};

/// Called at the start and end of the module and of each request: its type and number.
pub type Hook = unsafe extern "C" fn(c_int, c_int) -> c_int;

/// `zend_module_entry`.
#[repr(C)]
pub struct Module {
    pub(super) size: c_ushort,
    pub(super) api: c_uint,
    pub(super) debug: c_uchar,
    pub(super) zts: c_uchar,
    pub(super) settings: *const c_void,
    pub(super) needs: *const c_void,
    pub(super) name: *const c_char,
    pub(super) functions: *const FunctionEntry,
    pub(super) startup: Option<Hook>,
    pub(super) shutdown: Option<Hook>,
    pub(super) request_startup: Option<Hook>,
    pub(super) request_shutdown: Option<Hook>,
    pub(super) info: Option<unsafe extern "C" fn(*mut Module)>,
    pub(super) version: *const c_char,
    pub(super) globals_size: usize,
    pub(super) globals: *mut c_void,
    pub(super) globals_ctor: *const c_void,
    pub(super) globals_dtor: *const c_void,
    pub(super) after_request: Option<unsafe extern "C" fn() -> c_int>,
    pub(super) started: c_int,
    pub(super) kind: c_uchar,
    pub(super) handle: *mut c_void,
    pub(super) number: c_int,
    pub(super) build_id: *const c_char,
}

/// What a module consists of.
pub struct Parts {
    /// Its name.
    pub name: &'static CStr,
    /// Its version.
    pub version: &'static CStr,
    /// Its functions, and an end.
    pub functions: &'static [FunctionEntry],
    /// When it is loaded.
    pub startup: Hook,
    /// When it is let go.
    pub shutdown: Hook,
    /// When a request begins.
    pub request_startup: Hook,
    /// For phpinfo().
    pub info: unsafe extern "C" fn(*mut Module),
    /// When all of a request is over, whatever ran at its end too.
    pub after_request: unsafe extern "C" fn() -> c_int,
}

impl Module {
    /// A module for the PHP that this is built for.
    pub const fn new(parts: Parts) -> Module {
        let build_id: &[u8] = if ZTS { &BUILD_ID_ZTS } else { &BUILD_ID };
        Module {
            size: size_of::<Module>() as c_ushort,
            api: API,
            debug: 0,
            zts: ZTS as c_uchar,
            settings: ptr::null(),
            needs: ptr::null(),
            name: parts.name.as_ptr(),
            functions: parts.functions.as_ptr(),
            startup: Some(parts.startup),
            shutdown: Some(parts.shutdown),
            request_startup: Some(parts.request_startup),
            request_shutdown: None,
            info: Some(parts.info),
            version: parts.version.as_ptr(),
            globals_size: 0,
            globals: ptr::null_mut(),
            globals_ctor: ptr::null(),
            globals_dtor: ptr::null(),
            after_request: Some(parts.after_request),
            started: 0,
            kind: 0,
            handle: ptr::null_mut(),
            number: 0,
            build_id: build_id.as_ptr().cast(),
        }
    }
}
