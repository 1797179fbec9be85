//! WebServer: nginx or Apache as it is called here; a file of its configuration is written, tested by it, and put back
//! if it is refused.

use std::path::Path;
use std::process::Command;

use release::atomic;
use serde_json::json;

use crate::answer::{Answer, Failure};

/// A web server of other people's.
#[derive(Debug, Clone, Copy)]
pub struct WebServer<'a> {
    /// What people call it.
    pub name: &'static str,
    /// The program and its first arguments, apart by blanks.
    pub command: &'a str,
    /// What lets it test its configuration.
    pub test: &'static [&'static str],
    /// What lets it read its configuration again.
    pub reload: &'static [&'static str],
    /// The command of ours that shows the configuration.
    pub shown_by: &'static str,
}

impl WebServer<'_> {
    /// Whether it takes its configuration as it is now; the error is what it said.
    pub fn accepts(&self) -> Result<(), String> {
        self.call(self.test).map(drop)
    }

    /// Has it read its configuration again.
    pub fn reload(&self) -> Result<(), String> {
        self.call(self.reload).map(drop)
    }

    /// Runs it; gives all that it printed, to stdout and then to stderr.
    pub fn call(&self, words: &[&str]) -> Result<String, String> {
        let mut parts = self.command.split_whitespace();
        let program = parts.next().unwrap_or(self.name);
        let out = Command::new(program).args(parts).args(words).output();
        let out = out.map_err(|error| format!("cannot run {program}: {error}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        match out.status.success() {
            true => Ok(format!("{}\n{}", text(&out.stdout), text(&out.stderr))),
            false => Err(text(&out.stderr)),
        }
    }

    /// Writes the file, has it tested, and reloads the server if something changed: the file, or `others` that it
    /// reads with it.
    pub fn place(
        &self,
        file: &Path,
        text: &str,
        others: bool,
        left_out: &[String],
    ) -> Result<Answer, Failure> {
        let before = match std::fs::read(file) {
            Ok(before) => Some(before),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Failure::failed(format!("cannot read {}: {error}", file.display()))),
        };
        let name = self.name;
        let answer = |did: String| {
            let text = format!("{}: {did}", file.display());
            Answer::new(text, json!({ "file": file, "did": did, "left_out": left_out }))
        };
        if !others && before.as_deref() == Some(text.as_bytes()) {
            return Ok(answer(format!("unchanged; {name} was left alone")));
        }
        atomic::replace(file, text.as_bytes()).map_err(Failure::failed)?;
        if let Err(said) = self.accepts() {
            let back = match &before {
                Some(before) => atomic::replace(file, before),
                None => atomic::remove(file),
            };
            let still = match back {
                Ok(()) => format!("what was there before is there again, and {name} was left alone"),
                Err(error) => format!("and what was there before could not be put back: {error}"),
            };
            return Err(Failure::failed(format!("{name} refuses it:\n{said}"))
                .still(still)
                .next(format!("{} shows it", self.shown_by)));
        }
        match self.reload() {
            Ok(()) => Ok(answer(format!("written, tested, and {name} reloaded"))),
            Err(said) if does_not_run(&said) => {
                Ok(answer(format!("written and tested; {name} does not run")))
            }
            Err(said) => Err(Failure::failed(format!("{name} takes it but could not be reloaded:\n{said}"))
                .still(format!("{} is written, and {name} goes by what was there before", file.display()))
                .next(format!("reload {name}"))),
        }
    }
}

/// Whether a server said that there is none to be reloaded: no pid file, an empty one, or that of a process that is
/// gone.
pub fn does_not_run(said: &str) -> bool {
    ["invalid PID number", "No such file or directory", "No such process"]
        .iter()
        .any(|why| said.contains(why))
}
