//! Load: closed-loop clients that ask page after page and write down what they see.

use crate::client::Client;
use crate::evidence::Examiner;
use crate::observations::Response;
use crate::page::Page;
use crate::progress::Progress;
use crate::scenario::{Load, Marks};
use crate::target::Target;
use crate::{clock::Clock, scenario::Scenario};
use std::sync::Arc;

/// What one client saw.
#[derive(Debug, Default)]
pub struct Log {
    /// Its responses, in order.
    pub responses: Vec<Response>,
    /// See [`crate::Observations::reconnects`].
    pub reconnects: u64,
}

/// What all clients of a load share.
#[derive(Debug)]
pub struct Plan {
    target: Target,
    releases: Vec<String>,
    pages: Vec<Page>,
    /// Page numbers, each as often as its weight.
    hat: Vec<u32>,
    marks: Marks,
    load: Load,
    progress: Arc<Progress>,
    clock: Clock,
}

impl Plan {
    /// The load of a scenario.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Self {
        let weighted = scenario.pages.iter().zip(0_u32..);
        let hat = weighted.flat_map(|(page, at)| std::iter::repeat_n(at, page.weight as usize)).collect();
        Self {
            target: scenario.target.clone(),
            releases: scenario.releases.clone(),
            pages: scenario.pages.clone(),
            hat,
            marks: scenario.marks.clone(),
            load: scenario.load.clone(),
            progress: Arc::clone(&scenario.progress),
            clock: scenario.clock,
        }
    }

    /// Asks as client number `client` until the load is done or stopped.
    pub async fn ask_on(self: Arc<Self>, client: u32) -> Log {
        let mut asking = Client::new(self.target.clone(), self.clock, self.load.patience);
        let examiner = Examiner::new(&self.releases, &self.marks);
        let keep = client >= self.load.closing;
        let mut draw = Draw::seeded(client);
        let mut log = Log::default();
        while !self.progress.is_stopped() {
            let Some(&number) = draw.from(&self.hat) else { break };
            let Some(page) = self.pages.get(number as usize) else { break };
            let exchange = asking.ask(&page.ask, keep).await;
            let seen = examiner.look(page, &exchange.answer);
            let refused = exchange.answer.is_err();
            let suspect = seen.is_suspect();
            let (sent_ns, done_ns) = (exchange.sent_ns, exchange.done_ns);
            log.responses.push(Response { page: number, client, due_ns: sent_ns, sent_ns, done_ns, seen });
            let answered = self.progress.count_answer(suspect);
            if answered >= self.load.requests && self.progress.flips_are_over() {
                self.progress.stop();
            }
            if refused {
                // A server that refuses at once must not turn the count into a busy loop's.
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
        log.reconnects = asking.reconnects();
        log
    }
}

/// A small random sequence (xorshift64*), the same in every run, another for each client.
struct Draw(u64);

impl Draw {
    fn seeded(client: u32) -> Self {
        Self((u64::from(client) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn from<'a, T>(&mut self, hat: &'a [T]) -> Option<&'a T> {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        let at = usize::try_from(high).unwrap_or(0).checked_rem(hat.len())?;
        hat.get(at)
    }
}
