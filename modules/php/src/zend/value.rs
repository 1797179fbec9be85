//! Values: PHP's strings and values, and the call of a function.

use std::ffi::c_void;

/// `zend_string`, which only PHP looks into.
#[repr(C)]
pub struct ZendString(c_void);

/// `zval`: a value of PHP.
#[repr(C)]
pub struct Zval {
    pub(super) value: *mut c_void,
    pub(super) type_info: u32,
    /// What belongs to where the value stands; of a call's `This`, the number of its arguments.
    pub(super) extra: u32,
}

/// `IS_STRING_EX`: a string that is counted.
pub(super) const STRING_TYPE: u32 = 6 | 1 << 8;
/// `IS_NULL`.
pub(super) const NULL_TYPE: u32 = 1;

impl Zval {
    /// A string that this value owns: `IS_STRING_EX`.
    ///
    /// # Safety
    /// The string is one of PHP's, with a reference of its own.
    pub unsafe fn set_string(&mut self, string: *mut ZendString) {
        self.value = string.cast();
        self.type_info = STRING_TYPE;
    }

    /// `IS_NULL`.
    pub fn set_null(&mut self) {
        self.type_info = NULL_TYPE;
    }
}

/// `zend_execute_data`, as far as the number of arguments.
#[repr(C)]
pub struct Call {
    pub(super) opline: *const c_void,
    pub(super) call: *mut c_void,
    pub(super) return_value: *mut Zval,
    pub(super) func: *mut c_void,
    pub(super) this: Zval,
}

impl Call {
    /// How many arguments were passed.
    pub fn arguments(&self) -> u32 {
        self.this.extra
    }
}
