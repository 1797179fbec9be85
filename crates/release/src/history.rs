//! History: what was live, good, bad. Append-only, a checksum per line.
//!
//! ```text
//! <sum, 16 hex digits> <milliseconds since 1970> <live|good|bad> <release> <who>
//! ```
//! A torn last line is what a crash leaves: readers pass over it, the next append cuts it off. A line that is wrong
//! anywhere else was not torn by us, and the history is refused.

use crate::app::App;
use crate::atomic::{self, AtomicError};
use crate::flocked::Flocked;
use crate::id::ReleaseId;
use crate::sum::sum;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// One thing that happened to a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When; kept to the millisecond.
    pub time: SystemTime,
    /// To which release.
    pub id: ReleaseId,
    /// What happened.
    pub what: What,
    /// Who did it, such as `deploy@web1`.
    pub who: String,
}

/// What can happen to a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// It was made live.
    Live,
    /// It was live and passed.
    Good,
    /// It failed.
    Bad,
}

/// Why the history could not be read or added to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryError {
    /// A line that is not the last is wrong.
    Damaged {
        /// The history.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// It could not be read or locked.
    Unreadable {
        /// The history.
        path: PathBuf,
        /// What the kernel said.
        why: Errno,
    },
    /// It could not be written.
    Unwritten(AtomicError),
}

impl Event {
    /// An event of this moment.
    pub fn now(id: ReleaseId, what: What, who: &str) -> Event {
        Event { time: SystemTime::now(), id, what, who: who.to_owned() }
    }
}

/// All that happened, oldest first. No history yet: nothing happened.
pub fn read(app: &App) -> Result<Vec<Event>, HistoryError> {
    let path = app.history();
    match std::fs::read(&path) {
        Ok(bytes) => Ok(parse(&bytes).map_err(|line| HistoryError::Damaged { path, line })?.events),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => {
            Err(HistoryError::Unreadable { path, why: Errno::from_io_error(&error).unwrap_or(Errno::IO) })
        }
    }
}

/// Adds an event; on disk when it returns. Cuts off what a crash left of an earlier one.
pub fn append(app: &App, event: &Event) -> Result<(), HistoryError> {
    atomic::make_dir(&app.state()).map_err(HistoryError::Unwritten)?;
    let path = app.history();
    let unreadable = |why| HistoryError::Unreadable { path: path.clone(), why };
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = Flocked::new(openat(CWD, &path, flags, Mode::from_raw_mode(0o644)).map_err(unreadable)?);
    // Held over cut and write only, so waiting is short. A torn line is then never another's line in the making.
    let file = file.fd();
    lock(file).map_err(unreadable)?;
    let bytes = read_all(file).map_err(unreadable)?;
    let parsed = parse(&bytes).map_err(|line| HistoryError::Damaged { path: path.clone(), line })?;
    if parsed.whole < bytes.len() {
        atomic::cut(file, &path, parsed.whole as u64).map_err(HistoryError::Unwritten)?;
    }
    atomic::append(file, &path, line(event).as_bytes()).map_err(HistoryError::Unwritten)?;
    if bytes.is_empty() {
        atomic::sync_parent(&path).map_err(HistoryError::Unwritten)?;
    }
    Ok(())
}

/// Notes that a release was seen live, unless that is what the history says already. For flips by other tools, and
/// for the flip whose command was killed before it could note it. Says whether there was something to note.
pub fn note_live(app: &App, id: &ReleaseId, who: &str) -> Result<bool, HistoryError> {
    if last_live(&read(app)?) == Some(id) {
        return Ok(false);
    }
    append(app, &Event::now(id.clone(), What::Live, who))?;
    Ok(true)
}

/// Which release was made live last.
pub fn last_live(events: &[Event]) -> Option<&ReleaseId> {
    events.iter().rev().find(|event| event.what == What::Live).map(|event| &event.id)
}

/// When a release was last made live.
pub fn when_live(events: &[Event], id: &ReleaseId) -> Option<SystemTime> {
    events.iter().rev().find(|event| event.what == What::Live && event.id == *id).map(|event| event.time)
}

/// When a release stopped being live: the first time that another went live after it last did.
pub fn when_left(events: &[Event], id: &ReleaseId) -> Option<SystemTime> {
    let at = events.iter().rposition(|event| event.what == What::Live && event.id == *id)?;
    let after = events.get(at + 1..).unwrap_or_default();
    after.iter().find(|event| event.what == What::Live && event.id != *id).map(|event| event.time)
}

/// The last word on a release: good, bad, or none yet.
pub fn verdict(events: &[Event], id: &ReleaseId) -> Option<What> {
    let said = events.iter().rev().filter(|event| event.id == *id).map(|event| event.what);
    said.into_iter().find(|what| *what != What::Live)
}

/// The releases to roll back to from `id`: those that went live before it did for the first time, and whose last
/// verdict is good; the latest first. Rolling back twice goes back two releases: the one that was left by rolling
/// back went live later, so it does not count.
pub fn good_before(events: &[Event], id: &ReleaseId) -> Vec<ReleaseId> {
    let mut order: Vec<&ReleaseId> = Vec::new();
    for event in events.iter().filter(|event| event.what == What::Live) {
        if event.id == *id {
            break;
        }
        order.retain(|known| **known != event.id);
        order.push(&event.id);
    }
    order.into_iter().rev().filter(|id| verdict(events, id) == Some(What::Good)).cloned().collect()
}

/// The first of [`good_before`].
pub fn last_good_before(events: &[Event], id: &ReleaseId) -> Option<ReleaseId> {
    good_before(events, id).into_iter().next()
}

struct Parsed {
    events: Vec<Event>,
    /// How many bytes the whole lines take.
    whole: usize,
}

/// Takes the bytes of a history; an error is the number of the line that is wrong.
fn parse(bytes: &[u8]) -> Result<Parsed, usize> {
    let mut events = Vec::new();
    let mut whole = 0;
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        match parse_line(line) {
            Some(event) => {
                events.push(event);
                whole += line.len();
            }
            None if lines.peek().is_none() => break,
            None => return Err(index + 1),
        }
    }
    Ok(Parsed { events, whole })
}

fn parse_line(line: &[u8]) -> Option<Event> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (said, rest) = text.split_once(' ')?;
    if said != format!("{:016x}", sum(rest.as_bytes())) {
        return None;
    }
    let mut parts = rest.splitn(4, ' ');
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(parts.next()?.parse().ok()?))?;
    let what = match parts.next()? {
        "live" => What::Live,
        "good" => What::Good,
        "bad" => What::Bad,
        _ => return None,
    };
    let id = ReleaseId::parse(parts.next()?).ok()?;
    Some(Event { time, id, what, who: parts.next()?.to_owned() })
}

fn line(event: &Event) -> String {
    let millis = event.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    // A line break in a name would be a second line.
    let who: String = event.who.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let rest = format!("{millis} {} {} {who}", event.what, event.id);
    format!("{:016x} {rest}\n", sum(rest.as_bytes()))
}

fn lock(file: &OwnedFd) -> Result<(), Errno> {
    loop {
        match flock(file, FlockOperation::LockExclusive) {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

fn read_all(file: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match rustix::io::pread(file, &mut buffer[..], bytes.len() as u64) {
            Ok(0) => return Ok(bytes),
            Ok(n) => bytes.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            Err(Errno::INTR) => {}
            Err(why) => return Err(why),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            What::Live => "live",
            What::Good => "good",
            What::Bad => "bad",
        })
    }
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HistoryError::Damaged { path, line } => write!(
                f,
                "{}, line {line}, is damaged; move the file aside to begin a new history",
                path.display()
            ),
            HistoryError::Unreadable { path, why } => write!(f, "cannot read {}: {why}", path.display()),
            HistoryError::Unwritten(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HistoryError {}
