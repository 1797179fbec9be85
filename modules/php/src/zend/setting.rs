//! Settings: what PHP wants to know of a setting for php.ini.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use super::{INI_SYSTEM, ZendString};

/// `ZEND_INI_MH`: told of each change of a setting.
pub type OnModify =
    unsafe extern "C" fn(*mut c_void, *mut ZendString, *mut c_void, *mut c_void, *mut c_void, c_int) -> c_int;

/// `zend_ini_entry_def`.
#[repr(C)]
pub struct Setting {
    pub(super) name: *const c_char,
    pub(super) on_modify: Option<OnModify>,
    pub(super) arguments: [*mut c_void; 3],
    pub(super) value: *const c_char,
    pub(super) displayer: *const c_void,
    pub(super) value_len: u32,
    pub(super) name_len: u16,
    pub(super) modifiable: u8,
}

// SAFETY: as for functions.
unsafe impl Sync for Setting {}

impl Setting {
    /// A setting that only the administrator can set.
    pub const fn new(name: &'static CStr, value: &'static CStr, on_modify: OnModify) -> Setting {
        Setting {
            name: name.as_ptr(),
            on_modify: Some(on_modify),
            arguments: [ptr::null_mut(); 3],
            value: value.as_ptr(),
            displayer: ptr::null(),
            value_len: value.count_bytes() as u32,
            name_len: name.count_bytes() as u16,
            modifiable: INI_SYSTEM,
        }
    }

    /// What ends a list of settings.
    pub const fn end() -> Setting {
        Setting {
            name: ptr::null(),
            on_modify: None,
            arguments: [ptr::null_mut(); 3],
            value: ptr::null(),
            displayer: ptr::null(),
            value_len: 0,
            name_len: 0,
            modifiable: 0,
        }
    }
}
