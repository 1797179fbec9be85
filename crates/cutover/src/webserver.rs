//! WebServer: nginx or Apache as it is called here; a file of its configuration is written, tested by it, and put back
//! if it is refused.

pub mod lines;
pub mod regex;

use std::path::Path;
use std::process::Command;

use release::atomic;
use serde_json::json;

use crate::answer::{Answer, Failure};

/// A web server of other people's.
#[derive(Debug, Clone, Copy)]
pub struct WebServer<'a> {
    /// Which.
    pub kind: Kind,
    /// The program and its first arguments, apart by blanks.
    pub command: &'a str,
}

/// Which web server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// nginx.
    Nginx,
    /// Apache 2.4.
    Apache,
}

/// What came of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// It was told; how soon it has done so is its own affair.
    Told,
    /// It does not run.
    DoesNotRun,
}

impl Kind {
    /// What people call it.
    fn name(self) -> &'static str {
        match self {
            Kind::Nginx => "nginx",
            Kind::Apache => "Apache",
        }
    }

    /// The command of ours that shows its configuration.
    fn shown_by(self) -> &'static str {
        match self {
            Kind::Nginx => "cutover nginx",
            Kind::Apache => "cutover apache",
        }
    }
}

impl WebServer<'_> {
    /// Whether it takes its configuration as it is now; the error is what it said.
    pub fn accepts(&self) -> Result<(), String> {
        self.call(&["-t"]).map(drop)
    }

    /// Has it read its configuration again, with no request cut short.
    pub fn reload(&self) -> Result<Reload, String> {
        match self.kind {
            Kind::Nginx => match self.call(&["-s", "reload"]) {
                Ok(_) => Ok(Reload::Told),
                Err(said) if names_no_process(&said) => Ok(Reload::DoesNotRun),
                Err(said) => Err(said),
            },
            // Where none runs, `-k graceful` starts one, which nobody has asked for.
            Kind::Apache => match self.apache_runs()? {
                true => self.call(&["-k", "graceful"]).map(|_| Reload::Told),
                false => Ok(Reload::DoesNotRun),
            },
        }
    }

    /// Whether the process of Apache's pid file is there.
    fn apache_runs(&self) -> Result<bool, String> {
        let printed = self.call(&["-t", "-D", "DUMP_RUN_CFG"])?;
        let file = printed.lines().find_map(|line| line.strip_prefix("PidFile: \"")?.strip_suffix('"'));
        let pid = file.and_then(|file| std::fs::read_to_string(file).ok());
        let pid = pid.and_then(|text| text.trim().parse::<u32>().ok());
        Ok(pid.is_some_and(|pid| Path::new(&format!("/proc/{pid}")).exists()))
    }

    /// Runs it; gives all that it printed, to stdout and then to stderr.
    pub fn call(&self, words: &[&str]) -> Result<String, String> {
        let mut parts = self.command.split_whitespace();
        let program = parts.next().unwrap_or("true");
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
        let name = self.kind.name();
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
                .next(format!("{} shows it", self.kind.shown_by())));
        }
        match self.reload() {
            Ok(Reload::Told) => Ok(answer(format!("written, tested, and {name} reloaded"))),
            Ok(Reload::DoesNotRun) => Ok(answer(format!("written and tested; {name} does not run"))),
            Err(said) => Err(Failure::failed(format!("{name} takes it but could not be reloaded:\n{said}"))
                .still(format!("{} is written, and {name} goes by what was there before", file.display()))
                .next(format!("reload {name}"))),
        }
    }
}

/// Whether nginx said that there is none to be reloaded: no pid file, an empty one, or that of a process that is
/// gone.
fn names_no_process(said: &str) -> bool {
    ["invalid PID number", "No such file or directory", "No such process"]
        .iter()
        .any(|why| said.contains(why))
}
