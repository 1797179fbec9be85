//! Unpacking: entries of an archive become files below a directory, and nowhere else.
//!
//! Refused: names that are absolute or climb (`..`), links that lead out of the tree, and what is neither a file, a
//! directory nor a link. Nothing is ever written through a link: an archive could have made it itself a moment ago.

use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, fchmod, mkdirat, openat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use crate::source::{SourceError, disk};
use crate::stage::create::{open_below, set_time};

/// One archive being unpacked.
pub(crate) struct Unpacked<'a> {
    archive: &'a str,
    tree: &'a Path,
    top: OwnedFd,
}

impl<'a> Unpacked<'a> {
    /// Into the empty directory `tree`.
    pub fn into(archive: &'a str, tree: &'a Path) -> Result<Unpacked<'a>, SourceError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = openat(CWD, tree, flags, Mode::empty()).map_err(disk("open", tree))?;
        Ok(Unpacked { archive, tree, top })
    }

    /// A directory. It may be there already.
    pub fn directory(&self, name: &Path, mode: u32) -> Result<(), SourceError> {
        let path = self.plain(name)?;
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let (above, last) = self.above(name, &path)?;
        match mkdirat(&above, last, Mode::from_raw_mode(0o755)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let stat =
                    statat(&above, last, AtFlags::SYMLINK_NOFOLLOW).map_err(self.failed("read", &path))?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                    return Err(self.refused(name, "is a directory where the archive has put something else"));
                }
            }
            Err(why) => return Err(self.failed("make", &path)(why)),
        }
        let dir = open_below(&self.top, path.as_os_str().as_bytes(), OFlags::RDONLY | OFlags::DIRECTORY);
        let dir = dir.map_err(self.failed("open", &path))?;
        fchmod(&dir, Mode::from_raw_mode(mode & 0o777 | 0o700)).map_err(self.failed("write", &path))
    }

    /// A file. One of the same name is replaced: an archive that was appended to has the newer one later.
    pub fn file(
        &self,
        name: &Path,
        mode: u32,
        mtime: i64,
        content: &mut dyn Read,
    ) -> Result<(), SourceError> {
        let path = self.plain(name)?;
        let (above, last) = self.above(name, &path)?;
        self.clear(&above, last, name, &path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            openat(&above, last, flags, Mode::from_raw_mode(0o600)).map_err(self.failed("write", &path))?;
        let mut file = std::fs::File::from(file);
        copy(content, &mut file).map_err(|end| match end {
            End::Archive(why) => SourceError::Damaged { archive: self.archive.to_owned(), why },
            End::File(why) => disk("write", &self.tree.join(&path))(why),
        })?;
        fchmod(&file, Mode::from_raw_mode(mode & 0o777 | 0o400)).map_err(self.failed("write", &path))?;
        set_time(&file, mtime.saturating_mul(1_000_000_000)).map_err(self.failed("write", &path))
    }

    /// A further name of a file that the archive had before: a copy of it.
    pub fn again(&self, name: &Path, of: &Path) -> Result<(), SourceError> {
        let source = self.plain(of)?;
        let bytes = source.as_os_str().as_bytes();
        let open = open_below(&self.top, bytes, OFlags::RDONLY | OFlags::NONBLOCK);
        let open = open.map_err(|_| self.refused(name, "is a hard link to what is not in the archive"))?;
        let mut file = std::fs::File::from(open);
        let stat = file.metadata().map_err(disk("read", &self.tree.join(&source)))?;
        if !stat.is_file() {
            return Err(self.refused(name, "is a hard link to what is no file"));
        }
        let (mode, mtime) =
            (std::os::unix::fs::MetadataExt::mode(&stat), std::os::unix::fs::MetadataExt::mtime(&stat));
        if source == self.plain(name)? {
            return Ok(());
        }
        self.file(name, mode, mtime, &mut file)
    }

    /// A symbolic link.
    pub fn link(&self, name: &Path, text: &Path) -> Result<(), SourceError> {
        let path = self.plain(name)?;
        if !stays_inside(&path, text) {
            return Err(self.refused(name, "is a link that leads out of the tree"));
        }
        let (above, last) = self.above(name, &path)?;
        self.clear(&above, last, name, &path)?;
        symlinkat(text, &above, last).map_err(self.failed("write", &path))
    }

    /// That this does not belong into a release.
    pub fn refused(&self, name: &Path, why: &'static str) -> SourceError {
        SourceError::Refused {
            archive: self.archive.to_owned(),
            name: name.to_string_lossy().into_owned(),
            why,
        }
    }

    /// The name without `.` and doubled slashes; names that lead elsewhere are refused.
    fn plain(&self, name: &Path) -> Result<PathBuf, SourceError> {
        let mut path = PathBuf::new();
        for part in name.components() {
            match part {
                Component::Normal(part) => path.push(part),
                Component::CurDir => {}
                Component::ParentDir => return Err(self.refused(name, "has `..` in its name")),
                Component::RootDir | Component::Prefix(_) => {
                    return Err(self.refused(name, "has an absolute name"));
                }
            }
        }
        if path.as_os_str().as_bytes().contains(&0) {
            return Err(self.refused(name, "has a NUL in its name"));
        }
        Ok(path)
    }

    /// Opens the directory that a path stands in, making what is missing of it; gives the last part of the path too.
    fn above<'p>(&self, name: &Path, path: &'p Path) -> Result<(OwnedFd, &'p std::ffi::OsStr), SourceError> {
        let last = path.file_name().ok_or_else(|| self.refused(name, "has no name"))?;
        let above = path.parent().unwrap_or(Path::new(""));
        let open = || open_below(&self.top, above.as_os_str().as_bytes(), OFlags::RDONLY | OFlags::DIRECTORY);
        match open() {
            Ok(dir) => Ok((dir, last)),
            Err(Errno::NOENT) => {
                self.directory(above, 0o755)?;
                Ok((open().map_err(self.failed("open", above))?, last))
            }
            Err(Errno::LOOP | Errno::NOTDIR) => Err(self.refused(name, "lies below what is no directory")),
            Err(why) => Err(self.failed("open", above)(why)),
        }
    }

    fn clear(
        &self,
        above: &OwnedFd,
        last: &std::ffi::OsStr,
        name: &Path,
        path: &Path,
    ) -> Result<(), SourceError> {
        match unlinkat(above, last, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => {
                Err(self.refused(name, "stands where the archive has put a directory"))
            }
            Err(why) => Err(self.failed("replace", path)(why)),
        }
    }

    fn failed(&self, tried: &'static str, path: &Path) -> impl FnOnce(Errno) -> SourceError + use<> {
        disk(tried, &self.tree.join(path))
    }
}

/// Whether a link at `path` leads to a place within the tree.
///
/// `..` may stand at the front only: further on it could follow another link, and mean another place than it seems.
/// All directories above the link are real ones, since nothing is made below links.
fn stays_inside(path: &Path, text: &Path) -> bool {
    let mut depth = path.components().count().saturating_sub(1);
    let mut climbing = true;
    for part in text.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(_) => climbing = false,
            Component::ParentDir if climbing && depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    !text.as_os_str().is_empty()
}

enum End {
    Archive(std::io::Error),
    File(std::io::Error),
}

fn copy(from: &mut dyn Read, to: &mut std::fs::File) -> Result<(), End> {
    let mut buffer = [0; 64 << 10];
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(End::Archive(error)),
        };
        std::io::Write::write_all(to, buffer.get(..n).unwrap_or_default()).map_err(End::File)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_may_not_leave_the_tree_by_any_way() {
        for (path, text, inside) in [
            ("a", "b", true),
            ("a/b", "../c", true),
            ("a/b/c", "../../d/e", true),
            ("a", "./b", true),
            ("a", "../b", false),
            ("a/b", "../../c", false),
            ("a", "/etc", false),
            ("a", "b/../c", false),
            ("a/b", "../c/../../d", false),
            ("a", "", false),
        ] {
            assert_eq!(stays_inside(Path::new(path), Path::new(text)), inside, "{path} -> {text}");
        }
    }
}
