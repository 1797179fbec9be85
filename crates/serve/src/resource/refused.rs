//! Refused: why something is not served, for the log and for the visitor.

use crate::resource::path::PathError;
use crate::tree::place::Miss;

/// Why something is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The path cannot be meant.
    #[error("{0}")]
    Path(#[from] PathError),
    /// A dotfile, or Cutover's own cutover.toml.
    #[error("hidden files are not served")]
    Hidden,
    /// PHP source is never sent as text.
    #[error("PHP source is not sent")]
    Source,
    /// Scripts below shared/ are not run, unless `php.execute_shared` says so.
    #[error("scripts in shared/ are not run (php.execute_shared is off)")]
    SharedScript,
    /// What is there cannot be served.
    #[error("{0}")]
    Miss(#[from] Miss),
}

impl Refused {
    /// The status that tells it: what is hidden does not exist for visitors.
    pub fn status(self) -> u16 {
        match self {
            Refused::Path(why) => why.status(),
            Refused::Hidden | Refused::Source => 404,
            Refused::SharedScript => 403,
            Refused::Miss(miss) => miss.status(),
        }
    }

    /// A sentence for the visitor, which tells nothing about the disk. The log gets the `Display`.
    pub fn sentence(self) -> &'static str {
        match self {
            Refused::Path(PathError::TooLong) => "The address is too long.",
            Refused::Path(
                PathError::NotAbsolute
                | PathError::Escape
                | PathError::Nul
                | PathError::EncodedSlash
                | PathError::DotSegment,
            ) => "The address cannot be understood.",
            Refused::Hidden | Refused::Source => "There is nothing at this address.",
            Refused::SharedScript => "This may not be seen.",
            Refused::Miss(miss) => miss.sentence(),
        }
    }
}
