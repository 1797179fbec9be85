//! Flags: the command line of `cutover exec`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use config::value::parse_duration;
use nix::sys::signal::Signal;
use release::ReleaseId;

/// What is to be run, where, and how it is kept running.
#[derive(Debug, Args)]
pub struct ExecFlags {
    /// Start in this directory of the release instead of its root
    #[arg(long, value_name = "SUBDIR")]
    pub chdir: Option<PathBuf>,
    /// On this sealed release instead of the live one
    #[arg(long, value_name = "RELEASE", value_parser = ReleaseId::parse, conflicts_with = "follow")]
    pub release: Option<ReleaseId>,
    /// Wait so long for a release to be live; by default not at all
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub wait: Option<Duration>,
    /// Keep it running: after a flip it is asked to finish, and started again on the new release
    #[arg(long)]
    pub follow: bool,
    /// What asks it to finish
    #[arg(long, value_name = "NAME", default_value = "TERM", value_parser = signal, requires = "follow")]
    pub signal: Signal,
    /// How long it may take to finish; then it is killed
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration, requires = "follow")]
    pub grace: Duration,
    /// Whether it is started again when it ends by itself
    #[arg(long, value_enum, default_value = "always", requires = "follow")]
    pub restart: Restart,
    /// Start the next one beside it, and ask it to finish only when that has run so long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "follow")]
    pub overlap: Option<Duration>,
    /// The command, behind `--`
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// What becomes of a worker that ended though nobody asked it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Restart {
    /// It is started again
    Always,
    /// It is started again unless it ended with 0
    OnFailure,
    /// `cutover exec` ends as it did
    Never,
}

impl ExecFlags {
    /// The first word of the command.
    pub fn program(&self) -> &OsStr {
        self.command.first().map_or(OsStr::new(""), OsString::as_os_str)
    }
}

/// `TERM`, `SIGTERM`, `term`.
fn signal(name: &str) -> Result<Signal, String> {
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    match Signal::from_str(&full) {
        Ok(Signal::SIGKILL | Signal::SIGSTOP) => Err(format!("{name} asks for nothing: it cannot be heeded")),
        Ok(signal) => Ok(signal),
        Err(_) => Err("it is no signal's name, such as TERM, QUIT or USR2".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_named_in_any_of_the_usual_ways() {
        for name in ["TERM", "SIGTERM", "term"] {
            assert_eq!(signal(name), Ok(Signal::SIGTERM));
        }
        assert!(signal("KILL").unwrap_err().contains("cannot be heeded"));
        assert!(signal("15").is_err());
    }
}
