//! P: checks of PHP and its opcache.

use crate::check::Check;

/// All of them, by id; one a line, so that two who add one do not meet.
#[rustfmt::skip]
pub const ALL: &[Check] = &[];
