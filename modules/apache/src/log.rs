//! Log: lines in httpd's error log, under this module's name and level.

use crate::bindings::{APLOG_ERR, APLOG_INFO, APLOG_NOTICE, APLOG_WARNING, ap_log_error_, server_rec};
use crate::this;
use std::ffi::CString;

/// How much a line matters.
#[derive(Clone, Copy, Debug)]
pub enum Level {
    /// Visitors get what they should not.
    Error,
    /// They may, or soon will.
    Warning,
    /// Somebody should know.
    Notice,
    /// For who wants to know more.
    Info,
}

/// Writes a line to the error log of a server.
pub fn line(server: *const server_rec, level: Level, text: &str) {
    let level = match level {
        Level::Error => APLOG_ERR,
        Level::Warning => APLOG_WARNING,
        Level::Notice => APLOG_NOTICE,
        Level::Info => APLOG_INFO,
    };
    // Without the bytes that would end it early.
    let text = CString::new(text.replace('\0', "")).unwrap_or_default();
    // SAFETY: httpd numbers its modules before it calls any of them; the file's name is shown as the module's, the
    // format takes one string, and the server lives as long as its configuration.
    unsafe {
        let index = (*this()).module_index;
        ap_log_error_(c"mod_cutover".as_ptr(), 0, index, level, 0, server, c"%s".as_ptr(), text.as_ptr());
    }
}
