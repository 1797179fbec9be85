//! Reasons: an error in one line, with everything that caused it.

use std::error::Error;

/// The error, and behind a colon each of its causes, unless it quotes it already.
pub fn with_reasons(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !told.ends_with(&next) {
            told.push_str(": ");
            told.push_str(&next);
        }
        cause = error.source();
    }
    told
}
