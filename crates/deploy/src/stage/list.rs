//! Listing a directory of the source: each entry's name, and its path below the top.

use std::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::Dir;
use rustix::io::Errno;

/// Calls `each` with the name and the path of what is in a directory, until it fails. `path` is the directory's own,
/// and is that again afterwards; `failed` says what it means that the directory cannot be read to its end.
pub(crate) fn each_in<E>(
    dir: &OwnedFd,
    path: &mut Vec<u8>,
    failed: impl Fn(&[u8], Errno) -> E,
    mut each: impl FnMut(&CStr, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let len = path.len();
    for entry in Dir::read_from(dir).map_err(|why| failed(path, why))? {
        let entry = entry.map_err(|why| failed(path, why))?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if len > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(name.to_bytes());
        let done = each(name, path);
        path.truncate(len);
        done?;
    }
    Ok(())
}
