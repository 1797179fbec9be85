//! Record: `.cutover/adopted`, what was found and what was changed, so that it can be handed back.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use release::App;
use release::atomic::{self, AtomicError};
use serde::{Deserialize, Serialize};

use super::disk;
use super::litter::Litter;
use super::survey::Survey;
use super::tool::Tool;

/// What adopting did, or is about to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Whose tree it was.
    pub tool: Tool,
    /// When it began, in milliseconds since 1970.
    pub begun_ms: u64,
    /// Links that are removed.
    pub litter: Vec<Litter>,
    /// Links and directories that are made, below the root, in the order in which they are.
    pub made: Vec<PathBuf>,
    /// The cutover.toml that is written, by its BLAKE3.
    pub config: String,
    /// When the root was last changed before it began, in nanoseconds since 1970.
    pub root_before_ns: Option<i128>,
    /// The same when it was done; `None`: it was not.
    pub root_after_ns: Option<i128>,
    /// Handing it back has begun: when the directories of the litter were last changed, one for each.
    pub back: Option<Vec<Option<i128>>>,
}

/// Why there is no record to rely on.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The record.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is not what was written.
    #[error("{path} is damaged")]
    Damaged {
        /// The record.
        path: PathBuf,
        /// How.
        source: serde_json::Error,
    },
    /// It cannot be written.
    #[error(transparent)]
    Unwritten(#[from] AtomicError),
}

/// The record of an adopted app; `None`: it was not adopted.
pub fn read(app: &App) -> Result<Option<Record>, RecordError> {
    let path = app.adopted();
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(RecordError::Unreadable { path, source }),
    };
    serde_json::from_slice(&text).map(Some).map_err(|source| RecordError::Damaged { path, source })
}

/// Writes down what is about to be done. What a run that was killed meant to do stays in it.
pub(crate) fn begin(
    app: &App,
    survey: &Survey,
    known: Option<Record>,
    text: &str,
) -> Result<Record, RecordError> {
    let root = app.root();
    let mut record = known.unwrap_or_else(|| Record {
        tool: survey.tool,
        begun_ms: millis(SystemTime::now()),
        litter: Vec::new(),
        made: Vec::new(),
        config: String::new(),
        root_before_ns: survey.root_changed_ns,
        root_after_ns: None,
        back: None,
    });
    for litter in &survey.litter {
        if !record.litter.iter().any(|known| known.path == litter.path) {
            record.litter.push(litter.clone());
        }
    }
    for beside in &survey.shared.beside {
        let path = Path::new("shared").join(beside);
        let missing = path.ancestors().filter(|above| !above.as_os_str().is_empty());
        let missing = missing.filter(|above| root.join(above).symlink_metadata().is_err());
        let mut missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
        missing.reverse();
        missing.retain(|path| !record.made.contains(path));
        record.made.extend(missing);
    }
    record.config = blake3::hash(text.as_bytes()).to_hex().to_string();
    write(app, &record)?;
    Ok(record)
}

/// Writes down that it is done.
pub(crate) fn done(app: &App, record: Record) -> Result<(), RecordError> {
    let root_after_ns = disk::mtime_ns(app.root());
    write(app, &Record { root_after_ns, ..record })
}

/// Writes down that handing it back begins; killed in the middle, the next run knows the times that were.
pub(crate) fn back(app: &App, mut record: Record) -> Result<Record, RecordError> {
    if record.back.is_none() {
        let times = record.litter.iter().map(|litter| app.root().join(&litter.path));
        record.back = Some(times.map(|path| path.parent().and_then(disk::mtime_ns)).collect());
        write(app, &record)?;
    }
    Ok(record)
}

fn write(app: &App, record: &Record) -> Result<(), RecordError> {
    let path = app.adopted();
    let text = serde_json::to_vec_pretty(record)
        .map_err(|source| RecordError::Damaged { path: path.clone(), source })?;
    Ok(atomic::replace(&path, &text)?)
}

impl Record {
    /// When it began.
    pub fn begun(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.begun_ms)
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
