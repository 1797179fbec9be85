//! Worker: a thread with a share of the clients, on a runtime of its own: they share no lock with other workers' clients.

use crate::arrivals::Arrivals;
use crate::http2::Session;
use crate::load::{Desk, Log, Plan};
use crate::scenario::Speaking;
use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

/// One share of a load.
#[derive(Debug)]
pub(crate) struct Share {
    pub plan: Arc<Plan>,
    pub number: u32,
    pub of: u32,
    pub began_ns: u64,
}

/// What a worker saw, and what it cost.
#[derive(Debug, Default)]
pub(crate) struct Worked {
    pub log: Log,
    pub spent: Spent,
}

/// How a worker's time was spent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    /// From beginning to end.
    pub wall: Duration,
    /// Not waiting for anything, be it on a processor or in line for one.
    pub busy: Duration,
    /// On a processor.
    pub cpu: Duration,
}

/// Does the share; blocks until the load is over.
///
/// # Errors
/// When there can be no runtime.
pub(crate) fn work(share: &Share) -> io::Result<Worked> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (began, cpu_before) = (Instant::now(), cpu());
    let log = runtime.block_on(ask(share));
    let busy = runtime.metrics().worker_total_busy_duration(0);
    let spent = Spent { wall: began.elapsed(), busy, cpu: cpu().saturating_sub(cpu_before) };
    // Not awaited: a name that is being looked up, or a body that nobody reads any more.
    runtime.shutdown_background();
    Ok(Worked { log, spent })
}

async fn ask(share: &Share) -> Log {
    let plan = &share.plan;
    let arrivals = plan.load.arrivals.map(|arriving| {
        Arrivals::new(plan.clock, share.began_ns, arriving.per_second, share.number, share.of)
    });
    let desk = Arc::new(Desk::new(Arc::clone(plan), arrivals));
    let mut crew = Crew::new(Arc::clone(&desk), share);
    let begin = (plan.load.connections + share.of - 1 - share.number) / share.of;
    crew.grow(u64::from(begin));
    if let (Some(arrivals), Some(arriving)) = (&desk.arrivals, plan.load.arrivals) {
        let most = u64::from(arriving.connections_max / share.of).max(1);
        let crew = &mut crew;
        arrivals
            .ring(&plan.progress, |waiting| {
                let room = most.saturating_sub(crew.connections);
                crew.grow(waiting.min(room));
            })
            .await;
    }
    crew.finish().await;
    desk.take_log()
}

/// The clients of one worker.
struct Crew {
    desk: Arc<Desk>,
    number: u32,
    of: u32,
    connections: u64,
    sessions: Vec<Arc<Session>>,
    asking: JoinSet<()>,
}

impl Crew {
    fn new(desk: Arc<Desk>, share: &Share) -> Self {
        let (number, of) = (share.number, share.of);
        Self { desk, number, of, connections: 0, sessions: Vec::new(), asking: JoinSet::new() }
    }

    /// So many more connections.
    fn grow(&mut self, count: u64) {
        for _ in 0..count {
            let nth = u32::try_from(self.connections).unwrap_or(u32::MAX);
            let client = nth.saturating_mul(self.of).saturating_add(self.number);
            let desk = Arc::clone(&self.desk);
            match self.desk.plan.load.speaking {
                Speaking::Http1 => drop(self.asking.spawn(desk.ask_on(client))),
                Speaking::Pipelined { depth } => drop(self.asking.spawn(desk.ask_many_on(client, depth))),
                Speaking::Http2 { streams } => {
                    let session = Session::new(&self.desk.plan.target);
                    self.sessions.push(Arc::clone(&session));
                    for stream in 0..streams.max(1) {
                        let seed = client.wrapping_mul(streams.max(1)).wrapping_add(stream);
                        let (desk, session) = (Arc::clone(&desk), Arc::clone(&session));
                        self.asking.spawn(desk.ask_over(session, client, seed));
                    }
                }
            }
            self.connections += 1;
            self.desk.plan.progress.count_connection();
        }
    }

    /// Waits for all who ask, or gives them up.
    async fn finish(mut self) {
        let progress = Arc::clone(&self.desk.plan.progress);
        let mut look = tokio::time::interval(Duration::from_millis(20));
        loop {
            tokio::select! {
                done = self.asking.join_next() => match done {
                    Some(Ok(())) => {}
                    // Given up, or broken down: a panic's message has been printed, and what was seen is kept.
                    Some(Err(_)) => progress.stop(),
                    None => break,
                },
                _ = look.tick() => if progress.is_abandoned() { self.asking.abort_all() },
            }
        }
        let reconnects = self.sessions.iter().map(|session| session.reconnects()).sum();
        self.desk.reconnected(reconnects);
    }
}

/// Time on a processor of this thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

/// Why the load itself set the pace, if it did: its threads hardly ever waited for the site.
pub(crate) fn bottleneck(spent: &[Spent]) -> Option<String> {
    let sum = |of: fn(&Spent) -> Duration| spent.iter().map(of).sum::<Duration>().as_secs_f64();
    let (wall, busy, cpu) = (sum(|one| one.wall), sum(|one| one.busy), sum(|one| one.cpu));
    // A short run says nothing.
    if wall < 0.2 || busy / wall < 0.95 {
        return None;
    }
    let hindered = if cpu / wall < 0.8 { ", kept from it by other processes" } else { "" };
    Some(format!(
        "the load's {} threads were busy {:.0} % of the time ({:.0} % on a processor{hindered}): answers lay waiting for them, so rate and latency are partly the load's own",
        spent.len(),
        100.0 * busy / wall,
        100.0 * cpu / wall
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_that_never_waited_says_so() {
        let spent = |busy: u64, cpu: u64| Spent {
            wall: Duration::from_secs(10),
            busy: Duration::from_millis(busy),
            cpu: Duration::from_millis(cpu),
        };
        assert_eq!(bottleneck(&[spent(9_000, 9_000), spent(9_900, 9_900)]), None);
        let said = bottleneck(&[spent(9_900, 9_800), spent(9_900, 9_800)]).unwrap();
        assert!(said.contains("2 threads were busy 99 %") && !said.contains("other processes"), "{said}");
        assert!(bottleneck(&[spent(9_900, 5_000)]).unwrap().contains("other processes"));
    }
}
