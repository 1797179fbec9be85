//! Functions: what scripts can call.

use std::ffi::{c_char, c_int};
use std::ptr;

use crate::border::border;
use crate::state;
use crate::zend::{self, Argument, Call, FunctionEntry, ZendString, Zval};

/// `cutover_release(): ?string`, `cutover_root(): ?string`, `cutover_key(string $key): string`.
pub static FUNCTIONS: [FunctionEntry; 4] = [
    FunctionEntry::new(c"cutover_release", release, &[Argument::returns(zend::STRING_OR_NULL, 0)]),
    FunctionEntry::new(c"cutover_root", root, &[Argument::returns(zend::STRING_OR_NULL, 0)]),
    FunctionEntry::new(
        c"cutover_key",
        key,
        &[Argument::returns(zend::STRING, 1), Argument::named(c"key", zend::STRING)],
    ),
    FunctionEntry::end(),
];

/// `ini_restore(string $option): void`, which takes the place of PHP's: what include_path is restored to is the
/// pinned one. PHP's own would undo the pin, for to PHP it is a change like a script's.
pub static INI_RESTORE: [FunctionEntry; 2] = [
    FunctionEntry::new(
        c"ini_restore",
        ini_restore,
        &[Argument::returns(zend::VOID, 1), Argument::named(c"option", zend::STRING)],
    ),
    FunctionEntry::end(),
];

/// The name of the current request's release.
unsafe extern "C" fn release(call: *mut Call, result: *mut Zval) {
    // SAFETY: PHP passes the call and where its result goes.
    unsafe {
        if takes_nothing(call) {
            give(result, border("release", || None, state::release).map(|(id, _)| id));
        }
    }
}

/// The directory of the current request's release.
unsafe extern "C" fn root(call: *mut Call, result: *mut Zval) {
    // SAFETY: as above.
    unsafe {
        if takes_nothing(call) {
            give(result, border("root", || None, state::release).map(|(_, dir)| dir));
        }
    }
}

/// The key with the release's name before it, so that releases do not read each other's values.
unsafe extern "C" fn key(call: *mut Call, result: *mut Zval) {
    let (mut text, mut len): (*const c_char, usize) = (ptr::null(), 0);
    // SAFETY: "s" fills a pointer and a length; the text lives as long as the call. What is concatenated lives on its
    // own. PHP throws or leaves from here only where nothing of ours waits to be dropped.
    unsafe {
        if zend::zend_parse_parameters((*call).arguments(), c"s".as_ptr(), &raw mut text, &raw mut len)
            != zend::SUCCESS
        {
            return;
        }
        let id = border("key", || None, state::release).map_or(ptr::from_ref::<[u8]>(&[]), |(id, _)| id);
        let joined = zend::zend_string_concat3(id.cast(), id.len(), c":".as_ptr(), 1, text, len);
        (*result).set_string(joined);
    }
}

/// Sets a setting back to what it was at the request's beginning.
unsafe extern "C" fn ini_restore(call: *mut Call, _: *mut Zval) {
    let (mut text, mut len): (*const c_char, usize) = (ptr::null(), 0);
    let mut name: *mut ZendString = ptr::null_mut();
    // SAFETY: "s" and "S" fill a pointer and a length, and a string of PHP's, of the same argument; both live as long
    // as the call. The pinned path lives until the request's end, and PHP copies it.
    unsafe {
        let count = (*call).arguments();
        if zend::zend_parse_parameters(count, c"s".as_ptr(), &raw mut text, &raw mut len) != zend::SUCCESS
            || zend::zend_parse_parameters(count, c"S".as_ptr(), &raw mut name) != zend::SUCCESS
        {
            return;
        }
        let is_ours = std::slice::from_raw_parts(text.cast::<u8>(), len) == b"include_path";
        let pinned = if is_ours { border("ini_restore", || None, state::include_path) } else { None };
        let done: c_int = match pinned {
            // Refused where it would be refused without us: there an administrator wants no script to set it.
            Some((value, len)) => {
                zend::zend_alter_ini_entry_chars_ex(name, value, len, zend::INI_USER, zend::STAGE_RUNTIME, 0)
            }
            None => zend::zend_restore_ini_entry(name, zend::STAGE_RUNTIME),
        };
        // PHP's own says nothing either.
        if done != zend::SUCCESS {}
    }
}

/// # Safety
/// `call` is the call that PHP makes.
unsafe fn takes_nothing(call: *const Call) -> bool {
    // SAFETY: as the caller says. With arguments, this throws.
    unsafe { zend::zend_parse_parameters((*call).arguments(), c"".as_ptr()) == zend::SUCCESS }
}

/// # Safety
/// `result` is where the call's result goes; the text lives until the request's end.
unsafe fn give(result: *mut Zval, text: Option<*const [u8]>) {
    // SAFETY: as the caller says. PHP copies the text.
    unsafe {
        match text {
            Some(text) => {
                let nothing = c"".as_ptr();
                (*result).set_string(zend::zend_string_concat3(
                    text.cast(),
                    text.len(),
                    nothing,
                    0,
                    nothing,
                    0,
                ));
            }
            None => (*result).set_null(),
        }
    }
}
