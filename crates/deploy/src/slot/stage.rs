//! Stage: a source becomes a release in a slot that nobody uses.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use release::atomic;
use release::manifest::{self, ManifestError};
use release::slot::{Held, SlotName};
use release::{App, ReleaseId, slot};
use rustix::fd::OwnedFd;
use rustix::fs::CWD;

use crate::slot::base::{Base, below};
use crate::slot::merge::{self, Trees};
use crate::slot::next::Next;
use crate::slot::turn::{SlotError, Turns};
use crate::slot::{keep, led, stale};
use crate::stage::create::{Creator, open_dir};
use crate::stage::{self, Progress, Rules, StageError, Staged, grant, shared, unwritten};
use crate::store::Store;
use crate::store::index::{self, time};

/// Stages the tree at `from` as a release in a slot; it is not sealed yet. `progress` is told some times per second.
///
/// Until the slot is taken nothing of it is changed, so what fails for want of room or by the source leaves it whole.
pub fn stage(
    turns: &Turns<'_>,
    rules: &Rules,
    from: &Path,
    id: &ReleaseId,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Staged, Links), StageError> {
    let began = Instant::now();
    let app = turns.app();
    match manifest::sealed(app, id) {
        Ok(_) => return Err(StageError::Sealed { id: id.clone() }),
        Err(ManifestError::NoRelease { .. } | ManifestError::Unsealed { .. }) => {}
        Err(why) => return Err(StageError::Unsure { id: id.clone(), why }),
    }
    let source = stage::open_tree(from)?;
    let store = Store::open(app)?;
    let links = shared::prepare(app, rules, &source, from)?;
    let turn = Turn::begin(turns, id)?;
    let filled = stage::tries(|| {
        turn.base.keep_nothing();
        clear_next(app)?;
        stage::fill(app, rules, (&source, from), &turn.next, Some(&turn.base), &store, &links, progress)
    })?;
    let mut staged = filled.staged;
    let links = turn.take(turns, rules, id, &store)?;
    filled.note(app, id)?;
    staged.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok((staged, links))
}

/// The links of the release that had the slot before.
#[derive(Debug, Default)]
pub struct Links(BTreeMap<Vec<u8>, Vec<u8>>);

impl Links {
    /// Looks, after the hooks, whether each that is there again leads where it led; else gives its path.
    pub fn lead_where_they_led(&self, slot: &Path) -> Result<(), PathBuf> {
        let moved = self.0.iter().find(|(path, text)| {
            rustix::fs::readlink(below(slot, path), Vec::new()).is_ok_and(|now| now.as_bytes() != &text[..])
        });
        moved.map_or(Ok(()), |(path, _)| Err(PathBuf::from(OsStr::from_bytes(path))))
    }
}

/// A turn that is prepared beside the slot.
pub(super) struct Turn {
    name: SlotName,
    until: Instant,
    pub base: Base,
    /// Where the next content is put together.
    pub next: PathBuf,
}

impl Turn {
    /// Waits for a slot that nobody uses, and looks at what stands in it.
    pub fn begin(turns: &Turns<'_>, id: &ReleaseId) -> Result<Turn, StageError> {
        let app = turns.app();
        // A link of this name is what a killed deploy left, or an older turn of a release that is brought back.
        slot::take_name(turns.lock, id).map_err(SlotError::from)?;
        clear_next(app)?;
        let until = Instant::now() + turns.wait;
        // Let go again: until it is rewritten whoever flips to its release may have it.
        let name = turns.take(until)?.name().clone();
        let path = app.slot(&name);
        let open = open_dir(CWD, &path).map_err(unwritten(&path))?;
        Ok(Turn { base: scan(app, &name, &open, &path)?, next: app.next(id), name, until })
    }

    /// Makes the slot what was put together, and gives it to the release. Gives the links that stood there before under
    /// the paths that PHP knows.
    pub fn take(
        self,
        turns: &Turns<'_>,
        rules: &Rules,
        id: &ReleaseId,
        store: &Store,
    ) -> Result<Links, StageError> {
        let app = turns.app();
        let top = open_dir(CWD, &self.next).map_err(unwritten(&self.next))?;
        let next = Next::scan(&top, &self.next)?;
        let mut held = self.unnamed(turns)?;
        stale::note(app, held.name(), &self.base)
            .map_err(|error| unwritten(&app.stale())(stale::errno(&error)))?;
        let mut led = led::of(app, held.name())?;
        let renewed = turns.php && next.needs_new_paths(&self.base, &led, |path| made_by_hooks(app, path));
        if renewed {
            led::note(app, held.name(), &led::Links::new())?;
            held.renew().map_err(SlotError::from)?;
        } else if turns.php {
            led.extend(self.base.links.clone());
            led.retain(|path, _| !next.links.contains_key(path));
            led::note(app, held.name(), &led)?;
        }
        let path = app.slot(held.name());
        let open = open_dir(CWD, &path).map_err(unwritten(&path))?;
        keep::displaced(store, &open, &path, &self.base)?;
        merge::merge(&Trees { next: &top, slot: &open, path: &path }, &self.base, &next)?;
        let creator = Creator::new(rules.owner(), &open).map_err(unwritten(&path))?;
        grant::all(app, rules, &creator, &open, &path)?;
        atomic::sync_all(&open, &path)?;
        held.give(id).map_err(SlotError::from)?;
        drop(held);
        clear_next(app)?;
        Ok(if renewed || !turns.php { Links::default() } else { Links(self.base.links) })
    }

    /// The slot, held, with no name left and nobody in it.
    fn unnamed(&self, turns: &Turns<'_>) -> Result<Held, StageError> {
        let mut told = false;
        loop {
            let held = turns.take_again(&self.name, self.until)?;
            let names = held.unname(turns.lock).map_err(SlotError::from)?;
            // Looked at again: somebody may have gone in by a name that was there a moment ago.
            let Some(user) = turns.user(&self.name)? else { return Ok(held) };
            for id in &names {
                held.give(id).map_err(SlotError::from)?;
            }
            drop(held);
            turns.go_on(self.until, &mut told, vec![(self.name.clone(), user)])?;
        }
    }
}

/// What stands in a slot, with the help of the seal of the release whose turn it is.
fn scan(app: &App, name: &SlotName, open: &OwnedFd, path: &Path) -> Result<Base, StageError> {
    let ids = slot::named(app, name).unwrap_or_default();
    let sealed = ids.iter().find_map(|id| {
        let stat = rustix::fs::stat(app.manifest(id)).ok()?;
        let manifest = manifest::load_at(app, id, path).ok().flatten()?;
        Some((manifest, time(stat.st_mtime, stat.st_mtime_nsec as i64)))
    });
    Base::scan(open, path, sealed.as_ref().map(|(manifest, at_ns)| (manifest, *at_ns)))
}

/// Whether a hook made this file in the release that was staged last: it is in that one's seal, but was not staged.
fn made_by_hooks(app: &App, path: &[u8]) -> bool {
    let Some(last) = index::load(app) else { return false };
    let sealed = manifest::recorded(app, last.release()).ok().flatten();
    last.get(path).is_none() && sealed.is_some_and(|sealed| sealed.get(path).is_some())
}

/// Removes what was put together beside slots, by us or by a command that was killed.
pub(crate) fn clear_next(app: &App) -> Result<(), StageError> {
    let entries = match std::fs::read_dir(app.slots()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(&app.slots(), &error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| failed(&app.slots(), &error))?;
        if entry.file_name().as_encoded_bytes().starts_with(b".next-") {
            std::fs::remove_dir_all(entry.path()).map_err(|error| failed(&entry.path(), &error))?;
        }
    }
    Ok(())
}

fn failed(path: &Path, error: &std::io::Error) -> StageError {
    unwritten(path)(rustix::io::Errno::from_io_error(error).unwrap_or(rustix::io::Errno::IO))
}
