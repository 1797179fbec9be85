//! A directory as the source: taken as it stands, or, where something is to be built, copied first.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use config::host::SourceTree;
use release::App;
use release::atomic;
use rustix::io::Errno;

use crate::source::{Fetched, SourceError, disk, git};
use crate::stage::exclude::Exclude;

/// The tree of a directory; a copy of it below `work` if there is something to build in it, since a build must leave
/// the source as it is.
pub(crate) fn fetch(
    source: &SourceTree,
    path: &Path,
    app: &App,
    work: &Path,
) -> Result<Fetched, SourceError> {
    let none = |why| SourceError::NoDirectory { path: path.to_owned(), why };
    let stat = rustix::fs::stat(path).map_err(none)?;
    if !path.is_dir() {
        return Err(none(Errno::NOTDIR));
    }
    // What stands above the source decides: a build must not begin in what is served.
    let place = |path: &Path| rustix::fs::stat(path).ok().map(|stat| (stat.st_dev, stat.st_ino));
    let own = [app.releases(), app.shared(), app.state()];
    let full = std::path::absolute(path).map_err(disk("find", path))?;
    for dir in own {
        let here = place(&dir);
        let inside = full.ancestors().any(|above| here.is_some() && place(above) == here);
        if inside || here == Some((stat.st_dev, stat.st_ino)) {
            return Err(SourceError::InsideApp { path: path.to_owned(), inside: dir });
        }
    }
    let exclude = Exclude::new(&source.exclude);
    let revision = git::revision_of(path, &exclude);
    if source.build.is_empty() {
        return Ok(Fetched { tree: path.to_owned(), revision });
    }
    let tree = work.join("tree");
    atomic::make_dir(&tree).map_err(|error| disk("make", &tree)(error.why))?;
    let avoid = [app.releases(), app.slots(), app.shared(), app.state(), work.to_owned()];
    let avoid: Vec<(u64, u64)> = avoid.iter().filter_map(|dir| place(dir)).collect();
    Mirror { exclude, avoid }.dir(path, &tree, &mut Vec::new())?;
    Ok(Fetched { tree, revision })
}

/// Makes one tree like another, and touches only what differs in size, time or mode.
struct Mirror {
    exclude: Exclude,
    avoid: Vec<(u64, u64)>,
}

impl Mirror {
    fn dir(&self, from: &Path, to: &Path, path: &mut Vec<u8>) -> Result<(), SourceError> {
        let mut stale = names(to)?;
        for entry in fs::read_dir(from).map_err(disk("list", from))? {
            let name = entry.map_err(disk("list", from))?.file_name();
            let (source, target) = (from.join(&name), to.join(&name));
            let len = path.len();
            if len > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name.as_encoded_bytes());
            let stat = source.symlink_metadata().map_err(disk("read", &source))?;
            let own = self.avoid.contains(&(stat.dev(), stat.ino()));
            if !own && !self.exclude.covers(path, name.as_encoded_bytes()) {
                let had = stale.remove(&name);
                self.entry((&source, &stat), (&target, had.as_ref()), path)?;
            }
            path.truncate(len);
        }
        for (name, stat) in stale {
            remove(&to.join(name), &stat)?;
        }
        Ok(())
    }

    fn entry(
        &self,
        (source, stat): (&Path, &fs::Metadata),
        (target, had): (&Path, Option<&fs::Metadata>),
        path: &mut Vec<u8>,
    ) -> Result<(), SourceError> {
        let same_kind = had.is_some_and(|had| had.file_type() == stat.file_type());
        if let Some(had) = had.filter(|_| !same_kind) {
            remove(target, had)?;
        }
        let kind = stat.file_type();
        if kind.is_dir() {
            if !same_kind {
                fs::create_dir(target).map_err(disk("make", target))?;
            }
            self.dir(source, target, path)?;
            fs::set_permissions(target, stat.permissions()).map_err(disk("write", target))
        } else if kind.is_symlink() {
            let text = fs::read_link(source).map_err(disk("read", source))?;
            if same_kind {
                if fs::read_link(target).ok().as_ref() == Some(&text) {
                    return Ok(());
                }
                fs::remove_file(target).map_err(disk("remove", target))?;
            }
            rustix::fs::symlink(&text, target).map_err(disk("write", target))
        } else if kind.is_file() {
            let mark = |stat: &fs::Metadata| (stat.size(), stat.mtime(), stat.mtime_nsec(), stat.mode());
            if had.filter(|_| same_kind).map(mark) == Some(mark(stat)) {
                return Ok(());
            }
            copy(source, target, stat, same_kind)
        } else {
            Err(SourceError::Disk {
                tried: "copy",
                path: source.to_owned(),
                why: std::io::Error::other(
                    "it is a socket, a fifo or a device; source.exclude can leave it out",
                ),
            })
        }
    }
}

fn copy(source: &Path, target: &Path, stat: &fs::Metadata, there: bool) -> Result<(), SourceError> {
    for _ in 0..3 {
        if there {
            fs::remove_file(target).or_else(missing_is_fine).map_err(disk("remove", target))?;
        }
        fs::copy(source, target).map_err(disk("copy", source))?;
        let file = fs::File::options().write(true).open(target).or_else(|_| fs::File::open(target));
        let file = file.map_err(disk("write", target))?;
        let modified = stat.modified().map_err(disk("read", source))?;
        file.set_modified(modified).map_err(disk("write", target))?;
        let after = source.symlink_metadata().map_err(disk("read", source))?;
        if (after.size(), after.mtime(), after.mtime_nsec()) == (stat.size(), stat.mtime(), stat.mtime_nsec())
        {
            return Ok(());
        }
    }
    Err(SourceError::Changing { path: source.to_owned() })
}

fn missing_is_fine(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn names(dir: &Path) -> Result<HashMap<OsString, fs::Metadata>, SourceError> {
    let mut names = HashMap::new();
    for entry in fs::read_dir(dir).map_err(disk("list", dir))? {
        let entry = entry.map_err(disk("list", dir))?;
        names.insert(entry.file_name(), entry.metadata().map_err(disk("read", dir))?);
    }
    Ok(names)
}

fn remove(path: &Path, stat: &fs::Metadata) -> Result<(), SourceError> {
    let removed = if stat.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.map_err(disk("remove", path))
}
