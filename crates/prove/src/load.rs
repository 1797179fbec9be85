//! Load: clients that ask page after page and write down what they see.

use crate::arrivals::Arrivals;
use crate::client::{Client, Exchange};
use crate::clock::Clock;
use crate::evidence::Examiner;
use crate::fault::Fault;
use crate::http2::{Prepared2, Session, Stream2};
use crate::observations::Response;
use crate::page::Page;
use crate::pipeline::Pipeline;
use crate::prepared::Prepared;
use crate::progress::Progress;
use crate::scenario::{Load, Marks, Scenario, Speaking};
use crate::target::Target;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What the clients of one worker saw.
#[derive(Debug, Default)]
pub struct Log {
    /// Their responses, in the order they ended.
    pub responses: Vec<Response>,
    /// See [`crate::Observations::reconnects`].
    pub reconnects: u64,
}

/// What all clients of a load share.
#[derive(Debug)]
pub struct Plan {
    pub(crate) target: Target,
    releases: Vec<String>,
    pages: Vec<Page>,
    /// Page numbers, each as often as its weight.
    hat: Vec<u32>,
    prepared: Vec<Prepared>,
    /// For HTTP/2 only.
    prepared2: Vec<Prepared2>,
    marks: Marks,
    pub(crate) load: Load,
    pub(crate) progress: Arc<Progress>,
    pub(crate) clock: Clock,
}

/// What the clients of one worker share.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) plan: Arc<Plan>,
    pub(crate) arrivals: Option<Arrivals>,
    /// Never contended: all clients of a desk are on one thread.
    log: Mutex<Log>,
}

impl Plan {
    /// The load of a scenario.
    ///
    /// # Errors
    /// When a page cannot be asked for in HTTP/2, and that is to be spoken.
    pub fn of(scenario: &Scenario) -> Result<Self, http::Error> {
        let weighted = scenario.pages.iter().zip(0_u32..);
        let hat = weighted.flat_map(|(page, at)| std::iter::repeat_n(at, page.weight as usize)).collect();
        let target = scenario.target.clone();
        let asks = || scenario.pages.iter().map(|page| &page.ask);
        let prepared2 = match scenario.load.speaking {
            Speaking::Http1 | Speaking::Pipelined { .. } => Vec::new(),
            Speaking::Http2 { .. } => {
                asks().map(|ask| Prepared2::new(ask, &target)).collect::<Result<_, _>>()?
            }
        };
        Ok(Self {
            releases: scenario.releases.clone(),
            pages: scenario.pages.clone(),
            hat,
            prepared: asks().map(|ask| Prepared::new(ask, &target.host)).collect(),
            prepared2,
            target,
            marks: scenario.marks.clone(),
            load: scenario.load.clone(),
            progress: Arc::clone(&scenario.progress),
            clock: scenario.clock,
        })
    }
}

impl Desk {
    pub(crate) fn new(plan: Arc<Plan>, arrivals: Option<Arrivals>) -> Self {
        Self { plan, arrivals, log: Mutex::default() }
    }

    /// What was seen until now, taken away.
    pub(crate) fn take_log(&self) -> Log {
        std::mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// When the next request is due; `None`: there is none.
    async fn due(&self) -> Option<u64> {
        let progress = &self.plan.progress;
        match &self.arrivals {
            Some(arrivals) => arrivals.next(progress).await,
            None => (!progress.is_stopped()).then(|| self.plan.clock.now_ns()),
        }
    }

    /// How long a request that was due then may still take.
    fn patience(&self, due_ns: u64) -> Option<Duration> {
        let waited = Duration::from_nanos(self.plan.clock.now_ns().saturating_sub(due_ns));
        self.plan.load.patience.checked_sub(waited).filter(|left| !left.is_zero())
    }

    /// Asks over HTTP/1.1 as client number `client` until the load is over.
    pub(crate) async fn ask_on(self: Arc<Self>, client: u32) {
        let plan = &self.plan;
        let mut asking = Client::new(plan.target.clone(), plan.clock, plan.load.patience);
        let keep = client >= plan.load.closing;
        let mut notes = Notes::of(&self, client, client);
        while let Some(due_ns) = self.due().await {
            let Some((number, prepared)) = notes.draw.page(&plan.hat, &plan.prepared) else { break };
            let Some(left) = self.patience(due_ns) else {
                notes.gave_up(number, due_ns);
                continue;
            };
            let exchange = asking.ask_prepared(prepared, keep, left).await;
            if notes.note(number, due_ns, &exchange) {
                pause().await;
            }
        }
        notes.reconnected(asking.reconnects());
    }

    /// The same with up to `depth` requests sent at once.
    pub(crate) async fn ask_many_on(self: Arc<Self>, client: u32, depth: u32) {
        let plan = &self.plan;
        let mut asking = Pipeline::new(&plan.target, plan.clock, plan.load.patience);
        let mut notes = Notes::of(&self, client, client);
        let mut batch: Vec<(u32, &Prepared)> = Vec::new();
        while !plan.progress.is_stopped() {
            let due_ns = plan.clock.now_ns();
            while batch.len() < depth.max(1) as usize {
                let Some(drawn) = notes.draw.page(&plan.hat, &plan.prepared) else { return };
                batch.push(drawn);
            }
            // What may not be asked twice may not stand behind a question whose answer is not known (RFC 9112, 9.3.2).
            let safe = batch.iter().take_while(|(_, prepared)| prepared.is_safe).count();
            let (count, fault) = if safe == 0 {
                let (number, prepared) = batch.remove(0);
                let exchange = asking.ask_alone(prepared).await;
                (0, notes.note(number, due_ns, &exchange))
            } else {
                let questions: Vec<&Prepared> =
                    batch.iter().take(safe).map(|(_, prepared)| *prepared).collect();
                let mut fault = false;
                let count = asking
                    .ask_all(&questions, |at, exchange| {
                        if let Some((number, _)) = batch.get(at) {
                            fault |= notes.note(*number, due_ns, &exchange);
                        }
                    })
                    .await;
                (count, fault)
            };
            batch.drain(..count);
            if fault {
                pause().await;
            }
        }
        notes.reconnected(asking.reconnects());
    }

    /// Asks over HTTP/2 as one of several who share a connection.
    pub(crate) async fn ask_over(self: Arc<Self>, session: Arc<Session>, client: u32, seed: u32) {
        let plan = &self.plan;
        let mut asking = Stream2::new(session, plan.clock);
        let mut notes = Notes::of(&self, client, seed);
        while let Some(due_ns) = self.due().await {
            let Some((number, prepared)) = notes.draw.page(&plan.hat, &plan.prepared2) else { break };
            let Some(left) = self.patience(due_ns) else {
                notes.gave_up(number, due_ns);
                continue;
            };
            let exchange = asking.ask(prepared, left).await;
            if notes.note(number, due_ns, &exchange) {
                pause().await;
            }
        }
    }

    pub(crate) fn reconnected(&self, reconnects: u64) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).reconnects += reconnects;
    }
}

/// A server that refuses at once must not turn the count into a busy loop's.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// One client writing down what it sees.
struct Notes<'a> {
    desk: &'a Desk,
    examiner: Examiner<'a>,
    client: u32,
    draw: Draw,
}

impl<'a> Notes<'a> {
    fn of(desk: &'a Desk, client: u32, seed: u32) -> Self {
        let examiner = Examiner::new(&desk.plan.releases, &desk.plan.marks);
        Self { desk, examiner, client, draw: Draw::seeded(seed) }
    }

    /// Writes one down; says whether there was no whole answer.
    fn note(&self, number: u32, due_ns: u64, exchange: &Exchange<'_>) -> bool {
        let plan = &self.desk.plan;
        let Some(page) = plan.pages.get(number as usize) else { return false };
        let seen = self.examiner.look(page, &exchange.answer);
        let suspect = seen.is_suspect();
        let Exchange { sent_ns, done_ns, .. } = *exchange;
        // In a closed loop it is due when it is sent.
        let due_ns = if self.desk.arrivals.is_some() { due_ns } else { sent_ns };
        let response = Response { page: number, client: self.client, due_ns, sent_ns, done_ns, seen };
        self.desk.log.lock().unwrap_or_else(PoisonError::into_inner).responses.push(response);
        let answered = plan.progress.count_answer(suspect);
        if answered >= plan.load.requests && plan.progress.flips_are_over() {
            plan.progress.end_at(done_ns);
        }
        exchange.answer.is_err()
    }

    /// An arrival whose visitor went before a connection was free.
    fn gave_up(&self, number: u32, due_ns: u64) {
        let now_ns = self.desk.plan.clock.now_ns();
        let answer = Err(Fault::TooLong(self.desk.plan.load.patience));
        self.note(number, due_ns, &Exchange { sent_ns: now_ns, done_ns: now_ns, answer });
    }

    fn reconnected(&self, reconnects: u64) {
        self.desk.reconnected(reconnects);
    }
}

/// A small random sequence (xorshift64*), the same in every run, another for each client.
struct Draw(u64);

impl Draw {
    fn seeded(client: u32) -> Self {
        Self((u64::from(client) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A page from the hat, and what belongs to it.
    fn page<'a, T>(&mut self, hat: &[u32], of: &'a [T]) -> Option<(u32, &'a T)> {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        let at = usize::try_from(high).unwrap_or(0).checked_rem(hat.len())?;
        let number = *hat.get(at)?;
        Some((number, of.get(number as usize)?))
    }
}
