//! Journal: the deploy in hand, line by line; by it the next command knows how far a killed one got.
//!
//! ```text
//! <sum, 16 hex digits> {"at":<milliseconds since 1970>,"begin":{…}|"started":"stage"|"done":{…}|"failed":{…}|"end":"live"}
//! ```
//! A line is on disk before its step has an effect. A torn last line is what a crash leaves, and is cut off; a line
//! that is wrong anywhere else was not torn by us, and the journal is refused.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use release::atomic::{self, AtomicError};
use release::lock::DeployLock;
use release::{App, ReleaseId};
use serde::{Deserialize, Serialize};

use crate::plan::{Aim, Plan};
use crate::receipt::{Receipt, Step};
use crate::source::Revision;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, in milliseconds since 1970.
    #[serde(rename = "at")]
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub said: Said,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// The deploy begins.
    Begin(Plan),
    /// A step begins.
    Started(Step),
    /// A step was done.
    Done(Receipt),
    /// A step failed.
    Failed {
        /// Which.
        step: Step,
        /// Why.
        why: String,
    },
    /// The deploy is over.
    End(Ending),
}

/// How a deploy ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The release is live.
    Live,
    /// It would have been what is live already.
    Unchanged,
    /// It failed before the flip, and is gone.
    Undone,
    /// It failed after the flip, and the one before is live again.
    FlippedBack,
    /// It failed after the flip, and there was nothing to flip back to.
    Unhealthy,
}

/// Why there is no journal to rely on.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A line that is not the last is wrong.
    #[error("{}, line {line}, is damaged", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// It could not be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The journal.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It could not be written.
    #[error(transparent)]
    Unwritten(#[from] AtomicError),
    /// A line could not be put into words.
    #[error("cannot write down a step")]
    Unwritable(#[from] serde_json::Error),
}

/// The journal of one deploy, open to be added to. Only who holds the deploy lock has one.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: OwnedFd,
    plan: Plan,
    entries: Vec<Entry>,
    /// Lines that are to be written with the next one.
    pending: String,
}

impl Journal {
    /// Begins a deploy; what the journal said of an earlier one is gone.
    pub fn begin(lock: &DeployLock, plan: Plan) -> Result<Journal, JournalError> {
        let path = lock.app().journal();
        let entry = Entry { at_ms: now_ms(), said: Said::Begin(plan.clone()) };
        atomic::replace(&path, line(&entry)?.as_bytes())?;
        let file = open(&path).map_err(|source| JournalError::Unreadable { path: path.clone(), source })?;
        Ok(Journal { path, file: file.into(), plan, entries: vec![entry], pending: String::new() })
    }

    /// The deploy that was begun and is not over. Cuts off a torn last line.
    pub fn in_hand(lock: &DeployLock) -> Result<Option<Journal>, JournalError> {
        let path = lock.app().journal();
        let Some(Found { entries, whole, len }) = read(lock.app())? else { return Ok(None) };
        let Some(plan) = unfinished(&entries) else { return Ok(None) };
        let file: OwnedFd =
            open(&path).map_err(|source| JournalError::Unreadable { path: path.clone(), source })?.into();
        if whole < len {
            atomic::cut(&file, &path, whole as u64)?;
        }
        Ok(Some(Journal { path, file, plan, entries, pending: String::new() }))
    }

    /// What was asked for.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Every line so far.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The release that it is about, once that is known.
    pub fn release(&self) -> Option<&ReleaseId> {
        about(&self.plan, &self.entries)
    }

    /// Where the tree to stage stands.
    pub fn tree(&self) -> Option<&PathBuf> {
        self.receipts().find_map(|receipt| {
            let Receipt::Built { tree, .. } = receipt else { return None };
            Some(tree)
        })
    }

    /// Where the release comes from.
    pub fn revision(&self) -> Revision {
        let found = self.receipts().find_map(|receipt| {
            let Receipt::Built { revision, .. } = receipt else { return None };
            Some(revision.clone())
        });
        found.unwrap_or_default()
    }

    /// What the flip left: the release that was live before it.
    pub fn left(&self) -> Option<&ReleaseId> {
        self.receipts().find_map(|receipt| {
            let Receipt::Flipped { from, .. } = receipt else { return None };
            from.as_ref()
        })
    }

    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<(Step, &str)> {
        failure(&self.entries)
    }

    /// What the steps left, in their order.
    pub fn receipts(&self) -> impl Iterator<Item = &Receipt> {
        self.entries.iter().filter_map(|entry| match &entry.said {
            Said::Done(receipt) => Some(receipt),
            Said::Begin(_) | Said::Started(_) | Said::Failed { .. } | Said::End(_) => None,
        })
    }

    /// How long each step took, in milliseconds, from its line before to its line after.
    pub fn took_ms(&self) -> Vec<(Step, u64)> {
        let mut took: Vec<(Step, u64)> = Vec::new();
        let mut began: Option<(Step, u64)> = None;
        for entry in &self.entries {
            let ended = match &entry.said {
                Said::Started(step) => {
                    began = Some((*step, entry.at_ms));
                    continue;
                }
                Said::Done(receipt) => receipt.step(),
                Said::Failed { step, .. } => *step,
                Said::Begin(_) | Said::End(_) => continue,
            };
            if let Some((step, at_ms)) = began.take().filter(|(step, _)| *step == ended) {
                took.push((step, entry.at_ms.saturating_sub(at_ms)));
            }
        }
        took
    }

    /// A step is about to have effects.
    pub fn started(&mut self, step: Step) -> Result<(), JournalError> {
        self.add(Said::Started(step))
    }

    /// A step was done. The line is on disk with the one after it, before the next step has an effect: one sync for
    /// both. Lost in between, the step counts as begun, and looks before it acts again.
    pub fn done(&mut self, receipt: Receipt) -> Result<(), JournalError> {
        let entry = Entry { at_ms: now_ms(), said: Said::Done(receipt) };
        self.pending += &line(&entry)?;
        self.entries.push(entry);
        Ok(())
    }

    /// A step failed.
    pub fn failed(&mut self, step: Step, why: String) -> Result<(), JournalError> {
        self.add(Said::Failed { step, why })
    }

    /// The deploy is over.
    pub fn end(&mut self, ending: Ending) -> Result<(), JournalError> {
        self.add(Said::End(ending))
    }

    fn add(&mut self, said: Said) -> Result<(), JournalError> {
        let entry = Entry { at_ms: now_ms(), said };
        let lines = std::mem::take(&mut self.pending) + &line(&entry)?;
        atomic::append(&self.file, &self.path, lines.as_bytes())?;
        self.entries.push(entry);
        Ok(())
    }
}

/// What a deploy that is not over is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InHand {
    /// What was asked for.
    pub plan: Plan,
    /// The release, where that is known.
    pub release: Option<ReleaseId>,
    /// The step that was begun last.
    pub step: Option<Step>,
}

/// The deploy that was begun and is not over. For whoever only looks: takes no lock and repairs nothing.
pub fn look(app: &App) -> Result<Option<InHand>, JournalError> {
    let Some(Found { entries, .. }) = read(app)? else { return Ok(None) };
    let Some(plan) = unfinished(&entries) else { return Ok(None) };
    let step = entries.iter().rev().find_map(|entry| match &entry.said {
        Said::Started(step) => Some(*step),
        Said::Begin(_) | Said::Done(_) | Said::Failed { .. } | Said::End(_) => None,
    });
    let release = about(&plan, &entries).cloned();
    Ok(Some(InHand { plan, release, step }))
}

/// How the last deploy, or rollback, ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// What was asked for.
    pub plan: Plan,
    /// The release, where that is known.
    pub release: Option<ReleaseId>,
    /// How it ended.
    pub ending: Ending,
    /// Which step failed, and why.
    pub failure: Option<(Step, String)>,
    /// When it ended, in milliseconds since 1970.
    pub at_ms: u64,
}

/// How the last deploy ended; `None`: there was none, or it is in hand. For whoever only looks.
pub fn last(app: &App) -> Result<Option<Last>, JournalError> {
    let Some(Found { entries, .. }) = read(app)? else { return Ok(None) };
    let Some(Said::Begin(plan)) = entries.first().map(|entry| entry.said.clone()) else { return Ok(None) };
    let end = entries.iter().find_map(|entry| match &entry.said {
        Said::End(ending) => Some((*ending, entry.at_ms)),
        Said::Begin(_) | Said::Started(_) | Said::Done(_) | Said::Failed { .. } => None,
    });
    let release = about(&plan, &entries).cloned();
    let failure = failure(&entries).map(|(step, why)| (step, why.to_owned()));
    Ok(end.map(|(ending, at_ms)| Last { plan, release, ending, failure, at_ms }))
}

/// This moment, in milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn failure(entries: &[Entry]) -> Option<(Step, &str)> {
    entries.iter().find_map(|entry| match &entry.said {
        Said::Failed { step, why } => Some((*step, why.as_str())),
        Said::Begin(_) | Said::Started(_) | Said::Done(_) | Said::End(_) => None,
    })
}

fn about<'a>(plan: &'a Plan, entries: &'a [Entry]) -> Option<&'a ReleaseId> {
    match &plan.aim {
        Aim::Rollback { to, .. } | Aim::Restore { to, .. } => Some(to),
        Aim::Deploy { .. } => entries.iter().find_map(|entry| {
            let Said::Done(Receipt::Built { release, .. }) = &entry.said else { return None };
            Some(release)
        }),
    }
}

/// The plan of a deploy that has no end yet.
fn unfinished(entries: &[Entry]) -> Option<Plan> {
    let over = entries.iter().any(|entry| matches!(entry.said, Said::End(_)));
    match entries.first().map(|entry| &entry.said) {
        Some(Said::Begin(plan)) if !over => Some(plan.clone()),
        Some(_) | None => None,
    }
}

struct Found {
    entries: Vec<Entry>,
    /// How many bytes the whole lines take, and how many there are.
    whole: usize,
    len: usize,
}

fn read(app: &App) -> Result<Option<Found>, JournalError> {
    let path = app.journal();
    let mut bytes = Vec::new();
    match std::fs::File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(JournalError::Unreadable { path, source }),
    }
    let (mut entries, mut whole) = (Vec::new(), 0);
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        match parse(line) {
            Some(entry) => {
                entries.push(entry);
                whole += line.len();
            }
            None if lines.peek().is_none() => break,
            None => return Err(JournalError::Damaged { path, line: index + 1 }),
        }
    }
    Ok(Some(Found { entries, whole, len: bytes.len() }))
}

fn open(path: &std::path::Path) -> std::io::Result<std::fs::File> {
    std::fs::File::options().append(true).open(path)
}

fn parse(line: &[u8]) -> Option<Entry> {
    let (said, rest) = std::str::from_utf8(line).ok()?.strip_suffix('\n')?.split_once(' ')?;
    if said != sum(rest) {
        return None;
    }
    serde_json::from_str(rest).ok()
}

fn line(entry: &Entry) -> Result<String, serde_json::Error> {
    let rest = serde_json::to_string(entry)?;
    Ok(format!("{} {rest}\n", sum(&rest)))
}

fn sum(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().chars().take(16).collect()
}
