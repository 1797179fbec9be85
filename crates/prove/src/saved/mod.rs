//! Saved: observations in a file, line by line, so that a run can be judged again, elsewhere, or by somebody else.
//!
//! ```text
//! {"format":"cutover-prove","version":1,"releases":["r1","r2"],"pages":["front"],"first":0,"target":"…","load":"…","began":"…"}
//! {"flip":[1,1500000,1620000]}                  to, called_ns, returned_ns (null: never seen to return)
//! [0,7,1400000,1400000,1730000,1]               page, client, due_ns, sent_ns, done_ns, what the answer said
//! {"end":{"took_ns":2000000,"reconnects":0,"cut_short":null,"bottleneck":null}}
//! ```
//!
//! What an answer said is a release's number, `{"any":[0,1]}`, `{"parts":[0,1]}` or `{"wrong":"status 502 …"}`.
//! `docs/prove-format.md` describes it for other programs, and a test holds the two together. A file whose writer was
//! killed has no end, and perhaps a torn last line: that line is cut off, and the observations say that they were cut short.

mod line;
mod read;
mod write;

pub use read::{from_file, read};
pub use write::{Saver, to_file, write};

use std::io;
use std::path::PathBuf;

/// The version that is written, and the newest that is read.
pub const VERSION: u32 = 1;

/// Why there is nothing to judge in a file, or no file.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// The file cannot be made or opened.
    #[error("cannot open {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file could not be written.
    #[error("cannot save the observations")]
    Write(#[source] io::Error),
    /// The file could not be read.
    #[error("cannot read the saved observations")]
    Read(#[source] io::Error),
    /// It is something else.
    #[error("this is no file of saved observations: {0}")]
    Foreign(String),
    /// A later Cutover wrote it.
    #[error(
        "these observations are saved in version {0} of the format, and this program reads up to {VERSION}: use a newer one"
    )]
    Newer(u32),
    /// A line that cannot be, other than a torn last one.
    #[error("line {line} of the saved observations is damaged: {why}")]
    Damaged {
        /// Its number; the first is 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
}
