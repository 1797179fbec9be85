//! Saved: observations in a file, line by line.

use crate::observations::Observations;
use std::io::{BufRead, Write};

/// Why there is nothing to judge in a file, or no file.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// The file could not be written.
    #[error("cannot save the observations")]
    Write(#[source] std::io::Error),
    /// The file could not be read.
    #[error("cannot read the saved observations")]
    Read(#[source] std::io::Error),
    /// It is something else.
    #[error("these are no saved observations: {0}")]
    Foreign(String),
}

/// Writes observations so that [`read`] gives them back.
///
/// # Errors
/// When the output fails.
pub fn write(observations: &Observations, out: &mut impl Write) -> Result<(), SavedError> {
    serde_json::to_writer(out, observations).map_err(|why| SavedError::Write(why.into()))
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// When the input fails, or is something else.
pub fn read(from: &mut impl BufRead) -> Result<Observations, SavedError> {
    serde_json::from_reader(from).map_err(|why| SavedError::Foreign(why.to_string()))
}
