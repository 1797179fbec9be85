//! Zend: the few symbols and structures of PHP that are used, as PHP 8.1 to 8.5 have them.
//!
//! Written by hand, so that one machine builds for every PHP without its headers: what differs between them is two
//! numbers, [`API`] and [`ZTS`], and the two fields that 8.4 put behind a function's entry. `tests/it/layout.rs`
//! compares all of it with the installed headers.

// By their paths: tests/it takes this file in too, from elsewhere.
#[path = "zend/function.rs"]
mod function;
#[cfg(test)]
#[path = "zend/layout.rs"]
mod layout;
#[path = "zend/module.rs"]
mod module;
#[path = "zend/setting.rs"]
mod setting;
#[path = "zend/value.rs"]
mod value;

use std::ffi::{c_char, c_int, c_void};

pub use function::{Argument, FunctionEntry, STRING, STRING_OR_NULL, VOID};
#[cfg(test)]
#[allow(unused_imports, reason = "asked for by tests/it/layout.rs")]
pub use layout::layout;
pub use module::{Module, Parts};
pub use setting::Setting;
pub use value::{Call, ZendString, Zval};

/// The number of the API that this is built for: PHP loads no other. 8.1: 20210902, 8.2: 20220829, 8.3: 20230831,
/// 8.4: 20240924, 8.5: 20250925.
pub const API: u32 = match option_env!("CUTOVER_PHP_API") {
    Some(text) => number(text),
    None => 20220829,
};

/// Whether it is built for a PHP with threads.
pub const ZTS: bool = match option_env!("CUTOVER_PHP_ZTS") {
    Some(text) => number(text) != 0,
    None => false,
};

const _: () = assert!(API >= 20210902, "CUTOVER_PHP_API is older than PHP 8.1 (20210902)");

const fn number(text: &str) -> u32 {
    let digits = text.as_bytes();
    let (mut value, mut at) = (0, 0);
    while at < digits.len() {
        assert!(digits[at].is_ascii_digit(), "CUTOVER_PHP_API and CUTOVER_PHP_ZTS are numbers");
        value = value * 10 + (digits[at] - b'0') as u32;
        at += 1;
    }
    value
}

/// `zend_result`.
pub const SUCCESS: c_int = 0;
/// `zend_result`.
pub const FAILURE: c_int = -1;
/// `E_WARNING`.
pub const E_WARNING: c_int = 2;
/// `ZEND_INI_USER`: a script could have set it.
pub const INI_USER: c_int = 1;
/// `ZEND_INI_SYSTEM`: only php.ini, a pool or a virtual host can set it.
pub const INI_SYSTEM: u8 = 4;
/// `ZEND_INI_STAGE_ACTIVATE`: at the start of a request.
pub const STAGE_ACTIVATE: c_int = 4;
/// `ZEND_INI_STAGE_RUNTIME`: by a script.
pub const STAGE_RUNTIME: c_int = 16;
/// `MODULE_PERSISTENT`: there until PHP ends.
pub const PERSISTENT: c_int = 1;

/// `zend_compile_file`: makes a script out of a file, or gives nothing.
pub type CompileFile = unsafe extern "C" fn(*mut c_void, c_int) -> *mut c_void;

/// `sapi_module_struct`, as far as it is used.
#[repr(C)]
pub struct Sapi {
    /// What PHP runs as: `cli`, `fpm-fcgi`, `apache2handler`…
    pub name: *const c_char,
    pretty_name: *const c_char,
    hooks: [*const c_void; 7],
    /// A variable of the request, by its name and that one's length. On the command line there is none of this.
    pub getenv: Option<unsafe extern "C" fn(*const c_char, usize) -> *const c_char>,
}

// The symbols of every PHP from 8.1 on; what takes a `bool` takes one in all of them.
unsafe extern "C" {
    pub static sapi_module: Sapi;
    pub static mut zend_compile_file: Option<CompileFile>;
    pub static zend_string_init_interned: unsafe extern "C" fn(*const c_char, usize, bool) -> *mut ZendString;
    pub fn zend_register_ini_entries(settings: *const Setting, module: c_int) -> c_int;
    pub fn zend_unregister_ini_entries(module: c_int);
    pub fn zend_ini_string_ex(name: *const c_char, len: usize, orig: c_int, exists: *mut bool)
    -> *mut c_char;
    pub fn zend_alter_ini_entry_chars_ex(
        name: *mut ZendString,
        value: *const c_char,
        len: usize,
        modify_type: c_int,
        stage: c_int,
        force: c_int,
    ) -> c_int;
    pub fn zend_restore_ini_entry(name: *mut ZendString, stage: c_int) -> c_int;
    pub fn zend_register_functions(
        scope: *mut c_void,
        functions: *const FunctionEntry,
        table: *mut c_void,
        kind: c_int,
    ) -> c_int;
    pub fn zend_disable_functions(list: *const c_char);
    pub fn zend_parse_parameters(count: u32, spec: *const c_char, ...) -> c_int;
    pub fn zend_string_concat3(
        a: *const c_char,
        a_len: usize,
        b: *const c_char,
        b_len: usize,
        c: *const c_char,
        c_len: usize,
    ) -> *mut ZendString;
    pub fn php_error_docref(page: *const c_char, level: c_int, format: *const c_char, ...);
    pub fn php_output_write(text: *const c_char, len: usize) -> usize;
    pub fn php_info_print_table_start();
    pub fn php_info_print_table_row(columns: c_int, ...);
    pub fn php_info_print_table_end();
    pub fn display_ini_entries(module: *mut Module);
    pub fn sapi_add_header_ex(line: *const c_char, len: usize, duplicate: bool, replace: bool) -> c_int;
    pub fn realpath_cache_clean();
}

// The sizes that PHP's headers have; the rest is compared with them by tests/it/layout.rs.
const _: () = {
    assert!(size_of::<Module>() == 168 && size_of::<Setting>() == 64 && size_of::<Argument>() == 32);
    assert!(size_of::<FunctionEntry>() == 32 + 8 * function::SINCE_8_4 && size_of::<Zval>() == 16);
};
