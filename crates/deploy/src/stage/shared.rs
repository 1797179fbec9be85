//! Shared places: directories and files that outlive releases, and the links to them in each release.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use release::App;
use release::atomic;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, mkdirat, statat};
use rustix::io::Errno;

use crate::stage::create::{Creator, open_below, open_dir};
use crate::stage::exclude::Exclude;
use crate::stage::grant::lies_in;
use crate::stage::rules::Rules;
use crate::stage::sharing::Sharing;
use crate::stage::tree::{self, Plan, special};
use crate::stage::{StageError, now_ns, unwritten};

/// A link that every release gets.
#[derive(Debug)]
pub(crate) struct SharedLink {
    path: PathBuf,
    text: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Directory,
    File,
}

impl Wanted {
    fn key(self) -> &'static str {
        match self {
            Wanted::Directory => "shared_dirs",
            Wanted::File => "shared_files",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Wanted::Directory => "directory",
            Wanted::File => "file",
        }
    }
}

/// Makes sure that every shared place is there, taking what is missing from the source, and gives the links.
///
/// What is there is never changed.
pub(crate) fn prepare(
    app: &App,
    rules: &Rules,
    source: &OwnedFd,
    from: &Path,
) -> Result<Vec<SharedLink>, StageError> {
    let dirs = rules.shared_dirs.iter().map(|path| (path, Wanted::Directory));
    let files = rules.shared_files.iter().map(|path| (path, Wanted::File));
    let mut links: Vec<SharedLink> = Vec::new();
    let mut wanted: Vec<_> = dirs.chain(files).collect();
    // A place inside another is there with that one; shorter paths come first.
    wanted.sort_by_key(|(path, _)| path.components().count());
    for (path, wanted) in wanted {
        place(app, rules, source, from, path, wanted)?;
        if !links.iter().any(|link| path.starts_with(&link.path)) {
            links.push(SharedLink { path: path.clone(), text: text(app, path) });
        }
    }
    Ok(links)
}

/// Makes sure that one shared place is there.
fn place(
    app: &App,
    rules: &Rules,
    source: &OwnedFd,
    from: &Path,
    path: &Path,
    wanted: Wanted,
) -> Result<(), StageError> {
    let place = app.shared().join(path);
    let in_source = kind_in(source, from, path, &rules.exclude)?;
    let in_the_way = |path: PathBuf, kind| {
        Err(StageError::InTheWay { path, is: name_of(kind), wanted: wanted.word(), key: wanted.key() })
    };
    // What a release brings along is hidden by the link, which is meant; but not a directory by a file.
    match (wanted, in_source) {
        (_, None)
        | (Wanted::Directory, Some(FileType::Directory))
        | (Wanted::File, Some(FileType::RegularFile)) => {}
        (_, Some(kind)) => return in_the_way(from.join(path), kind),
    }
    // A shared place may itself be a link, to another disk for example.
    match statat(CWD, &place, AtFlags::empty()) {
        Ok(stat) => match (wanted, FileType::from_raw_mode(stat.st_mode)) {
            (Wanted::Directory, FileType::Directory) => Ok(()),
            (Wanted::File, kind) if kind != FileType::Directory => Ok(()),
            (_, kind) => in_the_way(place, kind),
        },
        Err(Errno::NOENT) if rustix::fs::lstat(&place).is_ok() => {
            Err(StageError::Unreadable { path: place, why: Errno::NOENT })
        }
        Err(Errno::NOENT) => first(app, rules, source, from, path, wanted, in_source.is_some()),
        Err(Errno::NOTDIR) => {
            let file = place.ancestors().skip(1).find(|above| rustix::fs::stat(*above).is_ok());
            in_the_way(file.unwrap_or(&place).to_owned(), FileType::RegularFile)
        }
        Err(why) => Err(StageError::Unreadable { path: place, why }),
    }
}

/// Begins a shared place with what the source has there.
fn first(
    app: &App,
    rules: &Rules,
    source: &OwnedFd,
    from: &Path,
    path: &Path,
    wanted: Wanted,
    in_source: bool,
) -> Result<(), StageError> {
    let place = app.shared().join(path);
    let above = place.parent().unwrap_or(&place).to_owned();
    if wanted == Wanted::File && !in_source {
        return Err(StageError::NoSharedFile { path: place });
    }
    make_dirs(rules, &app.shared(), &above)?;
    // Made beside its place and renamed, so that it is never half there.
    let mut new: OsString = ".cutover-new-".into();
    new.push(place.file_name().unwrap_or_default());
    let new = above.join(new);
    clear(&new)?;
    atomic::make_dir(&new)?;
    let dir = open_dir(CWD, &new).map_err(unwritten(&new))?;
    let creator = Creator::new(rules.owner(), &dir).map_err(unwritten(&new))?;
    let plan = |exclude, from| Plan {
        has_blobs: false,
        from,
        to: &new,
        creator,
        sharing: Sharing::Nothing,
        exclude,
        left_out: Vec::new(),
        private: Vec::new(),
        avoid: tree::own_dirs(app),
        store: None,
        index: None,
        base: None,
        now_ns: now_ns(),
    };
    let none = Exclude::default();
    match wanted {
        Wanted::Directory => {
            let mut mode = 0o755;
            if in_source {
                let from = from.join(path);
                let bytes = path.as_os_str().as_bytes();
                let open = open_below(source, bytes, OFlags::RDONLY | OFlags::DIRECTORY);
                let open = open.map_err(|why| StageError::Unreadable { path: from.clone(), why })?;
                mode = rustix::fs::fstat(&open).map_or(mode, |stat| stat.st_mode);
                tree::copy(&plan(&none, &from), &open, &dir, &mut |_| {})?;
            }
            creator.finish_dir(&dir, mode).map_err(unwritten(&new))?;
            atomic::sync_all(&dir, &new)?;
            atomic::move_to(&new, &place)?;
        }
        Wanted::File => {
            // A directory with the one file in it, for the sake of its temporary name.
            let from_dir = from.join(path.parent().unwrap_or(Path::new("")));
            let open = crate::stage::open_tree(&from_dir)?;
            let name = path.file_name().unwrap_or_default();
            tree::copy_one(&plan(&none, &from_dir), &open, &dir, name)?;
            atomic::sync_all(&dir, &new)?;
            atomic::move_to(&new.join(name), &place)?;
            clear(&new)?;
        }
    }
    Ok(())
}

/// Makes the directories between `top` and `dir`, and gives them to the owner.
fn make_dirs(rules: &Rules, top: &Path, dir: &Path) -> Result<(), StageError> {
    let missing: Vec<&Path> = dir
        .ancestors()
        .take_while(|above| above.starts_with(top) && rustix::fs::stat(*above).is_err())
        .collect();
    for dir in missing.into_iter().rev() {
        atomic::make_dir(dir)?;
        let open = open_dir(CWD, dir).map_err(unwritten(dir))?;
        let creator = Creator::new(rules.owner(), &open).map_err(unwritten(dir))?;
        creator.finish_dir(&open, 0o755).map_err(unwritten(dir))?;
    }
    Ok(())
}

/// Removes what a killed run left under a name of ours.
fn clear(new: &Path) -> Result<(), StageError> {
    match std::fs::remove_dir_all(new) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unwritten(new)(Errno::from_io_error(&error).unwrap_or(Errno::IO))),
    }
}

/// What the source has at a path; nothing, if that is left out.
fn kind_in(
    source: &OwnedFd,
    from: &Path,
    path: &Path,
    exclude: &Exclude,
) -> Result<Option<FileType>, StageError> {
    if exclude.covers_below(path) {
        return Ok(None);
    }
    match statat(source, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(why) => Err(StageError::Unreadable { path: from.join(path), why }),
    }
}

fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => special(kind),
    }
}

/// What a link at `path` in a release says: relative, so that the app's directory can be moved; absolute where
/// `releases/` itself leads elsewhere.
fn text(app: &App, path: &Path) -> PathBuf {
    let place = |path: &Path| rustix::fs::stat(path).map(|stat| (stat.st_dev, stat.st_ino));
    let elsewhere = match place(&app.releases().join("..")) {
        // Before the first deploy there is none: it will be made below the root.
        Err(Errno::NOENT) => false,
        above => above != place(app.root()),
    };
    if elsewhere {
        return app.shared().join(path);
    }
    let mut text = PathBuf::new();
    for _ in 0..path.components().count() + 1 {
        text.push("..");
    }
    text.push("shared");
    text.push(path);
    text
}

impl SharedLink {
    /// Where it stands in a release.
    pub fn path(&self) -> &[u8] {
        self.path.as_os_str().as_bytes()
    }

    /// Makes it, in a release that has all its files.
    pub fn make(&self, creator: &Creator, release: &OwnedFd, dir: &Path) -> Result<(), StageError> {
        let path = self.path();
        let (above, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
            None => (&b""[..], path),
        };
        make_below(creator, release, dir, above)?;
        let full = dir.join(&self.path);
        let at = open_below(release, above, OFlags::RDONLY | OFlags::DIRECTORY).map_err(unwritten(&full))?;
        creator.link(&at, name, self.text.as_os_str().as_bytes()).map_err(unwritten(&full))
    }
}

/// Makes the directories of a path below the release that are missing.
pub(crate) fn make_below(
    creator: &Creator,
    release: &OwnedFd,
    dir: &Path,
    path: &[u8],
) -> Result<(), StageError> {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    for end in ends.chain([path.len()]).filter(|end| *end > 0) {
        let part = path.get(..end).unwrap_or_default();
        let full = dir.join(OsStr::from_bytes(part));
        let at = part.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at);
        let above =
            open_below(release, part.get(..at).unwrap_or_default(), OFlags::RDONLY | OFlags::DIRECTORY)
                .map_err(unwritten(&full))?;
        let name = part.get(if at == 0 { 0 } else { at + 1 }..).unwrap_or_default();
        atomic::effect();
        match mkdirat(&above, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                let made = open_below(release, part, OFlags::RDONLY | OFlags::DIRECTORY)
                    .map_err(unwritten(&full))?;
                creator.finish_dir(&made, 0o755).map_err(unwritten(&full))?;
            }
            Err(Errno::EXIST) => {}
            Err(why) => return Err(unwritten(&full)(why)),
        }
    }
    Ok(())
}

/// Whether `path` lies in a shared directory; if so, where that is.
pub(crate) fn shared_home(app: &App, rules: &Rules, path: &Path) -> Option<PathBuf> {
    let bytes = path.as_os_str().as_bytes();
    let inside = |dir: &PathBuf| lies_in(bytes, dir.as_os_str().as_bytes());
    rules.shared_dirs.iter().any(inside).then(|| app.shared().join(path))
}
