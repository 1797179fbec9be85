//! Module: what PHP calls when it loads us, at the ends of each request, and for phpinfo().

use std::ffi::{CStr, OsString, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use crate::border::border;
use crate::forks;
use crate::functions;
use crate::refusal;
use crate::settings::Raw;
use crate::site::Request;
use crate::state::{self, Orders, Wants};
use crate::zend::{self, Module, Parts, Setting, ZendString};

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};

/// What PHP finds of us. It writes into it.
pub struct Entry(pub std::cell::UnsafeCell<Module>);

// SAFETY: PHP writes into it while it loads us, on one thread.
unsafe impl Sync for Entry {}

/// What PHP finds of us.
pub static ENTRY: Entry = Entry(std::cell::UnsafeCell::new(Module::new(Parts {
    name: c"cutover",
    version: VERSION,
    functions: &functions::FUNCTIONS,
    startup,
    shutdown,
    request_startup,
    info,
    after_request,
})));

/// Etsy's incpath has these names too: apart, so that ours are there if it is loaded beside us.
static INCPATH: [Setting; 4] = [
    Setting::new(PATTERN, c"", on_modify),
    Setting::new(REALPATH_SAPIS, c"", on_modify),
    Setting::new(DOCROOT_SAPIS, c"", on_modify),
    Setting::end(),
];

static SETTINGS: [Setting; 5] = [
    Setting::new(LINK, c"", on_modify),
    Setting::new(ROOT, c"", on_modify),
    Setting::new(ALLOW, c"", on_modify),
    Setting::new(ON_FAILURE, c"warn", on_modify),
    Setting::end(),
];

const LINK: &CStr = c"cutover.link";
const ROOT: &CStr = c"cutover.root";
const ALLOW: &CStr = c"cutover.allow";
const ON_FAILURE: &CStr = c"cutover.on_failure";
const PATTERN: &CStr = c"incpath.search_replace_pattern";
const REALPATH_SAPIS: &CStr = c"incpath.realpath_sapi_list";
const DOCROOT_SAPIS: &CStr = c"incpath.docroot_sapi_list";

/// `include_path`, as one of PHP's strings.
static INCLUDE_PATH: AtomicPtr<ZendString> = AtomicPtr::new(ptr::null_mut());

/// Told of each change of one of our settings.
unsafe extern "C" fn on_modify(
    _: *mut c_void,
    _: *mut ZendString,
    _: *mut c_void,
    _: *mut c_void,
    _: *mut c_void,
    _: c_int,
) -> c_int {
    state::changed();
    zend::SUCCESS
}

unsafe extern "C" fn startup(kind: c_int, module: c_int) -> c_int {
    // SAFETY: PHP calls this once, on one thread, when every symbol is there; what is passed are constants.
    unsafe {
        if kind != zend::PERSISTENT {
            // By dl(): PHP unloads us with the request, and would keep our ini_restore(). Without settings nothing is
            // done; to fail here would end the script.
            let text =
                c"cutover does nothing when it is loaded by dl(); write extension=cutover.so into php.ini";
            zend::php_error_docref(ptr::null(), zend::E_WARNING, c"%s".as_ptr(), text.as_ptr());
            return zend::SUCCESS;
        }
        if zend::zend_register_ini_entries(INCPATH.as_ptr(), module) != zend::SUCCESS {
            let text = c"the settings incpath.* are another extension's: incpath is loaded too, and one of the two has to go";
            zend::php_error_docref(ptr::null(), zend::E_WARNING, c"%s".as_ptr(), text.as_ptr());
        }
        if zend::zend_register_ini_entries(SETTINGS.as_ptr(), module) != zend::SUCCESS {
            return zend::FAILURE;
        }
        if !forks::count() {
            return zend::FAILURE;
        }
        INCLUDE_PATH.store((zend::zend_string_init_interned)(c"include_path".as_ptr(), 12, true), Relaxed);
        zend::zend_disable_functions(c"ini_restore".as_ptr());
        zend::zend_register_functions(
            ptr::null_mut(),
            functions::INI_RESTORE.as_ptr(),
            ptr::null_mut(),
            zend::PERSISTENT,
        )
    }
}

unsafe extern "C" fn shutdown(_: c_int, module: c_int) -> c_int {
    // SAFETY: PHP calls this once, when no request runs any more.
    unsafe {
        refusal::put_back();
        zend::zend_unregister_ini_entries(module);
    }
    zend::SUCCESS
}

unsafe extern "C" fn request_startup(_: c_int, _: c_int) -> c_int {
    let mut wants = border("settings", || None, || Some(state::wants()));
    if wants == Some(Wants::Settings) {
        wants = border(
            "settings",
            || None,
            || {
                state::configure(raw(), sapi());
                Some(state::wants())
            },
        );
    }
    let Some(wants) = wants else {
        // SAFETY: within a request's start.
        return unsafe { follow(failed_inside()) };
    };
    if wants == Wants::Nothing || wants == Wants::Settings {
        return zend::SUCCESS;
    }
    let root = variable(c"CUTOVER_RELEASE_ROOT");
    let include_path = setting(c"include_path");
    let again = match wants {
        Wants::Usual => border("request", || None, || state::begin_again(root, include_path)),
        Wants::Docroot | Wants::Nothing | Wants::Settings => None,
    };
    let orders = again.unwrap_or_else(|| begin(wants, root, include_path));
    // SAFETY: within a request's start; what the orders point to is good until the next.
    unsafe { follow(orders) }
}

/// Begins a request in full.
fn begin(wants: Wants, root: Option<&[u8]>, include_path: &[u8]) -> Orders {
    let docroot = if wants == Wants::Docroot { variable(c"DOCUMENT_ROOT") } else { None };
    let release = variable(c"CUTOVER_RELEASE");
    border("request", failed_inside, || {
        let sapi = sapi();
        let for_life = matches!(sapi, "cli" | "phpdbg");
        // What `cutover exec` says to a program on the command line, where PHP knows no other variables.
        let environment = |name: &str| match for_life || sapi == "cli-server" {
            true => {
                std::env::var_os(name).map(OsString::into_encoded_bytes).filter(|value| !value.is_empty())
            }
            false => None,
        };
        let (root_there, release_there) =
            (environment("CUTOVER_RELEASE_ROOT"), environment("CUTOVER_RELEASE"));
        let request = Request {
            include_path,
            root: root.or(root_there.as_deref()),
            release: release.or(release_there.as_deref()),
            docroot,
            for_life,
        };
        state::begin(&request, sapi)
    })
}

fn failed_inside() -> Orders {
    border("failed", || Orders::NONE, state::failed_inside)
}

/// # Safety
/// At a request's start, with orders for it.
unsafe fn follow(orders: Orders) -> c_int {
    // SAFETY: as the caller says. Each of these may leave by a long jump: nothing here waits to be dropped.
    unsafe {
        if orders.forget {
            zend::realpath_cache_clean();
        }
        if !orders.include_path.is_null() {
            // By force: the pin is wanted also where scripts are not to change it (php_admin_value).
            zend::zend_alter_ini_entry_chars_ex(
                INCLUDE_PATH.load(Relaxed),
                orders.include_path,
                orders.include_path_len,
                zend::INI_USER,
                zend::STAGE_ACTIVATE,
                1,
            );
        }
        // The headers first: a warning that is displayed sends them.
        if orders.refuse {
            refusal::refuse();
        }
        if !orders.warning.is_null() {
            zend::php_error_docref(ptr::null(), zend::E_WARNING, c"%s".as_ptr(), orders.warning);
        }
    }
    // A program on the command line ends here, with the status 1: there is no page to be answered with a 503.
    if orders.refuse && sapi() == "cli" { zend::FAILURE } else { zend::SUCCESS }
}

unsafe extern "C" fn after_request() -> c_int {
    border("end", || (), state::end);
    zend::SUCCESS
}

unsafe extern "C" fn info(module: *mut Module) {
    let release = border("info", || None, state::shown);
    // SAFETY: PHP passes our entry; each row is as many texts, with a NUL at their ends.
    unsafe {
        zend::php_info_print_table_start();
        row(c"Version", VERSION.as_ptr());
        let (id, dir) = release.unwrap_or((c"none".as_ptr(), c"none".as_ptr()));
        row(c"Release", id);
        row(c"Release root", dir);
        zend::php_info_print_table_end();
        zend::display_ini_entries(module);
    }
}

/// # Safety
/// `value` is a text with a NUL at its end.
unsafe fn row(name: &CStr, value: *const c_char) {
    // SAFETY: as the caller says, two columns.
    unsafe { zend::php_info_print_table_row(2, name.as_ptr(), value) }
}

/// What PHP runs as: `cli`, `fpm-fcgi`, `apache2handler`…
fn sapi() -> &'static str {
    // SAFETY: the name is there before we are, and stays.
    unsafe {
        let name = zend::sapi_module.name;
        if name.is_null() { "" } else { CStr::from_ptr(name).to_str().unwrap_or("") }
    }
}

/// Our settings as they stand.
fn raw() -> Raw {
    let copy = |name| setting(name).to_owned();
    Raw {
        link: copy(LINK),
        root: copy(ROOT),
        allow: copy(ALLOW),
        on_failure: copy(ON_FAILURE),
        pattern: copy(PATTERN),
        realpath_sapis: copy(REALPATH_SAPIS),
        docroot_sapis: copy(DOCROOT_SAPIS),
    }
}

/// A setting's value, until it is changed.
fn setting<'a>(name: &CStr) -> &'a [u8] {
    // SAFETY: the name has this length. What comes is a text with a NUL at its end, or null where there is no such
    // setting; who calls is done with it before anything is set.
    unsafe {
        let value = zend::zend_ini_string_ex(name.as_ptr(), name.count_bytes(), 0, ptr::null_mut());
        if value.is_null() { b"" } else { CStr::from_ptr(value).to_bytes() }
    }
}

/// A variable of the request, as the server in front set it, until the request's end. What a visitor sends has other
/// names (`HTTP_…`). An empty one says nothing.
///
/// Asked for where the server has it: PHP need not make all of `$_SERVER`, and neither copies it nor has it filtered, as
/// its own `sapi_getenv` does.
fn variable<'a>(name: &CStr) -> Option<&'a [u8]> {
    // SAFETY: the name has this length. What comes is a text with a NUL at its end, which the server keeps for its
    // request, or null.
    unsafe {
        let text = zend::sapi_module.getenv?(name.as_ptr(), name.count_bytes());
        if text.is_null() {
            None
        } else {
            Some(CStr::from_ptr(text).to_bytes()).filter(|text| !text.is_empty())
        }
    }
}
