//! Receipt: what a step that was done leaves for those after it.

use std::path::PathBuf;

use release::ReleaseId;
use serde::{Deserialize, Serialize};

use crate::name::{maybe_text, text};
use crate::source::Revision;

/// A step of a deploy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The source is fetched and built.
    Build,
    /// The tree becomes a release.
    Stage,
    /// It is synced and its manifest written.
    Seal,
    /// It is compiled, asked, and found healthy.
    Warm,
    /// It is made live.
    Flip,
    /// The live site is asked.
    Verify,
    /// What has to follow a flip: queue restarts.
    Settle,
    /// Old releases go.
    Prune,
    /// What was begun before the flip goes.
    Undo,
    /// The release that was live before is made live again.
    FlipBack,
}

/// What a step leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receipt {
    /// There is a tree to stage.
    Built {
        /// The name of the release that it will be.
        #[serde(with = "text")]
        release: ReleaseId,
        /// Where it stands.
        tree: PathBuf,
        /// Where it comes from.
        revision: Revision,
        /// It is what is live, and that was asked: nothing more is to be done.
        unchanged: bool,
    },
    /// It stands in its final path.
    Staged {
        /// Regular files.
        files: u64,
        /// Bytes of them.
        bytes: u64,
        /// Bytes that had to be copied.
        bytes_copied: u64,
    },
    /// It is sealed.
    Sealed {
        /// BLAKE3 of its manifest, in hex.
        manifest: String,
        /// Entries of its manifest.
        entries: u64,
    },
    /// It is warm and healthy.
    Warmed {
        /// PHP files in opcache.
        compiled: u64,
        /// Requests that were answered, that for health among them.
        requests: u64,
        /// What could not be done, and does no harm.
        warnings: Vec<String>,
    },
    /// It is live.
    Flipped {
        /// What was live before.
        #[serde(with = "maybe_text")]
        from: Option<ReleaseId>,
        /// The rename and its sync, in microseconds.
        took_us: u64,
    },
    /// The live site answered as it should.
    Verified {
        /// What was asked; `None`: nothing is configured.
        asked: Option<String>,
    },
    /// What had to follow was done.
    Settled {
        /// What went wrong with it: reported, not flipped back.
        problems: Vec<String>,
    },
    /// Old releases are gone.
    Pruned {
        /// Which.
        gone: Vec<String>,
        /// What went wrong: reported.
        problems: Vec<String>,
    },
    /// What was begun is gone.
    Undone {
        /// What could not be tidied up: reported.
        problems: Vec<String>,
    },
    /// What was live before is live again.
    FlippedBack {
        /// Which; `None`: another tool had made something else live meanwhile, and that stays.
        #[serde(with = "maybe_text")]
        to: Option<ReleaseId>,
        /// What went wrong besides: reported.
        problems: Vec<String>,
    },
}

impl Step {
    /// Its name, as it is printed and written.
    pub const fn name(self) -> &'static str {
        match self {
            Step::Build => "build",
            Step::Stage => "stage",
            Step::Seal => "seal",
            Step::Warm => "warm",
            Step::Flip => "flip",
            Step::Verify => "verify",
            Step::Settle => "settle",
            Step::Prune => "prune",
            Step::Undo => "undo",
            Step::FlipBack => "flip back",
        }
    }
}

impl Receipt {
    /// The step that leaves it.
    pub fn step(&self) -> Step {
        match self {
            Receipt::Built { .. } => Step::Build,
            Receipt::Staged { .. } => Step::Stage,
            Receipt::Sealed { .. } => Step::Seal,
            Receipt::Warmed { .. } => Step::Warm,
            Receipt::Flipped { .. } => Step::Flip,
            Receipt::Verified { .. } => Step::Verify,
            Receipt::Settled { .. } => Step::Settle,
            Receipt::Pruned { .. } => Step::Prune,
            Receipt::Undone { .. } => Step::Undo,
            Receipt::FlippedBack { .. } => Step::FlipBack,
        }
    }

    /// What went wrong without making the step fail.
    pub fn problems(&self) -> &[String] {
        match self {
            Receipt::Warmed { warnings, .. } => warnings,
            Receipt::Settled { problems }
            | Receipt::Pruned { problems, .. }
            | Receipt::Undone { problems }
            | Receipt::FlippedBack { problems, .. } => problems,
            Receipt::Built { .. }
            | Receipt::Staged { .. }
            | Receipt::Sealed { .. }
            | Receipt::Flipped { .. }
            | Receipt::Verified { .. } => &[],
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
