//! Plan: what a deploy is to do, written down before its first effect.

use release::ReleaseId;
use serde::{Deserialize, Serialize};

use crate::name::{maybe_text, text};

/// What was asked for; the first line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// A new release, or an old one again.
    pub aim: Aim,
    /// What was live when it was made.
    #[serde(with = "maybe_text")]
    pub previous: Option<ReleaseId>,
    /// Who asked, such as `alice@web1`.
    pub who: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// What is to be live in the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Aim {
    /// A new release.
    Deploy {
        /// `--ref`: instead of the configured one.
        reference: Option<String>,
        /// `--only-if-changed`: nothing if it would be what is live.
        only_if_changed: bool,
    },
    /// A release that was live before.
    Rollback {
        /// Which.
        #[serde(with = "text")]
        to: ReleaseId,
        /// Although it is not sealed.
        forced: bool,
        /// Whether what is left is bad.
        leaves_bad: bool,
    },
    /// A release that was live before and lost its slot to another: it is put together again first.
    Restore {
        /// Which.
        #[serde(with = "text")]
        to: ReleaseId,
        /// Whether what is left is bad.
        leaves_bad: bool,
    },
}

impl Plan {
    /// Whether it goes back.
    pub fn is_rollback(&self) -> bool {
        match self.aim {
            Aim::Rollback { .. } | Aim::Restore { .. } => true,
            Aim::Deploy { .. } => false,
        }
    }
}
