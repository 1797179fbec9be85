//! Machine: what the facts are asked of: this machine, or one as it was recorded. The only place with I/O.
//!
//! There is no way to write here (but for the script of a [`Question`], for as long as it takes), and no way to run a
//! program but the ones that [`Program`] names, for their own test and version switches. Every answer is bounded: in
//! bytes, in entries, in time.

mod ask;
mod bounded;
mod here;
mod mask;
mod program;
mod recorded;
mod recording;
mod turns;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

pub use ask::Question;
pub use bounded::Bounded;
use fastcgi::Address;
pub use here::Here;
pub use program::{Program, Ran};
pub use recorded::Recorded;
pub use recording::Recording;

/// The most that is read of one file, in bytes; more is refused, not cut.
pub const FILE_MAX: usize = 4 << 20;

/// The most entries that are taken of one directory; more are refused, not cut.
pub const ENTRIES_MAX: usize = 20_000;

/// Answers questions about a machine, and changes nothing.
pub trait Machine {
    /// A file's bytes. At most [`FILE_MAX`].
    fn read(&self, path: &Path) -> Result<Vec<u8>, NoLook>;

    /// The names in a directory, sorted. At most [`ENTRIES_MAX`].
    fn entries(&self, dir: &Path) -> Result<Vec<OsString>, NoLook>;

    /// What stands at a path, the last link not followed.
    fn stat(&self, path: &Path) -> Result<Stat, NoLook>;

    /// The text of a link.
    fn link(&self, path: &Path) -> Result<PathBuf, NoLook>;

    /// Runs a server's own test or version switch, with a time limit.
    fn run(&self, program: &Program) -> Result<Ran, NoLook>;

    /// Asks a running PHP-FPM pool; the answer is JSON.
    fn ask(&self, pool: &Address, question: &Question) -> Result<String, NoLook>;

    /// Asks several; the answers in the order of the questions. Where they take time it is done at once.
    fn ask_all(&self, asked: &[(Address, Question)]) -> Vec<Result<String, NoLook>> {
        asked.iter().map(|(pool, question)| self.ask(pool, question)).collect()
    }
}

/// What stands at a path (inode(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The owning group.
    pub gid: u32,
    /// In bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: i64,
}

/// What kind of thing stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A socket.
    Socket,
    /// A device or a pipe.
    Other,
}

/// Something that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct NoLook {
    /// The path, command or socket.
    pub what: String,
    /// Why not.
    pub why: Why,
}

/// Why something could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It is not there.
    Absent,
    /// It may not be read by this user.
    Denied,
    /// It is something else than was asked for: a directory where a file should be.
    Unlike(String),
    /// It is larger than is sensible.
    TooLarge,
    /// So much was looked at already that the rest is left.
    TooMuch,
    /// It is not UTF-8.
    NotText,
    /// It took too long.
    TimedOut,
    /// Nobody asked this when the machine was recorded.
    Unrecorded,
    /// Anything else that the system said.
    Failed(String),
}

impl NoLook {
    /// About a path.
    pub fn at(path: &Path, why: Why) -> NoLook {
        NoLook { what: path.display().to_string(), why }
    }

    /// What the system said about a path.
    pub fn io(path: &Path, said: &std::io::Error) -> NoLook {
        use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
        let kind = said.kind();
        if kind == NotFound || kind == NotADirectory {
            return NoLook::at(path, Why::Absent);
        }
        let why = if kind == PermissionDenied { Why::Denied } else { Why::Failed(said.to_string()) };
        NoLook::at(path, why)
    }

    /// Whether the thing is simply not there.
    pub fn is_absent(&self) -> bool {
        self.why == Why::Absent
    }

    /// Whether something else than a file is there.
    pub fn is_no_file(&self) -> bool {
        matches!(self.why, Why::Unlike(_))
    }

    /// Whether the machine was recorded without it.
    pub fn is_unrecorded(&self) -> bool {
        self.why == Why::Unrecorded
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Absent => f.write_str("not there"),
            Why::Denied => f.write_str("may not be read by this user"),
            Why::Unlike(is) => write!(f, "is {is}"),
            Why::TooLarge => f.write_str("too large to be read"),
            Why::TooMuch => f.write_str("left out: there is too much to look at"),
            Why::NotText => f.write_str("not UTF-8"),
            Why::TimedOut => f.write_str("no answer in time"),
            Why::Unrecorded => f.write_str("was not recorded"),
            Why::Failed(said) => f.write_str(said),
        }
    }
}
