//! Writing observations, all at once or while they come.

use super::line::{End, FORMAT, Header, Named, Row};
use super::{SavedError, VERSION};
use crate::observations::{Flip, Observations, Response};
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Writes observations to a file, which is overwritten.
///
/// # Errors
/// When the file cannot be made or written.
pub fn to_file(observations: &Observations, path: &Path) -> Result<(), SavedError> {
    let file = File::create(path).map_err(|source| SavedError::Open { path: path.to_owned(), source })?;
    write(observations, &mut BufWriter::new(file))
}

/// Writes observations so that [`super::read`] gives them back.
///
/// # Errors
/// When the output fails.
pub fn write(observations: &Observations, out: &mut impl Write) -> Result<(), SavedError> {
    let mut saver = Saver::begin(observations, out)?;
    for flip in &observations.flips {
        saver.flip(flip)?;
    }
    for response in &observations.responses {
        saver.response(response)?;
    }
    saver.end(observations)
}

/// Writes observations while they come. What was flushed before the writer was killed can be read.
#[derive(Debug)]
pub struct Saver<W> {
    out: W,
}

impl<W: Write> Saver<W> {
    /// Writes what is known before the first request: the releases, the pages, who is asked how.
    ///
    /// # Errors
    /// When the output fails.
    pub fn begin(known: &Observations, out: W) -> Result<Self, SavedError> {
        let mut saver = Self { out };
        saver.line(&Header {
            format: FORMAT.to_owned(),
            version: VERSION,
            releases: known.releases.clone(),
            pages: known.pages.clone(),
            first: known.first,
            target: known.target.clone(),
            load: known.load.clone(),
            began: known.began.clone(),
        })?;
        Ok(saver)
    }

    /// Writes a flip; they come in the order in which they were made.
    ///
    /// # Errors
    /// When the output fails.
    pub fn flip(&mut self, flip: &Flip) -> Result<(), SavedError> {
        self.line(&Named::of(flip))
    }

    /// Writes a response; they may come in any order.
    ///
    /// # Errors
    /// When the output fails.
    pub fn response(&mut self, response: &Response) -> Result<(), SavedError> {
        self.line(&Row::of(response))
    }

    /// Writes what is known after the last, and flushes.
    ///
    /// # Errors
    /// When the output fails.
    pub fn end(mut self, known: &Observations) -> Result<(), SavedError> {
        self.line(&Named::End(End {
            took_ns: known.took_ns,
            reconnects: known.reconnects,
            cut_short: known.cut_short.clone(),
            bottleneck: known.bottleneck.clone(),
        }))?;
        self.out.flush().map_err(SavedError::Write)
    }

    fn line(&mut self, line: &impl Serialize) -> Result<(), SavedError> {
        serde_json::to_writer(&mut self.out, line).map_err(|why| SavedError::Write(why.into()))?;
        self.out.write_all(b"\n").map_err(SavedError::Write)
    }
}
