//! Freeze: nobody may deploy, and a file says why; and the locks of other tools, which are respected.

use std::path::{Path, PathBuf};

use release::App;
use release::atomic::{self, AtomicError};
use serde::{Deserialize, Serialize};

use crate::journal::now_ms;

/// Why nobody may deploy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// As it was said.
    pub reason: String,
    /// Who said it.
    pub who: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// A lock that another tool holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Its file.
    pub path: PathBuf,
    /// Which tool makes such files.
    pub tool: &'static str,
    /// The first line of it: Deployer writes the user there.
    pub says: String,
}

/// Why a Freeze could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// It could not be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It could not be written or removed.
    #[error(transparent)]
    Unwritten(#[from] AtomicError),
    /// It could not be put into words.
    #[error("cannot write down the reason")]
    Unwritable(#[from] serde_json::Error),
}

/// Freezes the app; a Freeze that was there is replaced.
pub fn freeze(app: &App, reason: &str, who: &str) -> Result<Freeze, FreezeError> {
    let freeze = Freeze { reason: reason.into(), who: who.into(), at_ms: now_ms() };
    atomic::make_dir(&app.state())?;
    atomic::replace(&app.frozen(), format!("{}\n", serde_json::to_string(&freeze)?).as_bytes())?;
    Ok(freeze)
}

/// Ends the Freeze; says what it was, if there was one.
pub fn thaw(app: &App) -> Result<Option<Freeze>, FreezeError> {
    let frozen = frozen(app)?;
    if frozen.is_some() {
        atomic::remove(&app.frozen())?;
    }
    Ok(frozen)
}

/// The Freeze, if there is one. A file that is no text of ours freezes too: somebody meant something by it.
pub fn frozen(app: &App) -> Result<Option<Freeze>, FreezeError> {
    let path = app.frozen();
    let text = match std::fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(FreezeError::Unreadable { path, source }),
    };
    let said = serde_json::from_str(&text);
    Ok(Some(said.unwrap_or_else(|_| Freeze { reason: text.trim().into(), who: "?".into(), at_ms: 0 })))
}

/// The lock of another tool that deploys into the same directory.
pub fn foreign(app: &App) -> Option<Foreign> {
    let known = [(".dep/deploy.lock", "Deployer"), ("deploy.lock", "Mina")];
    known.into_iter().find_map(|(name, tool)| {
        let path = app.root().join(name);
        path.symlink_metadata().ok()?;
        Some(Foreign { says: first_line(&path), path, tool })
    })
}

fn first_line(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().next().unwrap_or_default().trim().chars().filter(|c| !c.is_control()).take(200).collect()
}

impl std::fmt::Display for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} holds its lock {}", self.tool, self.path.display())?;
        if self.says.is_empty() { Ok(()) } else { write!(f, " ({})", self.says) }
    }
}
