//! Flipper: who makes the next release live, and how the call is made. Judged from outside like the server itself.

pub use crate::shell::Shell;
use std::fmt;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Makes a release live and says so by returning.
pub enum Flipper {
    /// Nobody: the site stands still.
    Nobody,
    /// A symbolic link that this process replaces.
    Link(Link),
    /// A program and its arguments, each `{release}` in them filled in; done when it exits with 0.
    Command(Vec<String>),
    /// A line for the shell, with a limit to how long it may take; done when it exits with 0.
    Shell(Shell),
    /// A function; its error ends the run.
    Call(Call),
}

/// A function that makes the named release live.
pub type Call = Box<dyn FnMut(&str) -> Result<(), String> + Send>;

/// A link that is replaced as other tools do it.
#[derive(Clone, Debug)]
pub struct Link {
    /// The link.
    pub path: PathBuf,
    /// Its text, each `{release}` filled in: `releases/{release}`.
    pub text: String,
    /// How it is replaced.
    pub manner: Manner,
}

/// How a link is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// A new link is made beside it and renamed over it: `ln -s` and `mv -T`.
    Rename,
    /// It is removed and made again, as `rm` and `ln -s` do, and the `ln -sfn` of BusyBox: for a moment there is none. To be convicted.
    RemoveThenLink,
}

/// A flip that did not return well, so it may have happened or not.
#[derive(Debug, thiserror::Error)]
pub enum FlipError {
    /// The link.
    #[error("cannot point {link} to {text}")]
    Link {
        /// The link.
        link: PathBuf,
        /// What it was to say.
        text: String,
        /// Why not.
        source: io::Error,
    },
    /// The program did not start.
    #[error("cannot run {program}")]
    Start {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// The program failed.
    #[error("{command} ended with {status}: {said}")]
    Status {
        /// The program with its arguments.
        command: String,
        /// How it ended.
        status: String,
        /// The last of what it wrote to stderr.
        said: String,
    },
    /// The program did not end in time, and was killed with all it had started.
    #[error("{command} hung: it was ended after {after:?}, and said: {said}")]
    Hung {
        /// The line.
        command: String,
        /// How long it had.
        after: Duration,
        /// The last of what it wrote to stderr.
        said: String,
    },
    /// There is no program.
    #[error("the flip command is empty")]
    Empty,
    /// The function failed.
    #[error("cannot flip to {release}: {why}")]
    Call {
        /// The release.
        release: String,
        /// What it said.
        why: String,
    },
}

impl Flipper {
    /// A link replaced by rename, to `releases/{release}` beside it.
    #[must_use]
    pub fn link(path: impl Into<PathBuf>) -> Self {
        Self::Link(Link { path: path.into(), text: "releases/{release}".to_owned(), manner: Manner::Rename })
    }

    /// A function.
    pub fn call(flip: impl FnMut(&str) -> Result<(), String> + Send + 'static) -> Self {
        Self::Call(Box::new(flip))
    }

    /// Makes `release` live; returns when that is said to be so. Blocks.
    ///
    /// # Errors
    /// When it is not known whether it happened.
    pub fn flip(&mut self, release: &str) -> Result<(), FlipError> {
        match self {
            Self::Nobody => Ok(()),
            Self::Link(link) => {
                let text = fill(&link.text, release);
                link.point_to(&text).map_err(|source| FlipError::Link {
                    link: link.path.clone(),
                    text,
                    source,
                })
            }
            Self::Command(words) => run(&words.iter().map(|word| fill(word, release)).collect::<Vec<_>>()),
            Self::Shell(shell) => shell.run(release),
            Self::Call(call) => {
                call(release).map_err(|why| FlipError::Call { release: release.to_owned(), why })
            }
        }
    }
}

impl Link {
    #[allow(
        clippy::disallowed_methods,
        reason = "plays the other tools that flip a link; what it is judged against must not be our own code"
    )]
    fn point_to(&self, text: &str) -> io::Result<()> {
        match self.manner {
            Manner::Rename => {
                let beside = beside(&self.path);
                remove_if_there(&beside)?;
                symlink(text, &beside)?;
                std::fs::rename(&beside, &self.path)
            }
            Manner::RemoveThenLink => {
                remove_if_there(&self.path)?;
                symlink(text, &self.path)
            }
        }
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn beside(link: &Path) -> PathBuf {
    let mut name = link.file_name().unwrap_or_default().to_owned();
    name.push(format!(".prove-{}", std::process::id()));
    link.with_file_name(name)
}

fn fill(text: &str, release: &str) -> String {
    text.replace("{release}", release)
}

fn run(words: &[String]) -> Result<(), FlipError> {
    let (program, arguments) = words.split_first().ok_or(FlipError::Empty)?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| FlipError::Start { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.trim().lines().last().unwrap_or("nothing");
    Err(FlipError::Status {
        command: words.join(" "),
        status: output.status.to_string(),
        said: last.to_owned(),
    })
}

impl fmt::Debug for Flipper {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => out.write_str("Nobody"),
            Self::Link(link) => link.fmt(out),
            Self::Command(words) => out.debug_tuple("Command").field(words).finish(),
            Self::Shell(shell) => shell.fmt(out),
            Self::Call(_) => out.write_str("Call"),
        }
    }
}
