//! Scenario: what is asked of whom, by how many, while what is flipped how.

use crate::clock::Clock;
use crate::flipper::Flipper;
use crate::page::Page;
use crate::progress::Progress;
use crate::target::Target;
use std::sync::Arc;
use std::time::Duration;

/// All a run needs to know.
#[derive(Debug)]
pub struct Scenario {
    /// The site.
    pub target: Target,
    /// The releases, in the order they are flipped to, round and round. The first is put live before the load starts.
    pub releases: Vec<String>,
    /// What is asked.
    pub pages: Vec<Page>,
    /// How an answer names its release.
    pub marks: Marks,
    /// Who asks, how much.
    pub load: Load,
    /// What is flipped, how often.
    pub flips: Flips,
    /// Shared with whoever wants to show or stop the run.
    pub progress: Arc<Progress>,
    /// Shared with whoever stamps observations of their own.
    pub clock: Clock,
}

/// How an answer names its release.
#[derive(Clone, Debug)]
pub struct Marks {
    /// A response header whose value is the id; an answer without it is fine.
    pub header: Option<String>,
    /// In a body an id stands between these two texts.
    pub before: String,
    /// See `before`.
    pub after: String,
}

/// Closed-loop load: each connection asks, reads the whole answer, and asks again.
#[derive(Clone, Debug)]
pub struct Load {
    /// How many ask at the same time.
    pub connections: u32,
    /// How many of these use a new connection for each request; the others keep theirs.
    pub closing: u32,
    /// End after so many answers, as soon as the flips are done too.
    pub requests: u64,
    /// End after so long even so.
    pub at_most: Duration,
    /// An answer that takes longer has failed.
    pub patience: Duration,
}

/// The writes.
#[derive(Debug)]
pub struct Flips {
    /// Who flips.
    pub by: Flipper,
    /// So many.
    pub count: u64,
    /// When the next one is due.
    pub pace: Pace,
}

/// When the next flip is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So long after the one before it returned; zero is as fast as it goes.
    Every(Duration),
    /// Evenly over the requests of the load.
    Spread,
}

impl Default for Marks {
    /// The header Cutover sends, and the marks of the probe application: `[release r1]`.
    fn default() -> Self {
        Self {
            header: Some("x-cutover-release".to_owned()),
            before: "[release ".to_owned(),
            after: "]".to_owned(),
        }
    }
}

impl Default for Load {
    fn default() -> Self {
        Self {
            connections: 16,
            closing: 4,
            requests: 10_000,
            at_most: Duration::from_secs(60),
            patience: Duration::from_secs(30),
        }
    }
}

impl Scenario {
    /// A scenario with the default marks and load, of no flips at all.
    #[must_use]
    pub fn new(target: Target, releases: Vec<String>, pages: Vec<Page>, by: Flipper) -> Self {
        Self {
            target,
            releases,
            pages,
            marks: Marks::default(),
            load: Load::default(),
            flips: Flips { by, count: 0, pace: Pace::Spread },
            progress: Arc::new(Progress::default()),
            clock: Clock::start(),
        }
    }
}
