//! Judges the deploys of any stack by evidence: scenario -> load -> observations -> verdict -> report.
//!
//! A response is a read of one register, with the interval from the moment its request was sent to the moment its last
//! byte arrived. A flip is a write of that register, with the interval from its call to its return. From nothing but
//! these intervals and what the answers said, each response is *ok*, *failed* (no release would have answered so, or it
//! was refused or cut short), *mixed* (parts of two releases) or *stale* (its release was live at no moment of it). And each
//! client is judged: it may not see a newer release and then an older one. Slowness is counted, where a bound is given.
//!
//! ```text
//!   Scenario ──> run ──> Observations ──> verdict::judge ──> Verdicts ──> report::text
//!   what to ask,  load ×   one line per     pure: no clock,    counts,      for people
//!   what to flip  flipper  answer and flip  no I/O, replays    convictions
//! ```
//!
//! Rules: nothing here knows how a server works inside, so that it can judge any stack; judging never does I/O;
//! an answer is judged by what it says, never by what the load hoped for.
//!
//! - what to do: [`scenario`], [`page`] (one thing to ask and what each release answers), [`known`] (pages of a site that
//!   cannot be changed), [`target`]
//! - may it be done: [`preflight`]
//! - doing it: [`run`], [`load`] (workers, each a thread; closed or open loop), [`flipper`], [`clock`], [`progress`]
//! - asking: [`client`] and [`pipeline`] over [`wire`] (HTTP/1.1, strict), [`http2`], over a [`stream`], perhaps [`tls`]
//! - what was seen: [`evidence`] (one answer against its page), [`observations`], [`saved`] (in a file)
//! - what it means: [`verdict`] (each response), [`sessions`] (each client), [`latency`], [`report`]
//! - [`probe`]: an application whose every part names its release

mod alarm;
mod arrivals;
pub mod client;
pub mod clock;
mod describe;
pub mod evidence;
pub mod fault;
pub mod flipper;
pub mod http2;
pub mod known;
pub mod latency;
pub mod load;
pub mod observations;
pub mod page;
pub mod patience;
pub mod pipeline;
pub mod preflight;
pub mod prepared;
pub mod probe;
pub mod progress;
pub mod report;
pub mod run;
pub mod saved;
pub mod scenario;
pub mod sessions;
mod shell;
pub mod stream;
pub mod target;
mod timeline;
pub mod tls;
pub mod verdict;
pub mod wire;
mod worker;

pub use flipper::Flipper;
pub use observations::Observations;
pub use run::{run, run_blocking};
pub use scenario::Scenario;
pub use target::Target;
pub use verdict::{Standard, Verdict, Verdicts, judge, judge_by};
