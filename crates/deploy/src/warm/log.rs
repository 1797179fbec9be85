//! Log: the pages that visitors want most, by an access log, asked of the release before it is live.

use fastcgi::Address;

use super::Warmed;
use crate::health::Subject;

/// Asks each pool for them.
pub fn replay(_subject: &Subject<'_, '_>, _pools: &[Address], _warmed: &mut Warmed) {}
