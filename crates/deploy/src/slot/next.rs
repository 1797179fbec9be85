//! Next: what a slot is to hold, put together beside it: every directory and link, and the files that the slot has not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType, OFlags, readlinkat, statat};

use crate::slot::base::{Base, below, unreadable};
use crate::stage::StageError;
use crate::stage::create::open_below;

/// The tree that was put together.
#[derive(Debug, Default)]
pub(super) struct Next {
    pub files: BTreeSet<Vec<u8>>,
    pub links: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Directories, those above before those below.
    pub dirs: BTreeSet<Vec<u8>>,
}

impl Next {
    /// Takes down the names in it.
    pub fn scan(top: &OwnedFd, path: &Path) -> Result<Next, StageError> {
        let mut next = Next::default();
        let mut todo = vec![Vec::new()];
        while let Some(dir) = todo.pop() {
            let full = below(path, &dir);
            let open =
                open_below(top, &dir, OFlags::RDONLY | OFlags::DIRECTORY).map_err(unreadable(&full))?;
            for entry in Dir::read_from(&open).map_err(unreadable(&full))? {
                let entry = entry.map_err(unreadable(&full))?;
                let name = entry.file_name().to_bytes();
                if matches!(name, b"." | b"..") {
                    continue;
                }
                let at = if dir.is_empty() { name.to_vec() } else { [&dir, &b"/"[..], name].concat() };
                let full = below(path, &at);
                let stat = statat(&open, name, AtFlags::SYMLINK_NOFOLLOW).map_err(unreadable(&full))?;
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Symlink => {
                        let text = readlinkat(&open, name, Vec::new()).map_err(unreadable(&full))?;
                        next.links.insert(at, text.into_bytes());
                    }
                    FileType::Directory => {
                        next.dirs.insert(at.clone());
                        todo.push(at);
                    }
                    // We made it ourselves: files are all that is left.
                    FileType::RegularFile
                    | FileType::Fifo
                    | FileType::Socket
                    | FileType::CharacterDevice
                    | FileType::BlockDevice
                    | FileType::Unknown => {
                        next.files.insert(at);
                    }
                }
            }
        }
        Ok(next)
    }

    /// Whether PHP may remember something of the slot that no invalidation reaches, so that the slot needs a path that
    /// PHP has not met: where a link led (`led`: also those that are gone), that a directory was none, or which of two
    /// files of one name an include found first. What hooks make (`made_by_hooks`) is gone for a moment only.
    pub fn needs_new_paths(
        &self,
        base: &Base,
        led: &BTreeMap<Vec<u8>, Vec<u8>>,
        made_by_hooks: impl Fn(&[u8]) -> bool,
    ) -> bool {
        let has = |path: &[u8]| {
            self.files.contains(path) || self.links.contains_key(path) || self.dirs.contains(path)
        };
        let led_elsewhere =
            |(path, text): (&Vec<u8>, &Vec<u8>)| has(path) && self.links.get(path) != Some(text);
        let no_directory = |path: &Vec<u8>| self.files.contains(path) || self.links.contains_key(path);
        let no_file = |path: &Vec<u8>| self.dirs.contains(path) || self.links.contains_key(path);
        if base.links.iter().chain(led).any(led_elsewhere)
            || base.dirs.iter().any(no_directory)
            || base.files.keys().any(no_file)
        {
            return true;
        }
        let stays = |path: &Vec<u8>| {
            self.files.contains(path) || base.files.get(path).is_some_and(|stood| stood.is_kept())
        };
        let (stay, gone): (Vec<_>, Vec<_>) = base.files.keys().partition(|path| stays(path));
        let mut names: BTreeSet<&[u8]> = stay.into_iter().map(|path| name_of(path)).collect();
        let comes = self.files.iter().filter(|path| !base.files.contains_key(*path));
        if comes.clone().any(|path| names.contains(name_of(path))) {
            return true;
        }
        names.extend(comes.map(|path| name_of(path)));
        gone.into_iter().any(|path| names.contains(name_of(path)) && !made_by_hooks(path))
    }
}

/// The last part of a path.
fn name_of(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(paths: &[&str]) -> BTreeSet<Vec<u8>> {
        paths.iter().map(|path| path.as_bytes().to_vec()).collect()
    }

    fn map(links: &[(&str, &str)]) -> BTreeMap<Vec<u8>, Vec<u8>> {
        links.iter().map(|(path, text)| (path.as_bytes().to_vec(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn a_slot_keeps_its_paths_unless_php_may_remember_what_no_invalidation_reaches() {
        // The slot has the directory d, the link l -> one, and nothing else.
        let base = Base { links: map(&[("l", "one")]), dirs: set(&["d"]), ..Base::default() };
        let led = map(&[("gone", "somewhere")]);
        for (what, files, links, dirs, needs) in [
            ("nothing changed", &["x.php"][..], &[("l", "one")][..], &["d"][..], false),
            ("a link went", &[], &[], &["d"], false),
            ("a link leads elsewhere", &[], &[("l", "two")], &["d"], true),
            ("a link became a file", &["l"], &[], &["d"], true),
            ("a directory became a file", &["d"], &[("l", "one")], &[], true),
            ("a link came back as it was", &[], &[("l", "one"), ("gone", "somewhere")], &["d"], false),
            ("a link came back as another", &[], &[("l", "one"), ("gone", "home")], &["d"], true),
            ("a file came where a link was", &["gone"], &[("l", "one")], &["d"], true),
            ("a directory came where a link was", &[], &[("l", "one")], &["d", "gone"], true),
        ] {
            let next = Next { files: set(files), links: map(links), dirs: set(dirs) };
            assert_eq!(next.needs_new_paths(&base, &led, |_| false), needs, "{what}");
        }
    }
}
