//! D: checks of the deploy and its disk.

mod d01;

use crate::check::Check;

/// All of them, by id; one a line, so that two who add one do not meet.
#[rustfmt::skip]
pub const ALL: &[Check] = &[
    d01::CHECK,
];
