//! Turn: whose slot the next release takes, and waiting until nobody uses it.

use std::cell::RefCell;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use release::lock::DeployLock;
use release::slot::{self, Held, SlotName};
use release::{App, ReleaseId, history, live};

use crate::used::{self, Workers};

/// How releases take turns, and what a deploy that waits for one looks at.
pub struct Turns<'a> {
    /// The deploy lock.
    pub lock: &'a DeployLock,
    /// How many slots there may be.
    pub slots: u32,
    /// How long to wait for one that nobody uses.
    pub wait: Duration,
    /// Where pools tell what their workers do.
    pub workers: &'a [Workers],
    /// Whether PHP runs scripts of the slots, and so remembers them.
    pub php: bool,
    /// Set when the deploy is to stop.
    pub stop: &'a AtomicBool,
    /// Told what is waited for.
    pub tell: RefCell<&'a mut dyn FnMut(&str)>,
}

/// Why no slot was taken. What is live was not touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// Every slot but the live one is in use.
    #[error("no slot is free: {}", told(by))]
    Used {
        /// Who uses which.
        by: Vec<(SlotName, String)>,
    },
    /// Who uses the slots cannot be told.
    #[error("it cannot be told who uses the slots: {why}")]
    Blind {
        /// Why.
        why: String,
    },
    /// The slots could not be looked at or renamed.
    #[error(transparent)]
    Slot(#[from] slot::SlotError),
    /// A release cannot be made whole again: nobody has these files any more.
    #[error("{release} cannot be brought back: nobody has {} any more{}", missing.first().map(|path| path.display().to_string()).unwrap_or_default(), more(missing.len()))]
    Lost {
        /// The release.
        release: ReleaseId,
        /// Below the release.
        missing: Vec<PathBuf>,
    },
    /// Nothing is known of what it consisted of.
    #[error("what {release} consisted of is not known: {why}")]
    Unknown {
        /// The release.
        release: ReleaseId,
        /// Why.
        why: String,
    },
    /// It was told to stop while it waited.
    #[error("the deploy was stopped")]
    Stopped,
}

/// A look at who uses the slots costs a walk through /proc.
const EVERY: Duration = Duration::from_millis(250);

impl SlotError {
    /// Whether it is a refusal: another time it may be possible.
    pub fn is_refusal(&self) -> bool {
        match self {
            SlotError::Used { .. } | SlotError::Slot(slot::SlotError::Leased { .. }) => true,
            SlotError::Blind { .. }
            | SlotError::Slot(_)
            | SlotError::Lost { .. }
            | SlotError::Unknown { .. }
            | SlotError::Stopped => false,
        }
    }
}

impl Turns<'_> {
    pub(super) fn app(&self) -> &App {
        self.lock.app()
    }

    /// A slot that nobody uses at this moment, held: a new one while there may be more, else the one whose release is
    /// wanted back the least. Waits until `until`.
    pub(super) fn take(&self, until: Instant) -> Result<Held, SlotError> {
        let mut told = false;
        loop {
            let mut by = Vec::new();
            for name in self.in_order()? {
                match self.try_take(&name)? {
                    Ok(held) => return Ok(held),
                    Err(user) => by.push((name, user)),
                }
            }
            self.go_on(until, &mut told, by)?;
        }
    }

    /// The same slot again, as far as leases tell.
    pub(super) fn take_again(&self, name: &SlotName, until: Instant) -> Result<Held, SlotError> {
        let mut told = false;
        loop {
            match self.hold(name)? {
                Ok(held) => return Ok(held),
                Err(user) => self.go_on(until, &mut told, vec![(name.clone(), user)])?,
            }
        }
    }

    /// Waits a little, or gives up.
    pub(super) fn go_on(
        &self,
        until: Instant,
        told: &mut bool,
        by: Vec<(SlotName, String)>,
    ) -> Result<(), SlotError> {
        if self.stop.load(Ordering::SeqCst) {
            return Err(SlotError::Stopped);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(SlotError::Used { by });
        }
        if !*told {
            *told = true;
            let tell = &mut *self.tell.borrow_mut();
            tell(&format!("waiting for a slot: {}", self::told(&by)));
        }
        std::thread::sleep(EVERY.min(left));
        Ok(())
    }

    /// Holds a slot if nobody uses it, else says who does.
    fn try_take(&self, name: &SlotName) -> Result<Result<Held, String>, SlotError> {
        match self.hold(name)? {
            Ok(held) => Ok(self.user(name)?.map_or(Ok(held), Err)),
            Err(user) => Ok(Err(user)),
        }
    }

    /// Holds a slot if it is neither live nor leased.
    fn hold(&self, name: &SlotName) -> Result<Result<Held, String>, SlotError> {
        match slot::hold(self.app(), name) {
            Ok(held) => Ok(Ok(held)),
            Err(slot::SlotError::Leased { .. }) => Ok(Err(self.lessee(name))),
            Err(slot::SlotError::Live { .. }) => Ok(Err("it is live".into())),
            Err(error) => Err(error.into()),
        }
    }

    /// Who works in a slot without a lease on it: a process, or a worker of a pool.
    pub(super) fn user(&self, name: &SlotName) -> Result<Option<String>, SlotError> {
        let slots = self.slots_dir();
        let same = |id: &ReleaseId| id.as_str() == name.as_str();
        if let Some((_, who)) = used::by_process(&slots).into_iter().find(|(id, _)| same(id)) {
            return Ok(Some(who));
        }
        for workers in self.workers {
            let busy = used::by_worker(&slots, workers).map_err(|why| SlotError::Blind { why })?;
            if let Some((_, who)) = busy.into_iter().find(|(id, _)| same(id)) {
                return Ok(Some(who));
            }
        }
        Ok(None)
    }

    /// Slots as paths name them: canonical.
    fn slots_dir(&self) -> PathBuf {
        let slots = self.app().slots();
        #[allow(
            clippy::disallowed_methods,
            reason = "slots/ lies above every slot: no flip changes where it is"
        )]
        slots.canonicalize().unwrap_or(slots)
    }

    /// The slots that may be taken, the best first.
    fn in_order(&self) -> Result<Vec<SlotName>, SlotError> {
        let app = self.app();
        let order = in_order(app, self.slots).map_err(|error| unread(app, &error))?;
        if let [first] = &order[..]
            && !app.slot(first).is_dir()
        {
            slot::make(app, first).map_err(slot::SlotError::Unwritten)?;
        }
        Ok(order)
    }

    /// Who holds the lease on a slot, as the kernel tells (proc_locks(5)).
    fn lessee(&self, name: &SlotName) -> String {
        let ino = std::fs::metadata(self.app().slot(name)).map(|stat| stat.ino());
        let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
        let holder = locks.lines().find_map(|line| {
            let mut words = line.split_whitespace().skip_while(|word| *word != "FLOCK").skip(3);
            let (pid, place) = (words.next()?, words.next()?);
            let found = place.rsplit(':').next()?.parse::<u64>().ok()?;
            (Some(found) == ino.as_ref().ok().copied()).then(|| pid.to_owned())
        });
        match holder {
            Some(pid) => {
                let command = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                format!("a lease of process {pid} ({})", command.trim())
            }
            None => "a lease".into(),
        }
    }
}

/// The slots that the next release may take, the best first: a new one where there may be one more, else those that
/// are not live, the way back last, and what was left longest ago before what was left of late.
pub fn in_order(app: &App, slots: u32) -> std::io::Result<Vec<SlotName>> {
    let there = slot::all(app)?;
    let is_new = |new: &SlotName| !there.iter().any(|old| old.letter() == new.letter());
    if there.len() < slots as usize
        && let Some(new) = SlotName::first().find(is_new)
    {
        return Ok(vec![new]);
    }
    let live = live::read(app).ok();
    let events = history::read(app).unwrap_or_default();
    let back = live.as_ref().and_then(|live| history::last_good_before(&events, &live.id));
    let mut order = Vec::new();
    for name in there {
        let ids = slot::named(app, &name)?;
        if live.as_ref().is_some_and(|live| ids.contains(&live.id)) {
            continue;
        }
        let wanted = back.as_ref().is_some_and(|back| ids.contains(back));
        let left = ids.iter().filter_map(|id| history::when_left(&events, id)).max();
        order.push((wanted, left, name));
    }
    order.sort();
    Ok(order.into_iter().map(|(_, _, name)| name).collect())
}

fn unread(app: &App, error: &std::io::Error) -> SlotError {
    SlotError::Blind { why: format!("{}: {error}", app.slots().display()) }
}

fn told(by: &[(SlotName, String)]) -> String {
    let each: Vec<String> = by.iter().map(|(name, who)| format!("slot {name} is used by {who}")).collect();
    if each.is_empty() { "there is none but the live one".into() } else { each.join(", ") }
}

fn more(count: usize) -> String {
    if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() }
}
