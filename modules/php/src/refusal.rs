//! Refusal: a request that could not be pinned, and is answered with a 503 instead of by its script.
//!
//! PHP gives an extension no way to say no: a failure at a request's start ends the worker. So the script is not
//! compiled, which is the first thing that PHP does for it.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

use crate::state;
use crate::zend::{self, CompileFile};

static ORIGINAL: OnceLock<Option<CompileFile>> = OnceLock::new();

const STATUS: &[u8] = b"HTTP/1.1 503 Service Unavailable";
const RETRY: &[u8] = b"Retry-After: 1";
const KIND: &[u8] = b"Content-Type: text/plain;charset=UTF-8";
const BODY: &[u8] = b"503: no release can be served at this moment\n";

/// Answers the request that begins, and keeps its script from being compiled.
///
/// # Safety
/// At the beginning of a request, on its thread.
pub unsafe fn refuse() {
    // SAFETY: the pointer is PHP's to read and ours to replace, as opcache does too. It is replaced once and stays: a
    // thread that compiles at this moment comes to the original by either.
    unsafe {
        let current = &raw mut zend::zend_compile_file;
        ORIGINAL.get_or_init(|| current.replace(Some(compile)));
        for line in [STATUS, RETRY, KIND] {
            zend::sapi_add_header_ex(line.as_ptr().cast(), line.len(), true, true);
        }
    }
}

/// Puts PHP's own compiler back, before we are unloaded.
///
/// # Safety
/// At the end of PHP, when nothing runs any more.
pub unsafe fn put_back() {
    // SAFETY: nothing compiles any more. What somebody else put over ours is not ours to take away.
    unsafe {
        let current = &raw mut zend::zend_compile_file;
        if let (Some(original), Some(now)) = (ORIGINAL.get(), *current)
            && ptr::fn_addr_eq(now, compile as CompileFile)
        {
            *current = *original;
        }
    }
}

/// Compiles a script, unless its request is refused.
unsafe extern "C" fn compile(file: *mut c_void, kind: c_int) -> *mut c_void {
    // SAFETY: what PHP passed is passed on; nothing of ours waits to be dropped.
    unsafe {
        match (state::refused(), ORIGINAL.get()) {
            (None, Some(Some(original))) => original(file, kind),
            (None, _) => ptr::null_mut(),
            (Some(first), _) => {
                if first {
                    zend::php_output_write(BODY.as_ptr().cast(), BODY.len());
                }
                ptr::null_mut()
            }
        }
    }
}
