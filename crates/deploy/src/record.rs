//! Record: what a release is made of, who made it, and how long each step took: `.cutover/records/<id>`.

use release::atomic::{self, AtomicError};
use release::{App, ReleaseId};
use serde::{Deserialize, Serialize};

use crate::journal::{Ending, Journal};
use crate::receipt::{Receipt, Step};
use crate::source::Revision;

/// What is kept about a release; for people and for `--only-if-changed`, never for the truth about what is live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The release.
    pub release: String,
    /// Where it comes from.
    pub revision: Revision,
    /// Who built it, such as `alice@web1`.
    pub builder: String,
    /// When its deploy began, in milliseconds since 1970.
    pub began_ms: u64,
    /// BLAKE3 of its manifest, in hex; `None`: it was not sealed.
    pub manifest: Option<String>,
    /// How long each step took, in milliseconds.
    pub took_ms: Vec<(Step, u64)>,
    /// How its deploy ended; `None`: it has not yet.
    pub ending: Option<Ending>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// Why a record could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It could not be written.
    #[error(transparent)]
    Unwritten(#[from] AtomicError),
    /// It could not be put into words.
    #[error("cannot write down what a release is made of")]
    Unwritable(#[from] serde_json::Error),
}

/// Writes down what the journal knows of its release.
pub fn write(app: &App, journal: &Journal, ending: Option<Ending>) -> Result<(), RecordError> {
    let Some(id) = journal.release() else { return Ok(()) };
    let record = Record {
        release: id.to_string(),
        revision: journal.revision(),
        builder: journal.plan().who.clone(),
        began_ms: journal.plan().at_ms,
        manifest: journal.receipts().find_map(|receipt| {
            let Receipt::Sealed { manifest, .. } = receipt else { return None };
            Some(manifest.clone())
        }),
        took_ms: journal.took_ms(),
        ending,
        failure: journal.failure().map(|(step, why)| format!("{step}: {why}")),
    };
    let path = app.record(id);
    if let Some(dir) = path.parent() {
        atomic::make_dir(dir)?;
    }
    atomic::replace(&path, format!("{}\n", serde_json::to_string(&record)?).as_bytes())?;
    Ok(())
}

/// What is known about a release; a record that is not there or cannot be read is none.
pub fn read(app: &App, id: &ReleaseId) -> Option<Record> {
    serde_json::from_slice(&std::fs::read(app.record(id)).ok()?).ok()
}
