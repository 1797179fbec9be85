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

/// The reads.
#[derive(Clone, Debug)]
pub struct Load {
    /// How many connections ask at the same time; with [`Load::arrivals`] how many there are to begin with.
    pub connections: u32,
    /// How many of these use a new connection for each request; the others keep theirs.
    pub closing: u32,
    /// What is spoken, and how many questions are under way on a connection.
    pub speaking: Speaking,
    /// `None`: a closed loop, each connection asks, reads the whole answer, and asks again. Else an open one.
    pub arrivals: Option<Arriving>,
    /// End after so many answers, as soon as the flips are done too.
    pub requests: u64,
    /// End after so long, as planned.
    pub lasts: Option<Duration>,
    /// End after so long even so; then it was cut short.
    pub at_most: Duration,
    /// An answer that takes longer has failed.
    pub patience: Duration,
    /// On so many threads; `None`: as many as there are cores, four at most.
    pub threads: Option<u32>,
}

/// What is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Speaking {
    /// HTTP/1.1, one question at a time.
    #[default]
    Http1,
    /// HTTP/1.1, up to `depth` questions sent at once; those with a body are asked alone.
    Pipelined {
        /// How many.
        depth: u32,
    },
    /// HTTP/2 (over TLS by ALPN, else by prior knowledge), `streams` questions at a time.
    Http2 {
        /// How many.
        streams: u32,
    },
}

/// An open loop: requests arrive at a rate, whether the site keeps up or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arriving {
    /// So many each second.
    pub per_second: f64,
    /// Connections grow up to so many while arrivals wait in line.
    pub connections_max: u32,
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
    /// To which releases, by number, one after the other; empty: to all in turn, round and round. One that stands
    /// here twice in a row is a call after which nothing else may be live.
    pub order: Vec<u32>,
}

/// When the next flip is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So long after the one before it returned; zero is as fast as it goes.
    Every(Duration),
    /// One each such time, by the clock; one that is late is made at once.
    Each(Duration),
    /// Evenly over the load: over its time where it has one, else over its requests.
    Spread,
}

impl Flips {
    /// Where the flip of this number, from 0, goes to, of so many releases; `None`: there is none.
    #[must_use]
    pub fn goes_to(&self, number: u64, releases: usize) -> Option<u32> {
        if self.order.is_empty() {
            let round = u64::try_from(releases).ok().filter(|count| *count > 0)?;
            return u32::try_from((number + 1) % round).ok();
        }
        self.order.get(usize::try_from(number).ok()?).copied()
    }
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
            speaking: Speaking::Http1,
            arrivals: None,
            requests: 10_000,
            lasts: None,
            at_most: Duration::from_secs(60),
            patience: Duration::from_secs(30),
            threads: None,
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
            flips: Flips { by, count: 0, pace: Pace::Spread, order: Vec::new() },
            progress: Arc::new(Progress::default()),
            clock: Clock::start(),
        }
    }
}
