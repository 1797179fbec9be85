//! Fault: why there is no whole answer.

use crate::wire::WireError;
use std::io::{self, ErrorKind};
use std::time::Duration;

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No connection.
    #[error("refused: {0}")]
    Refused(io::Error),
    /// The connection ended before the answer began.
    #[error("unanswered: {0}")]
    Unanswered(io::Error),
    /// The connection ended within the answer.
    #[error("cut short after {got} bytes: {why}")]
    CutShort {
        /// Bytes that had come.
        got: usize,
        /// How it ended.
        why: io::Error,
    },
    /// The answer is not HTTP.
    #[error("bad framing: {0}")]
    Framing(#[from] WireError),
    /// Bytes behind the end of the answer.
    #[error("{0} bytes behind the end of the answer")]
    Trailing(usize),
    /// It took too long.
    #[error("no whole answer within {0:?}")]
    TooLong(Duration),
}

/// The other side closed where it should not have.
pub(crate) fn closed() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the connection was closed")
}
