//! Client: one connection that asks, and times what it gets. It never retries, so nothing is hidden from the judge.

use crate::clock::Clock;
use crate::page::Ask;
use crate::target::{Socket, Target};
use crate::wire::{self, Chunks, Framing, WireError};
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// One client: at most one open connection, one request at a time.
#[derive(Debug)]
pub struct Client {
    target: Target,
    clock: Clock,
    patience: Duration,
    stream: Option<Stream>,
    raw: Vec<u8>,
    body: Vec<u8>,
    reconnects: u64,
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

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No connection.
    #[error("refused: {0}")]
    Refused(io::Error),
    /// The connection ended before the answer began.
    #[error("unanswered: {0}")]
    Unanswered(io::Error),
    /// The connection ended within the answer.
    #[error("cut short after {got} bytes: {why}")]
    CutShort {
        /// Bytes that had come.
        got: usize,
        /// How it ended.
        why: io::Error,
    },
    /// The answer is not HTTP.
    #[error("bad framing: {0}")]
    Framing(#[from] WireError),
    /// Bytes behind the end of the answer.
    #[error("{0} bytes behind the end of the answer")]
    Trailing(usize),
    /// It took too long.
    #[error("no whole answer within {0:?}")]
    TooLong(Duration),
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
    pub fn new(target: Target, clock: Clock, patience: Duration) -> Self {
        Self { target, clock, patience, stream: None, raw: Vec::new(), body: Vec::new(), reconnects: 0 }
    }

    /// Kept connections that were found closed before anything was sent on them.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.reconnects
    }

    /// Asks once. `keep`: the connection may be used again; else it says `Connection: close`.
    pub async fn ask(&mut self, ask: &Ask, keep: bool) -> Exchange<'_> {
        if self.stream.as_ref().is_some_and(Stream::is_over) {
            self.stream = None;
            self.reconnects += 1;
        }
        self.raw.clear();
        self.body.clear();
        let sent_ns = self.clock.now_ns();
        let patience = self.patience;
        let outcome = match tokio::time::timeout(patience, self.converse(ask, keep)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Fault::TooLong(patience)),
        };
        let done_ns = self.clock.now_ns();
        if outcome.as_ref().is_ok_and(|head| head.closes) || outcome.is_err() || !keep {
            self.stream = None;
        }
        let answer = outcome.map(|head| Answer {
            status: head.status,
            head: self.raw.get(..head.bytes).unwrap_or_default(),
            body: match head.framing {
                Framing::Chunked => &self.body,
                Framing::Length(_) | Framing::UntilClose | Framing::Empty => {
                    self.raw.get(head.bytes..).unwrap_or_default()
                }
            },
        });
        Exchange { sent_ns, done_ns, answer }
    }

    async fn converse(&mut self, ask: &Ask, keep: bool) -> Result<wire::Head, Fault> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => Stream::connect(&self.target.socket).await.map_err(Fault::Refused)?,
        };
        let sent = send(&mut stream, ask, &self.target.host, keep).await;
        // A server may answer and close without having read all (413): its answer counts, so read even so.
        let head = match (self.read_head(&mut stream, ask).await, sent) {
            (Err(Fault::Unanswered(_)), Err(why)) => return Err(Fault::Unanswered(why)),
            (head, _) => head?,
        };
        self.read_body(&mut stream, &head).await?;
        self.stream = Some(stream);
        Ok(head)
    }

    async fn read_head(&mut self, stream: &mut Stream, ask: &Ask) -> Result<wire::Head, Fault> {
        loop {
            match wire::head(&self.raw, ask.method == "HEAD")? {
                Some(head) if head.status < 200 => drop(self.raw.drain(..head.bytes)),
                Some(head) => return Ok(head),
                None => match stream.read(&mut self.raw).await {
                    Ok(0) if self.raw.is_empty() => return Err(Fault::Unanswered(closed())),
                    Ok(0) => return Err(self.cut_short(closed())),
                    Ok(_) => {}
                    Err(why) if self.raw.is_empty() => return Err(Fault::Unanswered(why)),
                    Err(why) => return Err(self.cut_short(why)),
                },
            }
        }
    }

    async fn read_body(&mut self, stream: &mut Stream, head: &wire::Head) -> Result<(), Fault> {
        match head.framing {
            Framing::Empty => self.no_more_than(head.bytes),
            Framing::Length(length) => {
                let whole = head.bytes.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
                while self.raw.len() < whole {
                    self.read_more(stream).await?;
                }
                self.no_more_than(whole)
            }
            Framing::UntilClose => loop {
                match stream.read(&mut self.raw).await {
                    Ok(0) => return Ok(()),
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
                        return self.no_more_than(used);
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
        match stream.read(&mut self.raw).await {
            Ok(0) => Err(self.cut_short(closed())),
            Ok(_) => Ok(()),
            Err(why) => Err(self.cut_short(why)),
        }
    }

    fn no_more_than(&self, whole: usize) -> Result<(), Fault> {
        match self.raw.len().checked_sub(whole) {
            Some(0) | None => Ok(()),
            Some(more) => Err(Fault::Trailing(more)),
        }
    }

    fn cut_short(&self, why: io::Error) -> Fault {
        Fault::CutShort { got: self.raw.len() + self.body.len(), why }
    }
}

async fn send(stream: &mut Stream, ask: &Ask, host: &str, keep: bool) -> io::Result<()> {
    let mut head = Vec::with_capacity(256);
    let connection = if keep { "keep-alive" } else { "close" };
    for part in [&ask.method, " ", &ask.path, " HTTP/1.1\r\nHost: ", host, "\r\nConnection: ", connection] {
        head.extend_from_slice(part.as_bytes());
    }
    for (name, value) in &ask.headers {
        for part in ["\r\n", name, ": ", value] {
            head.extend_from_slice(part.as_bytes());
        }
    }
    if !ask.upload.is_empty() || ask.method == "POST" {
        let length: usize = ask.upload.iter().map(|piece| piece.bytes.len()).sum();
        head.extend_from_slice(format!("\r\nContent-Length: {length}").as_bytes());
    }
    head.extend_from_slice(b"\r\n\r\n");
    // A short body without a pause goes out with its head, as browsers send it.
    let together = ask.upload.first().filter(|piece| piece.pause.is_zero() && piece.bytes.len() <= 16 * 1024);
    if let Some(piece) = together {
        head.extend_from_slice(&piece.bytes);
    }
    stream.write(&head).await?;
    for piece in ask.upload.iter().skip(usize::from(together.is_some())) {
        if !piece.pause.is_zero() {
            tokio::time::sleep(piece.pause).await;
        }
        stream.write(&piece.bytes).await?;
    }
    Ok(())
}

fn closed() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the connection was closed")
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    async fn connect(socket: &Socket) -> io::Result<Self> {
        loop {
            let tried = match socket {
                Socket::Tcp(address) => TcpStream::connect(address).await.and_then(|stream| {
                    stream.set_nodelay(true)?;
                    Ok(Self::Tcp(stream))
                }),
                Socket::Unix(path) => UnixStream::connect(path).await.map(Self::Unix),
            };
            match tried {
                // Our own ports or (Unix) the listener's backlog ran out: not an answer, so wait as a blocking client would.
                Err(why) if matches!(why.kind(), ErrorKind::AddrNotAvailable | ErrorKind::WouldBlock) => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                tried => return tried,
            }
        }
    }

    /// Whether the other side has closed, or sent what nobody asked for.
    fn is_over(&self) -> bool {
        let mut byte = [0];
        let tried = match self {
            Self::Tcp(stream) => stream.try_read(&mut byte),
            Self::Unix(stream) => stream.try_read(&mut byte),
        };
        !matches!(tried, Err(why) if why.kind() == ErrorKind::WouldBlock)
    }

    async fn read(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        into.reserve(16 * 1024);
        match self {
            Self::Tcp(stream) => stream.read_buf(into).await,
            Self::Unix(stream) => stream.read_buf(into).await,
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes).await,
            Self::Unix(stream) => stream.write_all(bytes).await,
        }
    }
}
