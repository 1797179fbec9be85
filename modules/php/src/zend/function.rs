//! Functions: what PHP wants to know of a function for scripts.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use super::{API, Call, Zval};

/// `zif_handler`.
pub type Function = unsafe extern "C" fn(*mut Call, *mut Zval);

/// `zend_function_entry`.
#[repr(C)]
pub struct FunctionEntry {
    pub(super) name: *const c_char,
    pub(super) handler: Option<Function>,
    pub(super) arguments: *const Argument,
    pub(super) count: u32,
    pub(super) flags: u32,
    pub(super) since_8_4: [*const c_void; SINCE_8_4],
}

/// Since 8.4: `frameless_function_infos`, `doc_comment`.
pub(super) const SINCE_8_4: usize = if API >= 20240924 { 2 } else { 0 };

// SAFETY: the pointers are to constants, and PHP only reads.
unsafe impl Sync for FunctionEntry {}

impl FunctionEntry {
    /// A function; the first of `arguments` is what it returns.
    pub const fn new(
        name: &'static CStr,
        handler: Function,
        arguments: &'static [Argument],
    ) -> FunctionEntry {
        let since_8_4 = [ptr::null(); SINCE_8_4];
        let count = arguments.len() as u32 - 1;
        let (name, arguments) = (name.as_ptr(), arguments.as_ptr());
        FunctionEntry { name, handler: Some(handler), arguments, count, flags: 0, since_8_4 }
    }

    /// What ends a list of functions.
    pub const fn end() -> FunctionEntry {
        let since_8_4 = [ptr::null(); SINCE_8_4];
        FunctionEntry {
            name: ptr::null(),
            handler: None,
            arguments: ptr::null(),
            count: 0,
            flags: 0,
            since_8_4,
        }
    }
}

/// `zend_internal_arg_info`.
#[repr(C)]
pub struct Argument {
    /// Of the first, which is what is returned: the number of arguments that are required.
    pub(super) name: *const c_char,
    pub(super) class: *const c_void,
    pub(super) mask: u32,
    pub(super) default: *const c_char,
}

// SAFETY: as for functions.
unsafe impl Sync for Argument {}

/// `MAY_BE_STRING`.
pub const STRING: u32 = 1 << 6;
/// `MAY_BE_STRING | MAY_BE_NULL`.
pub const STRING_OR_NULL: u32 = STRING | 1 << 1;
/// `MAY_BE_VOID`.
pub const VOID: u32 = 1 << 14;

impl Argument {
    /// What a function returns, and how many arguments it requires.
    pub const fn returns(mask: u32, required: usize) -> Argument {
        Argument { name: ptr::without_provenance(required), class: ptr::null(), mask, default: ptr::null() }
    }

    /// An argument.
    pub const fn named(name: &'static CStr, mask: u32) -> Argument {
        Argument { name: name.as_ptr(), class: ptr::null(), mask, default: ptr::null() }
    }
}
