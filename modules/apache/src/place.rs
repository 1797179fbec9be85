//! Place: paths as Apache spells them, compared and replaced by whole components.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What follows `dir` in `path`, if `path` is `dir` or lies below it: empty, or beginning with a slash. Doubled
/// slashes count as one, for Apache leaves those of an `Alias` or a `ProxyPassMatch` where they are.
pub fn below<'a>(path: &'a [u8], dir: &Path) -> Option<&'a [u8]> {
    let mut rest = path;
    for part in dir.components().skip(1) {
        let part = part.as_os_str().as_bytes();
        let start = rest.iter().position(|byte| *byte != b'/').filter(|at| *at > 0)?;
        rest = rest[start..].strip_prefix(part)?;
        if !matches!(rest.first(), None | Some(b'/')) {
            return None;
        }
    }
    Some(rest)
}

/// `path` with `dir`, below which it lies, replaced by `to`. `None`: it does not lie below it.
pub fn moved(path: &[u8], dir: &Path, to: &Path) -> Option<Vec<u8>> {
    let rest = below(path, dir)?;
    let mut moved = to.as_os_str().as_bytes().to_vec();
    moved.extend_from_slice(rest);
    Some(moved)
}

/// Where the path begins in a name that mod_proxy made: `proxy:fcgi://host/path`. `None`: it is no such name.
pub fn proxied_at(name: &[u8]) -> Option<usize> {
    let host = [&b"proxy:fcgi://"[..], b"proxy:balancer://"]
        .into_iter()
        .find(|scheme| name.starts_with(scheme))?
        .len();
    name[host..].iter().position(|byte| *byte == b'/').map(|slash| host + slash)
}

/// A path of bytes.
pub fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
