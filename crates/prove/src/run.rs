//! Run: a scenario carried out: load on tasks, the flipper on a thread of its own, and everything written down.

use crate::clock::Clock;
use crate::flipper::{FlipError, Flipper};
use crate::load::{Log, Plan};
use crate::observations::{Flip, Observations};
use crate::progress::Progress;
use crate::scenario::{Flips, Pace, Scenario};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};

/// Why there are no observations.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A scenario without releases, or without a page that is asked.
    #[error("nothing to do: a scenario needs a release, a connection and a page whose weight is above 0")]
    Nothing,
    /// The first release could not be put live.
    #[error("cannot put {release} live before the load starts")]
    First {
        /// The release.
        release: String,
        /// Why not.
        source: FlipError,
    },
    /// A task of ours ended in a panic.
    #[error("a client or the flipper broke down")]
    Broken(#[from] JoinError),
    /// No runtime.
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
}

/// Carries out a scenario on the current runtime (a multi-threaded one).
///
/// # Errors
/// When it cannot begin. What goes wrong later is an observation, or ends the run early and says so in
/// [`Observations::cut_short`].
pub async fn run(mut scenario: Scenario) -> Result<Observations, RunError> {
    let plan = Arc::new(Plan::of(&scenario));
    let Some(first) = scenario.releases.first().cloned() else { return Err(RunError::Nothing) };
    if scenario.load.connections == 0 || scenario.pages.iter().all(|page| page.weight == 0) {
        return Err(RunError::Nothing);
    }
    scenario.flips.by.flip(&first).map_err(|source| RunError::First { release: first, source })?;

    let (clock, progress) = (scenario.clock, Arc::clone(&scenario.progress));
    let began_ns = clock.now_ns();
    let mut clients = JoinSet::new();
    for client in 0..scenario.load.connections {
        clients.spawn(Arc::clone(&plan).ask_on(client));
    }
    let releases = scenario.releases.clone();
    let (flips, requests) = (scenario.flips, scenario.load.requests);
    let wanted = if matches!(flips.by, Flipper::Nobody) { 0 } else { flips.count };
    let watched = Arc::clone(&progress);
    let flipper = tokio::task::spawn_blocking(move || {
        let flipped = flip_on(flips, &releases, requests, clock, &watched);
        watched.end_flips();
        flipped
    });

    let deadline = tokio::time::sleep(scenario.load.at_most);
    tokio::pin!(deadline);
    let mut cut_short = None;
    let mut logs = Vec::new();
    loop {
        tokio::select! {
            log = clients.join_next() => match log {
                Some(log) => logs.push(log?),
                None => break,
            },
            () = &mut deadline, if cut_short.is_none() => {
                cut_short = Some(format!("the time was up after {:?}", scenario.load.at_most));
                progress.stop();
            }
        }
    }
    let took_ns = clock.now_ns() - began_ns;
    progress.stop();
    let (flips, failed) = flipper.await?;
    if cut_short.is_none() && (progress.answered() < requests || (flips.len() as u64) < wanted) {
        cut_short = Some(format!("it was stopped after {} of {wanted} flips", flips.len()));
    }
    Ok(Observations {
        releases: scenario.releases,
        pages: scenario.pages.into_iter().map(|page| page.name).collect(),
        first: 0,
        flips,
        reconnects: logs.iter().map(|log| log.reconnects).sum(),
        responses: gather(logs),
        took_ns,
        cut_short: failed.map(|why| why.to_string()).or(cut_short),
        ..Observations::default()
    })
}

/// The same with a runtime of its own, of two threads.
///
/// # Errors
/// As [`run`], and when there can be no runtime.
pub fn run_blocking(scenario: Scenario) -> Result<Observations, RunError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?
        .block_on(run(scenario))
}

fn gather(logs: Vec<Log>) -> Vec<crate::observations::Response> {
    logs.into_iter().flat_map(|log| log.responses).collect()
}

/// Flips until there are enough, the load is over, or a flip fails (then nobody knows what is live, so it ends there).
fn flip_on(
    mut flips: Flips,
    releases: &[String],
    requests: u64,
    clock: Clock,
    progress: &Progress,
) -> (Vec<Flip>, Option<FlipError>) {
    let mut made = Vec::new();
    if matches!(flips.by, Flipper::Nobody) {
        return (made, None);
    }
    let order = releases.iter().zip(0_u32..).cycle().skip(1);
    for ((release, to), number) in order.zip(0..flips.count) {
        wait_for_turn(flips.pace, number, flips.count, requests, progress);
        if progress.is_stopped() {
            break;
        }
        let called_ns = clock.now_ns();
        let flipped = flips.by.flip(release);
        let returned_ns = flipped.is_ok().then(|| clock.now_ns());
        made.push(Flip { to, called_ns, returned_ns });
        if let Err(why) = flipped {
            progress.stop();
            return (made, Some(why));
        }
        progress.count_flip();
    }
    (made, None)
}

fn wait_for_turn(pace: Pace, number: u64, count: u64, requests: u64, progress: &Progress) {
    match pace {
        Pace::Every(pause) => {
            let mut left = pause;
            while !left.is_zero() && !progress.is_stopped() {
                let step = left.min(Duration::from_millis(20));
                std::thread::sleep(step);
                left -= step;
            }
        }
        Pace::Spread => {
            let due = u128::from(requests) * u128::from(number + 1) / (u128::from(count) + 1);
            while u128::from(progress.answered()) < due && !progress.is_stopped() {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    }
}
