//! Directive: the words of a configuration file, taken or refused.

use crate::bindings::{
    ITERATE, RSRC_CONF, TAKE1, ap_get_module_config, apr_pool_cleanup_null, apr_pool_cleanup_register,
    apr_pool_t, apr_pstrmemdup, apr_status_t, cmd_parms, command_rec, server_rec, take1_fn,
};
use crate::border::guard;
use crate::settings::{self, Settings};
use crate::this;
use std::ffi::{CStr, c_char, c_uint, c_void};
use std::ptr;

/// The directives, as httpd wants them.
pub struct Table(pub [command_rec; 8]);

// SAFETY: the pointers are to constants.
unsafe impl Sync for Table {}

/// All directives. Each is for servers and virtual hosts: a pin is taken before there is a directory.
pub static TABLE: Table = Table([
    word(
        c"Cutover",
        TAKE1,
        cutover,
        c"On or Off: pin each request to the release that is live when it begins",
    ),
    word(
        c"CutoverLink",
        ITERATE,
        link,
        c"a link that says what is live; the one in DocumentRoot needs not be named",
    ),
    word(
        c"CutoverAllow",
        ITERATE,
        allow,
        c"a directory of releases that the link may lead to, beside releases/",
    ),
    word(
        c"CutoverReleaseHeader",
        TAKE1,
        header,
        c"On or Off: name the release in the response header x-cutover-release",
    ),
    word(c"CutoverStale", TAKE1, stale, c"On or Off: read the link only once in RealpathEvery seconds"),
    word(c"RealpathEvery", TAKE1, every, c"whole seconds, as in mod_realdoc; counts with CutoverStale On"),
    word(c"UseReadlink", TAKE1, use_readlink, c"On, Off or a path above the link, as in mod_realdoc"),
    END,
]);

const END: command_rec = command_rec {
    name: ptr::null(),
    func: None,
    cmd_data: ptr::null_mut(),
    req_override: 0,
    args_how: 0,
    errmsg: ptr::null(),
};

const fn word(name: &'static CStr, how: c_uint, take: take1_fn, help: &'static CStr) -> command_rec {
    command_rec {
        name: name.as_ptr(),
        func: Some(take),
        cmd_data: ptr::null_mut(),
        req_override: RSRC_CONF,
        args_how: how,
        errmsg: help.as_ptr(),
    }
}

/// Makes the settings of a server.
pub unsafe extern "C" fn create(pool: *mut apr_pool_t, _: *mut server_rec) -> *mut c_void {
    // SAFETY: httpd gives the pool that lives as long as the configuration.
    guard(ptr::null_mut(), || unsafe { kept(pool, Settings::default()) })
}

/// Makes the settings of a virtual host, from the server's and its own.
pub unsafe extern "C" fn merge(pool: *mut apr_pool_t, base: *mut c_void, own: *mut c_void) -> *mut c_void {
    guard(ptr::null_mut(), || {
        // SAFETY: both were made by `create` or by this function.
        let (base, own) = unsafe { (base.cast::<Settings>().as_ref(), own.cast::<Settings>().as_ref()) };
        let none = Settings::default();
        let merged = own.unwrap_or(&none).inside(base.unwrap_or(&none));
        // SAFETY: httpd gives the pool that lives as long as the configuration.
        unsafe { kept(pool, merged) }
    })
}

/// The settings of a server.
pub fn of<'a>(server: *mut server_rec) -> Option<&'a Settings> {
    // SAFETY: what is kept under this module's number was made by `create` or `merge`, and lives as long as the server.
    unsafe { ap_get_module_config((*server).module_config, this()).cast::<Settings>().as_ref() }
}

/// Puts something into a pool, which drops it.
///
/// # Safety
/// The pool must be alive.
unsafe fn kept(pool: *mut apr_pool_t, settings: Settings) -> *mut c_void {
    unsafe extern "C" fn dropped(settings: *mut c_void) -> apr_status_t {
        // SAFETY: it came from the box below, and the pool calls once.
        guard(0, || unsafe {
            drop(Box::from_raw(settings.cast::<Settings>()));
            0
        })
    }
    let settings = Box::into_raw(Box::new(settings)).cast::<c_void>();
    // SAFETY: the caller's.
    unsafe { apr_pool_cleanup_register(pool, settings, dropped, apr_pool_cleanup_null) };
    settings
}

/// Reads one word; what `take` says of it, if it does not take it, ends httpd's start.
///
/// # Safety
/// The arguments are those of a directive's function.
unsafe fn read(
    cmd: *mut cmd_parms,
    word: *const c_char,
    take: impl FnOnce(&mut Settings, &[u8]) -> Result<(), String>,
) -> *const c_char {
    guard(c"mod_cutover: internal error, see above".as_ptr(), || {
        // SAFETY: httpd gives a word, the server and a pool, and nobody else has the settings while they are read.
        let (word, settings, pool) = unsafe {
            let config = ap_get_module_config((*(*cmd).server).module_config, this());
            (CStr::from_ptr(word), config.cast::<Settings>().as_mut(), (*cmd).pool)
        };
        let Some(settings) = settings else { return c"mod_cutover: no settings for this server".as_ptr() };
        match take(settings, word.to_bytes()) {
            Ok(()) => ptr::null(),
            // SAFETY: the pool is alive, and the bytes are copied with a zero behind them.
            Err(why) => unsafe { apr_pstrmemdup(pool, why.as_ptr().cast(), why.len()) },
        }
    })
}

macro_rules! takes {
    ($($function:ident: |$settings:ident, $word:ident| $take:expr;)*) => { $(
        unsafe extern "C" fn $function(cmd: *mut cmd_parms, _: *mut c_void, word: *const c_char) -> *const c_char {
            // SAFETY: these are the arguments of a directive's function.
            unsafe { read(cmd, word, |$settings, $word| { $take; Ok(()) }) }
        }
    )* };
}

takes! {
    cutover: |settings, word| settings.on = Some(settings::on_off("Cutover", word)?);
    link: |settings, word| settings.links.push(settings::absolute("CutoverLink", word)?);
    allow: |settings, word| settings.allow.push(settings::absolute("CutoverAllow", word)?);
    header: |settings, word| settings.header = Some(settings::on_off("CutoverReleaseHeader", word)?);
    stale: |settings, word| settings.stale = Some(settings::on_off("CutoverStale", word)?);
    every: |settings, word| settings.every = Some(settings::every(word)?);
    use_readlink: |settings, word| settings.readlink = Some(settings::use_readlink(word)?);
}
