//! Place: paths as Apache spells them, compared and replaced by whole components.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What follows `dir` in `path`, if `path` is `dir` or lies below it: empty, or beginning with a slash. Doubled
/// slashes count as one, for Apache leaves those of an `Alias` or a `ProxyPassMatch` where they are.
pub fn below<'a>(path: &'a [u8], dir: &Path) -> Option<&'a [u8]> {
    let dir = dir.as_os_str().as_bytes();
    if let Some(rest) = path.strip_prefix(dir)
        && matches!(rest.first(), None | Some(b'/'))
    {
        return Some(rest);
    }
    // What differs in anything but a second slash is another path: so it is for nearly every request's file.
    if path.get(alike(path, dir)) != Some(&b'/') {
        return None;
    }
    let mut rest = path;
    for part in dir.split(|byte| *byte == b'/').skip(1) {
        let start = rest.iter().position(|byte| *byte != b'/').filter(|at| *at > 0)?;
        rest = rest[start..].strip_prefix(part)?;
        if !matches!(rest.first(), None | Some(b'/')) {
            return None;
        }
    }
    Some(rest)
}

/// How many bytes at their beginnings are the same. Eight at a time: every request compares paths.
fn alike(one: &[u8], other: &[u8]) -> usize {
    let (words, others) = (one.as_chunks::<8>().0, other.as_chunks::<8>().0);
    for (at, (word, other)) in words.iter().zip(others).enumerate() {
        let differ = u64::from_le_bytes(*word) ^ u64::from_le_bytes(*other);
        if differ != 0 {
            return at * 8 + differ.trailing_zeros() as usize / 8;
        }
    }
    let done = words.len().min(others.len()) * 8;
    done + one[done..].iter().zip(&other[done..]).take_while(|(one, other)| one == other).count()
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
