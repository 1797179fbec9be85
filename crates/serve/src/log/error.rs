//! The error log: one line per event, with the site and the release it is about.

use std::io;
use std::sync::Arc;

use config::host::Level;

use super::sink::{Sink, To};

/// Where events go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ErrorLog {
    sink: Arc<Sink>,
    least: Level,
    journal: bool,
}

impl ErrorLog {
    /// Opens what the configuration names.
    pub fn open(to: &config::host::ErrorLog, least: Level) -> io::Result<Self> {
        let (to, is_stderr) = match to {
            config::host::ErrorLog::Stderr => (To::Stderr, true),
            config::host::ErrorLog::File(path) => (To::File(path.clone()), false),
        };
        let journal = is_stderr && std::env::var_os("JOURNAL_STREAM").is_some();
        Ok(Self { sink: Arc::new(Sink::open(to)?), least, journal })
    }

    /// Logs to standard error, for before the configuration is known.
    pub fn stderr() -> io::Result<Self> {
        Self::open(&config::host::ErrorLog::Stderr, Level::Info)
    }

    /// Something failed that somebody has to look at.
    pub fn error(&self, about: &str, what: impl std::fmt::Display) {
        self.line(Level::Error, about, what);
    }

    /// Something is not as it should be, and served all the same.
    pub fn warn(&self, about: &str, what: impl std::fmt::Display) {
        self.line(Level::Warn, about, what);
    }

    /// Something worth knowing at 3 a.m.: a flip, a reload, a start.
    pub fn info(&self, about: &str, what: impl std::fmt::Display) {
        self.line(Level::Info, about, what);
    }

    /// Opens the file anew.
    pub fn reopen(&self) -> io::Result<()> {
        self.sink.reopen()
    }

    fn line(&self, level: Level, about: &str, what: impl std::fmt::Display) {
        use std::io::Write;
        if level > self.least {
            return;
        }
        let (priority, word) = match level {
            Level::Error => (3, "error"),
            Level::Warn => (4, "warn"),
            Level::Info => (6, "info"),
            Level::Debug => (7, "debug"),
        };
        // One event, one line, whatever a script wrote.
        let what = what.to_string().replace(['\n', '\r'], " | ");
        self.sink.gather(|line| {
            // The journal has the time, and reads the priority off the front (sd-daemon(3)).
            let written = match self.journal {
                true => writeln!(line, "<{priority}>{about}: {what}"),
                false => writeln!(line, "{} {word} {about}: {what}", jiff::Timestamp::now()),
            };
            // Writing to memory cannot fail.
            written.unwrap_or_default();
        });
        self.sink.flush();
    }
}
