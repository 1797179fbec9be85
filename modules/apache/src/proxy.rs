//! Proxy: PHP that mod_proxy_fcgi asks for by a path below the link.
//!
//! `ProxyPassMatch … fcgi://…/srv/shop/current/$1` names the script in the URL, and by the beginning of that URL
//! mod_proxy chooses its worker (its socket, its time-outs). So the URL stays as it is until the worker is chosen, and
//! what php-fpm gets to see becomes the release's just before it is asked.

use crate::bindings::{APR_HOOK_REALLY_FIRST, names, request_rec};
use std::ffi::{c_char, c_int, c_void};
use std::ptr;

/// `mod_proxy.h`: who speaks a scheme; asked once the worker is chosen.
pub type Speaker = unsafe extern "C" fn(
    *mut request_rec,
    *mut c_void,
    *mut c_void,
    *mut c_char,
    *const c_char,
    u16,
) -> c_int;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// Has `before` called before anybody speaks to where a request is passed on to. Without mod_proxy: nothing.
///
/// Looked up by name, for a module that needed mod_proxy could not be loaded without it.
pub fn hook(before: Speaker) {
    // SAFETY: RTLD_DEFAULT is null; httpd loads its modules with global names; the function is of mod_proxy.h.
    unsafe {
        let found = dlsym(ptr::null_mut(), c"proxy_hook_scheme_handler".as_ptr());
        if !found.is_null() {
            let hook: unsafe extern "C" fn(Speaker, names, names, c_int) = std::mem::transmute(found);
            hook(before, ptr::null(), ptr::null(), APR_HOOK_REALLY_FIRST);
        }
    }
}
