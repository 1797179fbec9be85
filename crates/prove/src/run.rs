//! Run: a scenario carried out: load on worker threads, the flipper on one of its own, and everything written down.

use crate::clock::Clock;
use crate::flipper::{FlipError, Flipper};
use crate::load::Plan;
use crate::observations::{Flip, Observations};
use crate::progress::Progress;
use crate::scenario::{Flips, Load, Pace, Scenario};
use crate::worker::{self, Share, Spent};
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
    /// A page cannot be asked for.
    #[error("cannot ask in HTTP/2 for what these pages name")]
    Page(#[from] http::Error),
    /// A task of ours ended in a panic.
    #[error("a client or the flipper broke down")]
    Broken(#[from] JoinError),
    /// No runtime.
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
}

/// Carries out a scenario: the load on threads of its own, the flipper on another.
///
/// # Errors
/// When it cannot begin. What goes wrong later is an observation, or ends the run early and says so in
/// [`Observations::cut_short`].
pub async fn run(mut scenario: Scenario) -> Result<Observations, RunError> {
    let Some(first) = scenario.releases.first().cloned() else { return Err(RunError::Nothing) };
    if scenario.load.connections == 0 || scenario.pages.iter().all(|page| page.weight == 0) {
        return Err(RunError::Nothing);
    }
    let plan = Arc::new(Plan::of(&scenario)?);
    let (described, target) = (scenario.describe(), scenario.target.to_string());
    let (clock, progress) = (scenario.clock, Arc::clone(&scenario.progress));
    if let Flipper::Shell(shell) = &mut scenario.flips.by {
        shell.watch(Arc::clone(&progress));
    }
    let (mut flips, load) = (scenario.flips, scenario.load);
    flips = tokio::task::spawn_blocking(move || match flips.by.flip(&first) {
        Ok(()) => Ok(flips),
        Err(source) => Err(RunError::First { release: first, source }),
    })
    .await??;
    raise_open_files();
    if flips.count == u64::MAX {
        // They go on as long as the load does, so the load does not wait for their end.
        progress.end_flips();
    }

    let began_ns = clock.now_ns();
    let mut workers = JoinSet::new();
    let of = threads(&load);
    for number in 0..of {
        let share = Share { plan: Arc::clone(&plan), number, of, began_ns };
        workers.spawn_blocking(move || worker::work(&share));
    }
    let wanted = if matches!(flips.by, Flipper::Nobody) { 0 } else { flips.count };
    let (releases, watched, paced) = (scenario.releases.clone(), Arc::clone(&progress), load.clone());
    let flipper = tokio::task::spawn_blocking(move || {
        let pacer = Pacer { pace: flips.pace, count: flips.count, load: paced, clock, began_ns };
        let flipped = flip_on(flips, &releases, &pacer, &watched);
        watched.end_flips();
        flipped
    });

    let lasts = load.lasts.unwrap_or(Duration::MAX).min(load.at_most);
    let end = tokio::time::sleep(lasts);
    tokio::pin!(end);
    let mut cut_short = None;
    let mut worked = Vec::new();
    loop {
        tokio::select! {
            done = workers.join_next() => match done {
                // A worker that fails ends the load for all.
                Some(done) => worked.push(done.map_err(RunError::Broken).and_then(|done| done.map_err(RunError::Runtime)).inspect_err(|_| progress.abandon())?),
                None => break,
            },
            () = &mut end, if !progress.is_stopped() => {
                if load.lasts.is_none_or(|planned| planned > load.at_most) {
                    cut_short = Some(format!("the time was up after {:?}", load.at_most));
                }
                progress.end_at(clock.now_ns());
            }
        }
    }
    let took_ns = clock.now_ns() - began_ns;
    let interrupted = progress.was_interrupted();
    progress.end_at(clock.now_ns());
    let (flips, failed) = flipper.await?;
    let missing = wanted != u64::MAX && (flips.len() as u64) < wanted;
    if cut_short.is_none() && (interrupted || missing) {
        cut_short = Some(stopped(flips.len(), wanted));
    }
    let spent: Vec<Spent> = worked.iter().map(|worked| worked.spent).collect();
    Ok(Observations {
        releases: scenario.releases,
        pages: scenario.pages.into_iter().map(|page| page.name).collect(),
        first: 0,
        flips,
        reconnects: worked.iter().map(|worked| worked.log.reconnects).sum(),
        responses: worked.into_iter().flat_map(|worked| worked.log.responses).collect(),
        took_ns,
        cut_short: failed.map(|why| with_reasons(&why)).or(cut_short),
        target,
        load: described,
        bottleneck: worker::bottleneck(&spent),
        ..Observations::default()
    })
}

/// The same with a runtime of its own.
///
/// # Errors
/// As [`run`], and when there can be no runtime.
pub fn run_blocking(scenario: Scenario) -> Result<Observations, RunError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?
        .block_on(run(scenario))
}

/// More threads than connections would idle, and more than four hardly help the load and take from the site.
fn threads(load: &Load) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let usual = u32::try_from(cores.min(4)).unwrap_or(1);
    let most = load.arrivals.map_or(load.connections, |arriving| arriving.connections_max);
    load.threads.unwrap_or(usual).clamp(1, most.min(load.connections).max(1))
}

/// As many connections as the system allows us.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Refused: then it stays as it is, and connections beyond it are told as refused.
    setrlimit(Resource::Nofile, raised).unwrap_or_default();
}

fn stopped(flips: usize, wanted: u64) -> String {
    match wanted {
        0 => "it was stopped".to_owned(),
        u64::MAX => format!("it was stopped after {flips} flips"),
        wanted => format!("it was stopped after {flips} of {wanted} flips"),
    }
}

/// An error and its sources, in a line.
fn with_reasons(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        said.push_str(&format!(": {source}"));
        cause = source.source();
    }
    said
}

/// When flips are due.
struct Pacer {
    pace: Pace,
    count: u64,
    load: Load,
    clock: Clock,
    began_ns: u64,
}

/// Flips until there are enough, the load is over, or a flip fails (then nobody knows what is live, so it ends there).
fn flip_on(
    mut flips: Flips,
    releases: &[String],
    pacer: &Pacer,
    progress: &Progress,
) -> (Vec<Flip>, Option<FlipError>) {
    let mut made = Vec::new();
    if matches!(flips.by, Flipper::Nobody) {
        return (made, None);
    }
    let clock = pacer.clock;
    for number in 0..flips.count {
        let Some(to) = flips.goes_to(number, releases.len()) else { break };
        let Some(release) = releases.get(to as usize) else { break };
        pacer.wait(number, progress);
        if progress.is_stopped() {
            break;
        }
        let called_ns = clock.now_ns();
        let flipped = flips.by.flip(release);
        let returned_ns = flipped.is_ok().then(|| clock.now_ns());
        made.push(Flip { to, called_ns, returned_ns });
        if let Err(why) = flipped {
            progress.end_at(clock.now_ns());
            return (made, Some(why));
        }
        progress.count_flip();
    }
    (made, None)
}

impl Pacer {
    /// Waits until the flip of this number is due, or the load is over.
    fn wait(&self, number: u64, progress: &Progress) {
        let nth = number + 1;
        match (self.pace, self.load.lasts) {
            (Pace::Every(pause), _) => self.wait_until(self.clock.now_ns() + nanos(pause), progress),
            (Pace::Each(period), _) => {
                let due = u128::from(nanos(period)) * u128::from(nth);
                self.wait_until(
                    self.began_ns.saturating_add(u64::try_from(due).unwrap_or(u64::MAX)),
                    progress,
                );
            }
            (Pace::Spread, Some(time)) => {
                let due = u128::from(nanos(time)) * u128::from(nth) / (u128::from(self.count) + 1);
                self.wait_until(
                    self.began_ns.saturating_add(u64::try_from(due).unwrap_or(u64::MAX)),
                    progress,
                );
            }
            (Pace::Spread, None) => {
                let due = u128::from(self.load.requests) * u128::from(nth) / (u128::from(self.count) + 1);
                while u128::from(progress.answered()) < due && !progress.is_stopped() {
                    std::thread::sleep(Duration::from_micros(50));
                }
            }
        }
    }

    fn wait_until(&self, due_ns: u64, progress: &Progress) {
        while !progress.is_stopped() {
            let left = due_ns.saturating_sub(self.clock.now_ns());
            if left == 0 {
                break;
            }
            std::thread::sleep(Duration::from_nanos(left).min(Duration::from_millis(20)));
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
