//! Observations: what was seen, and when. All that a verdict needs, and nothing that must be run again.

use serde::{Deserialize, Serialize};

/// Everything one run saw. Releases, pages and clients are numbers into the lists here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observations {
    /// The releases by number.
    pub releases: Vec<String>,
    /// The pages by number.
    pub pages: Vec<String>,
    /// The release that was live before the first response and the first flip.
    pub first: u32,
    /// The flips in the order they were made; none was called before the one before it returned.
    pub flips: Vec<Flip>,
    /// The responses, in any order.
    pub responses: Vec<Response>,
    /// Nanoseconds that the load took.
    pub took_ns: u64,
    /// Kept connections that were found closed before anything was sent on them: allowed, and counted.
    pub reconnects: u64,
    /// Why the run ended before what it was asked for was done, if it did.
    pub cut_short: Option<String>,
    /// Who was asked, as a person would write it; no judgement depends on it.
    #[serde(default)]
    pub target: String,
    /// How it was asked and flipped, in a sentence, for people.
    #[serde(default)]
    pub load: String,
    /// When the run began by the wall clock, RFC 3339, for people only: all intervals are of a monotonic clock.
    #[serde(default)]
    pub began: String,
    /// Why the load itself was what limited the rate, if it was: then the latencies are partly the prover's own.
    #[serde(default)]
    pub bottleneck: Option<String>,
}

/// A write of the register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flip {
    /// The release that was made live.
    pub to: u32,
    /// When the flip was called.
    pub called_ns: u64,
    /// When it returned; `None`: it failed or was never seen to return, so it may have happened or not.
    pub returned_ns: Option<u64>,
}

/// A read of the register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// What was asked.
    pub page: u32,
    /// Who asked.
    pub client: u32,
    /// When it was to be sent. A client that asks again as soon as it was answered sends when it is due; where requests
    /// arrive at a fixed rate, one that waited for a free connection was due earlier, and its visitor waited since then.
    #[serde(default)]
    pub due_ns: u64,
    /// Just before the first byte of the request (or its connection) was sent.
    pub sent_ns: u64,
    /// Just after the last byte arrived, or the failure was noticed.
    pub done_ns: u64,
    /// What the answer said.
    pub seen: Seen,
}

/// What one answer said.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Seen {
    /// The whole answer of this release.
    Of(u32),
    /// A whole answer that each of these releases gives.
    AnyOf(Box<[u32]>),
    /// Parts of these releases, in one answer.
    Parts(Box<[u32]>),
    /// Nothing that any release answers, and why.
    Wrong(Box<str>),
}

impl Seen {
    /// Whether no single release gave this answer.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        match self {
            Self::Of(_) | Self::AnyOf(_) => false,
            Self::Parts(_) | Self::Wrong(_) => true,
        }
    }
}

impl Response {
    /// How long its visitor waited, in nanoseconds: from when it was due to its last byte.
    #[must_use]
    pub fn took_ns(&self) -> u64 {
        self.done_ns.saturating_sub(self.due_ns.min(self.sent_ns))
    }
}

impl Observations {
    /// The number of a page, made if it is new (for visitors who do more than the scenario's pages).
    pub fn page(&mut self, name: &str) -> u32 {
        let at = self.pages.iter().position(|page| page == name).unwrap_or_else(|| {
            self.pages.push(name.to_owned());
            self.pages.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    /// The name of a release.
    #[must_use]
    pub fn release(&self, number: u32) -> &str {
        self.releases.get(number as usize).map_or("?", String::as_str)
    }
}
