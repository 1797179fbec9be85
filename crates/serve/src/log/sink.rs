//! Sink: where lines go: a file that can be reopened, or a stream of this process.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes gathered before they are written without being asked.
const GATHERED_BYTES: usize = 64 * 1024;

/// A file or a stream, with what was not written yet.
#[derive(Debug)]
pub struct Sink {
    to: To,
    state: Mutex<State>,
}

/// Where a sink's lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// Appended to a file.
    File(PathBuf),
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

#[derive(Debug)]
struct State {
    file: Option<File>,
    gathered: Vec<u8>,
}

impl Sink {
    /// Opens the file, where it is one.
    pub fn open(to: To) -> io::Result<Self> {
        let file = open(&to)?;
        Ok(Self { to, state: Mutex::new(State { file, gathered: Vec::new() }) })
    }

    /// Opens the file anew: it was renamed by who rotates it. On an error the old one stays in use.
    pub fn reopen(&self) -> io::Result<()> {
        self.flush();
        let file = open(&self.to)?;
        self.state().file = file;
        Ok(())
    }

    /// Adds a line with `write`; written out when enough has gathered, or by [`Self::flush`].
    pub fn gather(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        write(&mut state.gathered);
        if state.gathered.len() >= GATHERED_BYTES {
            self.write_out(&mut state);
        }
    }

    /// Writes out what was gathered.
    pub fn flush(&self) {
        self.write_out(&mut self.state());
    }

    fn write_out(&self, state: &mut State) {
        if state.gathered.is_empty() {
            return;
        }
        let written = match (&mut state.file, &self.to) {
            (Some(file), _) => file.write_all(&state.gathered),
            (None, To::Stdout) => io::stdout().lock().write_all(&state.gathered),
            (None, To::Stderr | To::File(_)) => io::stderr().lock().write_all(&state.gathered),
        };
        if let Err(error) = written {
            // A full disk must not stop the site; once per flush is often enough to be seen.
            eprintln!("<4>cutover: a log cannot be written: {error}");
        }
        state.gathered.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(to: &To) -> io::Result<Option<File>> {
    match to {
        To::File(path) => OpenOptions::new().create(true).append(true).open(path).map(Some),
        To::Stdout | To::Stderr => Ok(None),
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.flush();
    }
}
