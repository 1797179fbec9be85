//! Client: one HTTP/1.1 connection that asks, and times what it gets. It never retries, so nothing is hidden from the judge.

use crate::clock::Clock;
pub use crate::fault::Fault;
use crate::fault::closed;
use crate::page::Ask;
use crate::patience::Patience;
use crate::prepared::Prepared;
use crate::stream::{Dialer, Protocol, Stream};
use crate::target::Target;
use crate::wire::{self, Chunks, Framing};
use std::io;
use std::time::Duration;

/// One client: at most one open connection, one request at a time (see [`crate::pipeline`] for several).
#[derive(Debug)]
pub struct Client {
    dialer: Dialer,
    host: String,
    clock: Clock,
    limit: Duration,
    patience: Patience,
    connection: Connection,
    reconnects: u64,
}

/// The open connection, if any, and the answer that came over it last.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    pub(crate) stream: Option<Stream>,
    /// What was read and not dropped yet: the answer's head, its body if that is not chunked, and what is behind it.
    pub(crate) raw: Vec<u8>,
    /// A chunked body, put together.
    pub(crate) body: Vec<u8>,
}

/// One question and what came of it.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// Before the first byte (of a new connection: before connecting).
    pub sent_ns: u64,
    /// After the last byte.
    pub done_ns: u64,
    /// The answer, or why there is none.
    pub answer: Result<Answer<'a>, Fault>,
}

/// A whole answer; it lies in the client's buffers until the next question.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The head's bytes.
    pub head: &'a [u8],
    /// The body's bytes.
    pub body: &'a [u8],
}

/// Where an answer lies in what was read.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    pub(crate) head: wire::Head,
    /// Bytes of `raw` that are this answer.
    pub(crate) used: usize,
}

impl<'a> Answer<'a> {
    /// The value of a header, where it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        wire::header(self.head, name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The values of a header that may come several times, where they are text.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &'a str> {
        wire::headers(self.head, name).filter_map(|value| std::str::from_utf8(value).ok())
    }
}

impl Client {
    /// A client that is not connected yet.
    #[must_use]
    pub fn new(target: Target, clock: Clock, limit: Duration) -> Self {
        Self {
            dialer: Dialer::new(&target, Protocol::Http1),
            host: target.host,
            clock,
            limit,
            patience: Patience::new(),
            connection: Connection::default(),
            reconnects: 0,
        }
    }

    /// Kept connections that were found closed before anything was sent on them.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.reconnects
    }

    /// Asks once. `keep`: the connection may be used again; else it says `Connection: close`.
    pub async fn ask(&mut self, ask: &Ask, keep: bool) -> Exchange<'_> {
        let prepared = Prepared::new(ask, &self.host);
        let limit = self.limit;
        self.ask_prepared(&prepared, keep, limit).await
    }

    /// The same with the request's bytes at hand, and a patience of its own.
    pub async fn ask_prepared(&mut self, prepared: &Prepared, keep: bool, limit: Duration) -> Exchange<'_> {
        if self.connection.drop_if_over().await {
            self.reconnects += 1;
        }
        let (clock, patience) = (self.clock, &mut self.patience);
        self.connection.ask(&self.dialer, clock, patience, prepared, keep, limit).await
    }
}

impl Connection {
    /// Asks one question and reads its answer, `limit` at most from now.
    pub(crate) async fn ask(
        &mut self,
        dialer: &Dialer,
        clock: Clock,
        patience: &mut Patience,
        prepared: &Prepared,
        keep: bool,
        limit: Duration,
    ) -> Exchange<'_> {
        self.raw.clear();
        let sent_ns = clock.now_ns();
        let asking = self.converse(dialer, prepared, keep);
        let outcome = patience.within(limit, asking).await.unwrap_or(Err(Fault::TooLong(limit)));
        let done_ns = clock.now_ns();
        if outcome.as_ref().is_ok_and(|whole| whole.head.closes) || outcome.is_err() || !keep {
            self.stream = None;
        }
        Exchange { sent_ns, done_ns, answer: outcome.map(|whole| self.answer(&whole)) }
    }

    /// Lets go of a kept connection that the other side has closed; says so.
    pub(crate) async fn drop_if_over(&mut self) -> bool {
        let over = match &mut self.stream {
            Some(stream) => stream.is_over().await,
            None => false,
        };
        if over {
            self.stream = None;
        }
        over
    }

    /// The stream, new if need be. It is taken out, so that a conversation that is dropped midway leaves none behind.
    pub(crate) async fn take(&mut self, dialer: &Dialer) -> Result<Stream, Fault> {
        match self.stream.take() {
            Some(stream) => Ok(stream),
            None => dialer.connect().await.map_err(Fault::Refused),
        }
    }

    async fn converse(&mut self, dialer: &Dialer, prepared: &Prepared, keep: bool) -> Result<Whole, Fault> {
        let mut stream = self.take(dialer).await?;
        let sent = send(&mut stream, prepared, keep).await;
        // A server may answer and close without having read all (413): its answer counts, so read even so.
        let whole = match (self.read_answer(&mut stream, prepared.is_head).await, sent) {
            (Err(Fault::Unanswered(_)), Err(why)) => return Err(Fault::Unanswered(why)),
            (whole, _) => whole?,
        };
        match self.raw.len() - whole.used {
            0 => self.stream = Some(stream),
            more => return Err(Fault::Trailing(more)),
        }
        Ok(whole)
    }

    /// Reads one whole answer into the buffers, and perhaps bytes behind it.
    pub(crate) async fn read_answer(&mut self, stream: &mut Stream, is_head: bool) -> Result<Whole, Fault> {
        self.body.clear();
        let head = self.read_head(stream, is_head).await?;
        let used = self.read_body(stream, &head).await?;
        Ok(Whole { head, used })
    }

    /// The answer that was read last.
    pub(crate) fn answer(&self, whole: &Whole) -> Answer<'_> {
        let bytes = whole.head.bytes;
        Answer {
            status: whole.head.status,
            head: self.raw.get(..bytes).unwrap_or_default(),
            body: match whole.head.framing {
                Framing::Chunked => &self.body,
                Framing::Length(_) | Framing::UntilClose | Framing::Empty => {
                    self.raw.get(bytes..whole.used).unwrap_or_default()
                }
            },
        }
    }

    async fn read_head(&mut self, stream: &mut Stream, is_head: bool) -> Result<wire::Head, Fault> {
        loop {
            match wire::head(&self.raw, is_head)? {
                Some(head) if head.status < 200 => drop(self.raw.drain(..head.bytes)),
                Some(head) => return Ok(head),
                None => match stream.read_more(&mut self.raw).await {
                    Ok(0) if self.raw.is_empty() => return Err(Fault::Unanswered(closed())),
                    Ok(0) => return Err(self.cut_short(closed())),
                    Ok(_) => {}
                    Err(why) if self.raw.is_empty() => return Err(Fault::Unanswered(why)),
                    Err(why) => return Err(self.cut_short(why)),
                },
            }
        }
    }

    /// Reads to the end of the body; gives where in `raw` the answer ends.
    async fn read_body(&mut self, stream: &mut Stream, head: &wire::Head) -> Result<usize, Fault> {
        match head.framing {
            Framing::Empty => Ok(head.bytes),
            Framing::Length(length) => {
                let whole = head.bytes.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
                while self.raw.len() < whole {
                    self.read_more(stream).await?;
                }
                Ok(whole)
            }
            Framing::UntilClose => loop {
                match stream.read_more(&mut self.raw).await {
                    Ok(0) => return Ok(self.raw.len()),
                    Ok(_) => {}
                    Err(why) => return Err(self.cut_short(why)),
                }
            },
            Framing::Chunked => {
                let mut chunks = Chunks::default();
                let mut used = head.bytes;
                loop {
                    used += chunks.feed(self.raw.get(used..).unwrap_or_default(), &mut self.body)?;
                    if chunks.is_done() {
                        return Ok(used);
                    }
                    if used > head.bytes {
                        self.raw.drain(head.bytes..used);
                        used = head.bytes;
                    }
                    self.read_more(stream).await?;
                }
            }
        }
    }

    async fn read_more(&mut self, stream: &mut Stream) -> Result<(), Fault> {
        match stream.read_more(&mut self.raw).await {
            Ok(0) => Err(self.cut_short(closed())),
            Ok(_) => Ok(()),
            Err(why) => Err(self.cut_short(why)),
        }
    }

    fn cut_short(&self, why: io::Error) -> Fault {
        Fault::CutShort { got: self.raw.len() + self.body.len(), why }
    }
}

async fn send(stream: &mut Stream, prepared: &Prepared, keep: bool) -> io::Result<()> {
    stream.send(prepared.begin(keep)).await?;
    for piece in prepared.pieces() {
        if !piece.pause.is_zero() {
            tokio::time::sleep(piece.pause).await;
        }
        stream.send(&piece.bytes).await?;
    }
    Ok(())
}
