//! Told: what a script is told that a web server asks for: all that the web server says, with what the pin says in
//! place of every path.

use crate::fcgi::Front;
use crate::params::ScriptFacts;

/// Made anew from the pin, or for nobody.
///
/// `PHP_VALUE` and `PHP_ADMIN_VALUE` would stay with the worker for good (php-src#8699); `HTTP_PROXY` is what a header
/// `Proxy` becomes, and libraries take it for the proxy to use.
const OURS: [&[u8]; 14] = [
    b"SCRIPT_FILENAME",
    b"SCRIPT_NAME",
    b"PATH_INFO",
    b"PATH_TRANSLATED",
    b"DOCUMENT_ROOT",
    b"CONTEXT_DOCUMENT_ROOT",
    b"DOCUMENT_URI",
    b"CONTENT_LENGTH",
    b"CUTOVER_RELEASE",
    b"CUTOVER_RELEASE_ROOT",
    b"PHP_VALUE",
    b"PHP_ADMIN_VALUE",
    b"HTTP_PROXY",
    b"REDIRECT_STATUS",
];

/// Tells `sink` every parameter, name and value, each name once. `user`: who logged in by our own basic auth.
pub fn tell(
    front: &Front<'_>,
    script: &ScriptFacts<'_>,
    user: Option<&str>,
    content_length: Option<u64>,
    mut sink: impl FnMut(&[u8], &[u8]),
) {
    let asked = front.asked;
    for (name, value) in asked.pairs() {
        let login = user.is_some() && [&b"REMOTE_USER"[..], b"AUTH_TYPE"].contains(&name);
        if !OURS.contains(&name) && !login {
            sink(name, value);
        }
    }
    if let Some(user) = user {
        sink(b"AUTH_TYPE", b"Basic");
        sink(b"REMOTE_USER", user.as_bytes());
    }
    let mut scratch = Vec::with_capacity(256);
    let mut path = |name: &[u8], path, rest: &[u8]| {
        scratch.clear();
        script.paths.put(path, &mut scratch);
        scratch.extend_from_slice(rest);
        sink(name, &scratch);
    };
    path(b"SCRIPT_FILENAME", script.file, b"");
    path(b"DOCUMENT_ROOT", script.docroot, b"");
    path(b"CUTOVER_RELEASE_ROOT", script.release_root, b"");
    if asked.get(b"CONTEXT_DOCUMENT_ROOT").is_some() {
        path(b"CONTEXT_DOCUMENT_ROOT", script.docroot, b"");
    }
    if !script.path_info.is_empty() {
        path(b"PATH_TRANSLATED", script.docroot, script.path_info);
        sink(b"PATH_INFO", script.path_info);
    }
    scratch.clear();
    scratch.extend_from_slice(&front.target.mount);
    scratch.extend_from_slice(script.name);
    sink(b"SCRIPT_NAME", &scratch);
    if asked.get(b"DOCUMENT_URI").is_some() {
        scratch.extend_from_slice(script.path_info);
        sink(b"DOCUMENT_URI", &scratch);
    }
    sink(b"CUTOVER_RELEASE", script.release.as_bytes());
    // Without one php-fpm runs nothing, and says nothing.
    if asked.get(b"REQUEST_METHOD").is_none() {
        sink(b"REQUEST_METHOD", b"GET");
    }
    // PHP built with --enable-force-cgi-redirect runs nothing without it.
    sink(b"REDIRECT_STATUS", asked.filled(b"REDIRECT_STATUS").unwrap_or(b"200"));
    if let Some(length) = content_length {
        sink(b"CONTENT_LENGTH", itoa::Buffer::new().format(length).as_bytes());
    }
}
