//! Pipeline: several questions sent at once over one HTTP/1.1 connection, answered one after the other (RFC 9112, 9.3.2).

use crate::client::{Answer, Connection, Exchange, Whole};
use crate::clock::Clock;
use crate::fault::Fault;
use crate::patience::Patience;
use crate::prepared::Prepared;
use crate::stream::{Dialer, Protocol, Stream};
use crate::target::Target;
use std::time::Duration;

/// One client that asks several questions at once.
#[derive(Debug)]
pub struct Pipeline {
    dialer: Dialer,
    clock: Clock,
    limit: Duration,
    patience: Patience,
    connection: Connection,
    out: Vec<u8>,
    reconnects: u64,
}

impl Pipeline {
    /// A client that is not connected yet.
    #[must_use]
    pub fn new(target: &Target, clock: Clock, limit: Duration) -> Self {
        Self {
            dialer: Dialer::new(target, Protocol::Http1),
            clock,
            limit,
            patience: Patience::new(),
            connection: Connection::default(),
            out: Vec::new(),
            reconnects: 0,
        }
    }

    /// Kept connections that were found closed before anything was sent on them.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.reconnects
    }

    /// Sends all of `batch` at once, questions without bodies that may be asked twice; tells `each` what came of the
    /// first, the second, and so on. Gives how many it told of. The rest the server did not take: it said
    /// `Connection: close` before, which is its right, so they are to be asked again.
    pub async fn ask_all(&mut self, batch: &[&Prepared], mut each: impl FnMut(usize, Exchange<'_>)) -> usize {
        if self.connection.drop_if_over().await {
            self.reconnects += 1;
        }
        self.connection.raw.clear();
        self.out.clear();
        for prepared in batch {
            self.out.extend_from_slice(prepared.begin(true));
        }
        let sent_ns = self.clock.now_ns();
        let mut stream = match self.begin().await {
            Ok(stream) => stream,
            Err(fault) => {
                self.fail(0, batch.len(), sent_ns, fault, &mut each);
                return batch.len();
            }
        };
        for (number, prepared) in batch.iter().enumerate() {
            let is_last = number + 1 == batch.len();
            match self.answer(&mut stream, prepared, sent_ns, is_last).await {
                Ok(whole) => {
                    let done_ns = self.clock.now_ns();
                    let answer: Answer<'_> = self.connection.answer(&whole);
                    each(number, Exchange { sent_ns, done_ns, answer: Ok(answer) });
                    self.connection.raw.drain(..whole.used);
                    if whole.head.closes {
                        return number + 1;
                    }
                }
                Err(fault) => {
                    self.fail(number, batch.len(), sent_ns, fault, &mut each);
                    return batch.len();
                }
            }
        }
        self.connection.stream = Some(stream);
        batch.len()
    }

    /// Asks one question, which may have a body, and awaits its answer.
    pub async fn ask_alone(&mut self, prepared: &Prepared) -> Exchange<'_> {
        if self.connection.drop_if_over().await {
            self.reconnects += 1;
        }
        let (clock, limit) = (self.clock, self.limit);
        self.connection.ask(&self.dialer, clock, &mut self.patience, prepared, true, limit).await
    }

    async fn begin(&mut self) -> Result<Stream, Fault> {
        let (connection, dialer, out) = (&mut self.connection, &self.dialer, &self.out);
        let begun = async {
            let mut stream = connection.take(dialer).await?;
            stream.send(out).await.map_err(Fault::Unanswered)?;
            Ok(stream)
        };
        self.patience.within(self.limit, begun).await.unwrap_or(Err(Fault::TooLong(self.limit)))
    }

    async fn answer(
        &mut self,
        stream: &mut Stream,
        prepared: &Prepared,
        sent_ns: u64,
        is_last: bool,
    ) -> Result<Whole, Fault> {
        let waited = Duration::from_nanos(self.clock.now_ns().saturating_sub(sent_ns));
        let reading = self.connection.read_answer(stream, prepared.is_head);
        let whole = self
            .patience
            .within(self.limit.saturating_sub(waited), reading)
            .await
            .unwrap_or(Err(Fault::TooLong(self.limit)))?;
        match self.connection.raw.len() - whole.used {
            more if more > 0 && (is_last || whole.head.closes) => Err(Fault::Trailing(more)),
            _ => Ok(whole),
        }
    }

    /// One fault ends the connection: it is the fault of the answer it came in, and those behind it get none.
    fn fail(
        &self,
        first: usize,
        count: usize,
        sent_ns: u64,
        fault: Fault,
        each: &mut impl FnMut(usize, Exchange<'_>),
    ) {
        let done_ns = self.clock.now_ns();
        let text = fault.to_string();
        each(first, Exchange { sent_ns, done_ns, answer: Err(fault) });
        for number in first + 1..count {
            let why = std::io::Error::other(format!("an answer before it in the pipeline: {text}"));
            each(number, Exchange { sent_ns, done_ns, answer: Err(Fault::Unanswered(why)) });
        }
    }
}
