//! Room: what a deploy that failed for want of room gives back first, for even its failure has to be written down.

use release::prune;
use rustix::io::Errno;

use crate::engine::Deploy;
use crate::journal::{Journal, JournalError};
use crate::slot;

/// Writes a line of the journal. Where there is no room for it, room is made first; only before the flip.
pub(crate) fn or_make(
    deploy: &Deploy<'_>,
    journal: &mut Journal,
    write: impl Fn(&mut Journal) -> Result<(), JournalError>,
) -> Result<(), JournalError> {
    match write(journal) {
        Err(JournalError::Unwritten(error)) if matches!(error.why, Errno::NOSPC | Errno::DQUOT) => {
            make(deploy, journal);
            // Read anew, for a part of the line may stand there.
            *journal = Journal::in_hand(deploy.lock)?.ok_or(error)?;
            write(journal)
        }
        written => written,
    }
}

/// Empties the place where it was built if the disk is full: no command could work on a full one. Where there is room
/// the tree stays, for it spares the next build most of its work.
pub(crate) fn give_back(deploy: &Deploy<'_>) {
    const LITTLE: u64 = 1 << 20;
    let work = deploy.app().work();
    let full = rustix::fs::statvfs(&work).is_ok_and(|stat| {
        stat.f_bavail.saturating_mul(stat.f_frsize) < LITTLE || (stat.f_files > 0 && stat.f_favail == 0)
    });
    if full {
        std::fs::remove_dir_all(work).unwrap_or(());
        std::fs::remove_dir_all(deploy.app().half()).unwrap_or(());
    }
}

/// Deletes what was made before the flip, where it was built, and the trash. What cannot be deleted is met again when
/// the deploy is undone, and told there.
fn make(deploy: &Deploy<'_>, journal: &Journal) {
    if let Some(id) = journal.release()
        && let Ok(Some(made)) = prune::discard(deploy.app(), id)
    {
        made.delete().unwrap_or(());
    }
    slot::stage::clear_next(deploy.app()).unwrap_or(());
    prune::empty_trash(deploy.lock).map(drop).unwrap_or(());
    std::fs::remove_dir_all(deploy.app().work()).unwrap_or(());
    std::fs::remove_dir_all(deploy.app().half()).unwrap_or(());
}
