//! Salvage: what a killed deploy had copied becomes blobs, so that the next one does not copy it again.
//!
//! The half-made tree itself is never completed: nobody can say which of its files are whole. But whatever a file
//! holds, that is what its blob is named by.

use release::{App, atomic};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, FileType, OFlags, statat};

use crate::stage::create::{open_below, open_dir};
use crate::stage::list::each_in;
use crate::stage::sharing::Sharing;
use crate::stage::traits::mode_of;
use crate::stage::{blobs, content};
use crate::store::blob::Traits;
use crate::store::index::{Row, Stamp};
use crate::store::{Store, names_of};

/// Makes blobs of a half-made tree's files, if there is one, and deletes it. A help, not a need: what fails is copied.
/// Gives how many files that were.
pub(crate) fn salvage(app: &App, store: &Store, sharing: Sharing) -> u64 {
    let half = app.half();
    let Ok(top) = open_dir(CWD, &half) else { return 0 };
    let mut files = Vec::new();
    let mut todo = vec![Vec::new()];
    while let Some(path) = todo.pop() {
        if sharing != Sharing::Nothing {
            // A directory that cannot be read to its end gives what was read.
            directory(&top, path, sharing, &mut todo, &mut files).unwrap_or(());
        }
    }
    let count = files.len() as u64;
    // A blob is on disk for good before it has its name.
    if count > 0 && atomic::sync_all(&top, &half).is_ok() {
        blobs::make(store, &top, files.into_iter());
    }
    std::fs::remove_dir_all(&half).unwrap_or(());
    count
}

fn directory(
    top: &OwnedFd,
    mut path: Vec<u8>,
    sharing: Sharing,
    todo: &mut Vec<Vec<u8>>,
    files: &mut Vec<(Vec<u8>, Row)>,
) -> Result<(), ()> {
    let dir = open_below(top, &path, OFlags::RDONLY | OFlags::DIRECTORY).map_err(drop)?;
    each_in(
        &dir,
        &mut path,
        |_, _| (),
        |name, path| {
            let Ok(stat) = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => todo.push(path.to_vec()),
                // With two names it is a blob already.
                FileType::RegularFile if names_of(&stat) == 1 => {
                    let opened = open_below(&dir, name.to_bytes(), OFlags::RDONLY | OFlags::NONBLOCK);
                    if let Ok(hash) = opened.and_then(|file| content::read_hash(&file)) {
                        let stamp = Stamp::of(&stat);
                        let mode = mode_of(&stat);
                        let traits =
                            Traits { mode, uid: stat.st_uid, gid: stat.st_gid, mtime_ns: stamp.mtime_ns };
                        files.push((path.to_vec(), Row { stamp, traits, fate: sharing.fate(), hash }));
                    }
                }
                FileType::RegularFile
                | FileType::Symlink
                | FileType::Fifo
                | FileType::Socket
                | FileType::CharacterDevice
                | FileType::BlockDevice
                | FileType::Unknown => {}
            }
            Ok(())
        },
    )
}
