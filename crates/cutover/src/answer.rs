//! Answer and Failure: what a command says, for people and for programs.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

/// What a command that succeeded says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// For people; no line break at the end.
    pub text: String,
    /// For programs.
    pub json: Value,
    /// What it says is bad, though the command did what it should: exit code 1.
    pub bad: bool,
}

/// What a command that failed says: what happened, what is still true, what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which kind.
    pub exit: Exit,
    /// What happened.
    pub error: String,
    /// What is still true.
    pub still: Option<String>,
    /// What to do next.
    pub next: Option<String>,
}

/// The exit codes that are not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It was tried.
    Failed = 1,
    /// Wrong usage or config: nothing was tried.
    Usage = 2,
    /// Locked, in use, or forbidden without --force: nothing was changed.
    Refused = 3,
    /// `exec` could not get as far as its command; these three are those of env(1), timeout(1) and the shells.
    NotBegun = 125,
    /// `exec` found its command, which cannot be run.
    NotExecutable = 126,
    /// `exec` did not find its command.
    NotFound = 127,
}

impl Answer {
    /// An answer in both forms.
    pub fn new(text: impl Into<String>, json: Value) -> Answer {
        Answer { text: text.into(), json, bad: false }
    }
}

impl Failure {
    /// It was tried and went wrong.
    pub fn failed(error: impl Display) -> Failure {
        Failure { exit: Exit::Failed, error: error.to_string(), still: None, next: None }
    }

    /// The command or a file is wrong.
    pub fn usage(error: impl Display) -> Failure {
        Failure { exit: Exit::Usage, ..Failure::failed(error) }
    }

    /// It must not be done now.
    pub fn refused(error: impl Display) -> Failure {
        Failure { exit: Exit::Refused, ..Failure::failed(error) }
    }

    /// Adds what is still true.
    pub fn still(self, still: impl Into<String>) -> Failure {
        Failure { still: Some(still.into()), ..self }
    }

    /// Adds what to do next.
    pub fn next(self, next: impl Into<String>) -> Failure {
        Failure { next: Some(next.into()), ..self }
    }
}

/// Prints it and gives the exit code. Answers go to stdout; so do failures in JSON, because a program reads there.
pub fn print(result: Result<Answer, Failure>, json: bool) -> ExitCode {
    let (code, printed) = match result {
        Ok(answer) => {
            let code = if answer.bad { ExitCode::from(Exit::Failed as u8) } else { ExitCode::SUCCESS };
            let said = if json { answer.json.to_string() } else { answer.text };
            (code, line(std::io::stdout(), &said))
        }
        Err(failure) => {
            let Failure { exit, error, still, next } = failure;
            let printed = if json {
                let told = json!({ "error": error, "still": still, "next": next });
                line(std::io::stdout(), &told.to_string())
            } else {
                let mut text = format!("cutover: {error}");
                for (name, sentence) in [("still", still), ("next", next)] {
                    if let Some(sentence) = sentence {
                        text.push_str(&format!("\n  {name}: {sentence}"));
                    }
                }
                line(std::io::stderr(), &text)
            };
            (ExitCode::from(exit as u8), printed)
        }
    };
    match printed {
        Ok(()) => code,
        // `cutover releases | head -1`: the reader has what it wanted.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => code,
        // A full disk, say: an answer that nobody got is no success.
        Err(_) => ExitCode::FAILURE,
    }
}

fn line(mut out: impl Write, text: &str) -> std::io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    writeln!(out, "{text}")?;
    out.flush()
}
