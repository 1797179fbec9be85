//! Zend: the few symbols and structures of PHP that are used, as PHP 8.1 to 8.5 have them.
//!
//! Written by hand, so that one machine builds for every PHP without its headers: what differs between them is two
//! numbers, [`API`] and [`ZTS`], and the two fields that 8.4 put behind a function's entry. `tests/it/layout.rs`
//! compares all of it with the installed headers.

use std::ffi::{CStr, c_char, c_int, c_uchar, c_uint, c_ushort, c_void};
#[cfg(test)]
use std::mem::offset_of;
use std::ptr;

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

/// `zend_string`, which only PHP looks into.
#[repr(C)]
pub struct ZendString(c_void);

/// `zval`: a value of PHP.
#[repr(C)]
pub struct Zval {
    value: *mut c_void,
    type_info: u32,
    /// What belongs to where the value stands; of a call's `This`, the number of its arguments.
    extra: u32,
}

/// `IS_STRING_EX`: a string that is counted.
const STRING_TYPE: u32 = 6 | 1 << 8;
/// `IS_NULL`.
const NULL_TYPE: u32 = 1;

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
    opline: *const c_void,
    call: *mut c_void,
    return_value: *mut Zval,
    func: *mut c_void,
    this: Zval,
}

impl Call {
    /// How many arguments were passed.
    pub fn arguments(&self) -> u32 {
        self.this.extra
    }
}

/// `zif_handler`.
pub type Function = unsafe extern "C" fn(*mut Call, *mut Zval);

/// `zend_function_entry`.
#[repr(C)]
pub struct FunctionEntry {
    name: *const c_char,
    handler: Option<Function>,
    arguments: *const Argument,
    count: u32,
    flags: u32,
    since_8_4: [*const c_void; SINCE_8_4],
}

/// Since 8.4: `frameless_function_infos`, `doc_comment`.
const SINCE_8_4: usize = if API >= 20240924 { 2 } else { 0 };

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
    name: *const c_char,
    class: *const c_void,
    mask: u32,
    default: *const c_char,
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

/// `ZEND_INI_MH`: told of each change of a setting.
pub type OnModify =
    unsafe extern "C" fn(*mut c_void, *mut ZendString, *mut c_void, *mut c_void, *mut c_void, c_int) -> c_int;

/// `zend_ini_entry_def`.
#[repr(C)]
pub struct Setting {
    name: *const c_char,
    on_modify: Option<OnModify>,
    arguments: [*mut c_void; 3],
    value: *const c_char,
    displayer: *const c_void,
    value_len: u32,
    name_len: u16,
    modifiable: u8,
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

/// Called at the start and end of the module and of each request: its type and number.
pub type Hook = unsafe extern "C" fn(c_int, c_int) -> c_int;

/// `zend_module_entry`.
#[repr(C)]
pub struct Module {
    size: c_ushort,
    api: c_uint,
    debug: c_uchar,
    zts: c_uchar,
    settings: *const c_void,
    needs: *const c_void,
    name: *const c_char,
    functions: *const FunctionEntry,
    startup: Option<Hook>,
    shutdown: Option<Hook>,
    request_startup: Option<Hook>,
    request_shutdown: Option<Hook>,
    info: Option<unsafe extern "C" fn(*mut Module)>,
    version: *const c_char,
    globals_size: usize,
    globals: *mut c_void,
    globals_ctor: *const c_void,
    globals_dtor: *const c_void,
    after_request: Option<unsafe extern "C" fn() -> c_int>,
    started: c_int,
    kind: c_uchar,
    handle: *mut c_void,
    number: c_int,
    build_id: *const c_char,
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

/// `zend_compile_file`: makes a script out of a file, or gives nothing.
pub type CompileFile = unsafe extern "C" fn(*mut c_void, c_int) -> *mut c_void;

/// `sapi_module_struct`, of which only the first field is used.
#[repr(C)]
pub struct Sapi {
    /// What PHP runs as: `cli`, `fpm-fcgi`, `apache2handler`…
    pub name: *const c_char,
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
    pub fn sapi_getenv(name: *const c_char, len: usize) -> *mut c_char;
    pub fn sapi_add_header_ex(line: *const c_char, len: usize, duplicate: bool, replace: bool) -> c_int;
    pub fn realpath_cache_clean();
    pub fn _efree(memory: *mut c_void);
}

// The sizes that PHP's headers have; the rest is compared with them by tests/it/layout.rs.
const _: () = {
    assert!(size_of::<Module>() == 168 && size_of::<Setting>() == 64 && size_of::<Argument>() == 32);
    assert!(size_of::<FunctionEntry>() == 32 + 8 * SINCE_8_4 && size_of::<Zval>() == 16);
};

/// Each size, place and number that is written down here, by its expression in C.
#[cfg(test)]
#[allow(dead_code, reason = "asked for by tests/it/layout.rs")]
pub fn layout() -> Vec<(&'static str, usize)> {
    vec![
        ("ZEND_MODULE_API_NO", API as usize),
        ("USING_ZTS", usize::from(ZTS)),
        ("sizeof(zend_module_entry)", size_of::<Module>()),
        ("offsetof(zend_module_entry, zend_api)", offset_of!(Module, api)),
        ("offsetof(zend_module_entry, zend_debug)", offset_of!(Module, debug)),
        ("offsetof(zend_module_entry, zts)", offset_of!(Module, zts)),
        ("offsetof(zend_module_entry, ini_entry)", offset_of!(Module, settings)),
        ("offsetof(zend_module_entry, deps)", offset_of!(Module, needs)),
        ("offsetof(zend_module_entry, name)", offset_of!(Module, name)),
        ("offsetof(zend_module_entry, functions)", offset_of!(Module, functions)),
        ("offsetof(zend_module_entry, module_startup_func)", offset_of!(Module, startup)),
        ("offsetof(zend_module_entry, module_shutdown_func)", offset_of!(Module, shutdown)),
        ("offsetof(zend_module_entry, request_startup_func)", offset_of!(Module, request_startup)),
        ("offsetof(zend_module_entry, request_shutdown_func)", offset_of!(Module, request_shutdown)),
        ("offsetof(zend_module_entry, info_func)", offset_of!(Module, info)),
        ("offsetof(zend_module_entry, version)", offset_of!(Module, version)),
        ("offsetof(zend_module_entry, globals_size)", offset_of!(Module, globals_size)),
        ("offsetof(zend_module_entry, globals_ctor)", offset_of!(Module, globals_ctor)),
        ("offsetof(zend_module_entry, post_deactivate_func)", offset_of!(Module, after_request)),
        ("offsetof(zend_module_entry, module_started)", offset_of!(Module, started)),
        ("offsetof(zend_module_entry, type)", offset_of!(Module, kind)),
        ("offsetof(zend_module_entry, handle)", offset_of!(Module, handle)),
        ("offsetof(zend_module_entry, module_number)", offset_of!(Module, number)),
        ("offsetof(zend_module_entry, build_id)", offset_of!(Module, build_id)),
        ("sizeof(zend_ini_entry_def)", size_of::<Setting>()),
        ("offsetof(zend_ini_entry_def, on_modify)", offset_of!(Setting, on_modify)),
        ("offsetof(zend_ini_entry_def, mh_arg1)", offset_of!(Setting, arguments)),
        ("offsetof(zend_ini_entry_def, value)", offset_of!(Setting, value)),
        ("offsetof(zend_ini_entry_def, displayer)", offset_of!(Setting, displayer)),
        ("offsetof(zend_ini_entry_def, value_length)", offset_of!(Setting, value_len)),
        ("offsetof(zend_ini_entry_def, name_length)", offset_of!(Setting, name_len)),
        ("offsetof(zend_ini_entry_def, modifiable)", offset_of!(Setting, modifiable)),
        ("sizeof(zend_function_entry)", size_of::<FunctionEntry>()),
        ("offsetof(zend_function_entry, handler)", offset_of!(FunctionEntry, handler)),
        ("offsetof(zend_function_entry, arg_info)", offset_of!(FunctionEntry, arguments)),
        ("offsetof(zend_function_entry, num_args)", offset_of!(FunctionEntry, count)),
        ("offsetof(zend_function_entry, flags)", offset_of!(FunctionEntry, flags)),
        ("sizeof(zend_internal_arg_info)", size_of::<Argument>()),
        ("offsetof(zend_internal_arg_info, type)", offset_of!(Argument, class)),
        ("offsetof(zend_internal_arg_info, type.type_mask)", offset_of!(Argument, mask)),
        ("offsetof(zend_internal_arg_info, default_value)", offset_of!(Argument, default)),
        ("sizeof(zval)", size_of::<Zval>()),
        ("offsetof(zval, u1.type_info)", offset_of!(Zval, type_info)),
        ("offsetof(zval, u2.num_args)", offset_of!(Zval, extra)),
        ("offsetof(zend_execute_data, This)", offset_of!(Call, this)),
        ("offsetof(sapi_module_struct, name)", offset_of!(Sapi, name)),
        ("IS_STRING_EX", STRING_TYPE as usize),
        ("IS_NULL", NULL_TYPE as usize),
        ("MAY_BE_STRING", STRING as usize),
        ("MAY_BE_STRING|MAY_BE_NULL", STRING_OR_NULL as usize),
        ("MAY_BE_VOID", VOID as usize),
        ("E_WARNING", E_WARNING as usize),
        ("ZEND_INI_USER", INI_USER as usize),
        ("ZEND_INI_SYSTEM", INI_SYSTEM as usize),
        ("ZEND_INI_STAGE_ACTIVATE", STAGE_ACTIVATE as usize),
        ("ZEND_INI_STAGE_RUNTIME", STAGE_RUNTIME as usize),
        ("MODULE_PERSISTENT", PERSISTENT as usize),
        ("SUCCESS", SUCCESS as usize),
        ("-FAILURE", FAILURE.unsigned_abs() as usize),
    ]
}
