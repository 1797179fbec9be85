//! Checks: all of them, each in a file of its own that is named by its id.

mod d01;

use crate::check::Check;

/// All checks, by id.
pub const ALL: &[Check] = &[d01::CHECK];
