//! Beneath: opens a path below a directory and never anything else.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat};
use rustix::io::Errno;

/// What the opened file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Its bytes.
    Bytes,
    /// Only to know that it is there and what it is: needs no permission to read, and PHP may have one we lack.
    Presence,
}

/// A busy file system gives EAGAIN again and again (openat2(2)); after so many something else is wrong.
const ATTEMPTS: usize = 256;

/// Set when openat2 turned out to be missing (Linux before 5.6) or forbidden (some containers).
static WITHOUT_OPENAT2: AtomicBool = AtomicBool::new(false);

/// Opens `path` (relative, without `.`, `..`, empty segments or NUL; empty: the directory itself) below `dir`.
/// A symbolic link anywhere in it is `ELOOP`, so what is opened lies in `dir` whatever others do meanwhile.
pub fn open(dir: BorrowedFd<'_>, path: &[u8], want: Want) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    if WITHOUT_OPENAT2.load(Ordering::Relaxed) {
        return step_by_step(dir, path, want);
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
    for _ in 0..ATTEMPTS {
        match openat2(dir, path, flags(want), Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::NOSYS | Errno::PERM) => {
                WITHOUT_OPENAT2.store(true, Ordering::Relaxed);
                return step_by_step(dir, path, want);
            }
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

/// Never blocks (a FIFO would), never becomes our terminal.
fn flags(want: Want) -> OFlags {
    let always = OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    match want {
        Want::Bytes => always | OFlags::RDONLY,
        Want::Presence => OFlags::CLOEXEC | OFlags::PATH,
    }
}

/// The same without openat2: one segment at a time, none of them a link.
fn step_by_step(dir: BorrowedFd<'_>, path: &[u8], want: Want) -> Result<OwnedFd, Errno> {
    let mut held: Option<OwnedFd> = None;
    let mut segments = path.split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let here = held.as_ref().map_or(dir, |fd| fd.as_fd());
        let flags = match segments.peek() {
            Some(_) => OFlags::CLOEXEC | OFlags::PATH | OFlags::DIRECTORY,
            None => flags(want),
        };
        let opened = match openat(here, segment, flags | OFlags::NOFOLLOW, Mode::empty()) {
            // With O_DIRECTORY a link is "not a directory".
            Err(Errno::NOTDIR) if readlinkat(here, segment, Vec::new()).is_ok() => return Err(Errno::LOOP),
            result => result?,
        };
        // With O_PATH a link itself is opened.
        if FileType::from_raw_mode(fstat(&opened)?.st_mode) == FileType::Symlink {
            return Err(Errno::LOOP);
        }
        held = Some(opened);
    }
    held.ok_or(Errno::NOENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::symlinkat;
    use std::fs::{self, File};
    use std::io::Read;

    #[test]
    fn only_what_lies_below_is_opened_with_and_without_openat2() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/file"), "inside").unwrap();
        fs::write(place.path().join("secret"), "outside").unwrap();
        let dir = File::open(&root).unwrap();
        for (target, name) in [
            ("../secret", "up"),
            ("/etc", "etc"),
            ("a", "inner"),
            ("self", "self"),
            ("a/b/file", "leaf"),
            ("no", "gone"),
        ] {
            symlinkat(target, &dir, name).unwrap();
        }
        for open in [open, step_by_step] {
            for want in [Want::Bytes, Want::Presence] {
                let found = |path: &[u8]| open(dir.as_fd(), path, want).map(drop);
                assert_eq!(found(b"a/b/file"), Ok(()));
                assert_eq!(found(b"a/b"), Ok(()));
                for link in
                    [&b"up"[..], b"etc", b"etc/passwd", b"inner/b/file", b"self", b"leaf", b"gone", b"self/x"]
                {
                    assert_eq!(found(link), Err(Errno::LOOP), "{}", String::from_utf8_lossy(link));
                }
                assert_eq!(found(b"a/no"), Err(Errno::NOENT));
                assert_eq!(found(b"a/b/file/x"), Err(Errno::NOTDIR));
                assert_eq!(found(&[b'x'; 300]), Err(Errno::NAMETOOLONG));
            }
        }
        assert_eq!(open(dir.as_fd(), b"", Want::Bytes).map(drop), Ok(()));
        let mut text = String::new();
        File::from(open(dir.as_fd(), b"a/b/file", Want::Bytes).unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "inside");
    }
}
