//! C: checks of Caddy, lighttpd and others.

use crate::check::Check;

/// All of them, by id; one a line, so that two who add one do not meet.
#[rustfmt::skip]
pub const ALL: &[Check] = &[];
