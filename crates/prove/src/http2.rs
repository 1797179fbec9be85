//! HTTP/2: several questions at once over one connection, each a stream of its own. The framing is the h2 crate's.

use crate::client::{Answer, Exchange};
use crate::clock::Clock;
use crate::fault::Fault;
use crate::page::{Ask, Piece};
use crate::patience::Patience;
use crate::stream::{Dialer, Protocol};
use crate::target::Target;
use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, SendStream};
use http::Request;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

/// As much as the biggest answers of a probe: a window update per answer would be our own slowness.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;
/// So often a question is asked anew that the server refused unread; then it is a fault.
const TRIES: u32 = 4;

/// One connection that several ask over; made when it is needed, and again when it has ended.
#[derive(Debug)]
pub struct Session {
    dialer: Dialer,
    /// Deliberately held while connecting: the others wait for the same connection.
    sender: Mutex<Option<SendRequest<Bytes>>>,
    connected: AtomicU64,
    untaken: AtomicU64,
}

/// One who asks over a session, one question at a time.
#[derive(Debug)]
pub struct Stream2 {
    session: Arc<Session>,
    clock: Clock,
    patience: Patience,
    head: Vec<u8>,
    body: Vec<u8>,
}

/// A request as HTTP/2 takes it.
#[derive(Clone, Debug)]
pub struct Prepared2 {
    request: Request<()>,
    pieces: Box<[Piece]>,
}

/// What came of one try.
enum Tried {
    Answered {
        status: u16,
    },
    /// The server said that it has not looked at it (RFC 9113, 8.7), so asking again is asking once.
    Untaken(h2::Error),
}

impl Prepared2 {
    /// For this host.
    ///
    /// # Errors
    /// When a part of it cannot be said in HTTP/2.
    pub fn new(ask: &Ask, target: &Target) -> Result<Self, http::Error> {
        let scheme = if target.tls.is_some() { "https" } else { "http" };
        let mut request = Request::builder()
            .version(http::Version::HTTP_2)
            .method(ask.method.as_str())
            .uri(format!("{scheme}://{}{}", target.host, ask.path));
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        if !ask.upload.is_empty() || ask.method == "POST" {
            let length: usize = ask.upload.iter().map(|piece| piece.bytes.len()).sum();
            request = request.header("content-length", length);
        }
        let pieces = ask.upload.iter().filter(|piece| !piece.bytes.is_empty()).cloned().collect();
        Ok(Self { request: request.body(())?, pieces })
    }
}

impl Session {
    /// Not connected yet.
    #[must_use]
    pub fn new(target: &Target) -> Arc<Self> {
        Arc::new(Self {
            dialer: Dialer::new(target, Protocol::Http2),
            sender: Mutex::new(None),
            connected: AtomicU64::new(0),
            untaken: AtomicU64::new(0),
        })
    }

    /// Connections that had ended before something was sent, and questions that were refused unread.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.connected.load(Ordering::Relaxed).saturating_sub(1) + self.untaken.load(Ordering::Relaxed)
    }

    async fn sender(&self) -> Result<SendRequest<Bytes>, Fault> {
        let mut held = self.sender.lock().await;
        if let Some(sender) = held.take()
            && let Ok(sender) = sender.ready().await
        {
            *held = Some(sender.clone());
            return Ok(sender);
        }
        let stream = self.dialer.connect().await.map_err(Fault::Refused)?;
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .enable_push(false)
            .handshake(stream)
            .await
            .map_err(|why| Fault::Refused(io::Error::other(why)))?;
        // How it ends is told to those whose answers it carried.
        tokio::spawn(async { drop(connection.await) });
        self.connected.fetch_add(1, Ordering::Relaxed);
        let sender = sender.ready().await.map_err(|why| Fault::Refused(io::Error::other(why)))?;
        *held = Some(sender.clone());
        Ok(sender)
    }
}

impl Stream2 {
    /// Over this session.
    #[must_use]
    pub fn new(session: Arc<Session>, clock: Clock) -> Self {
        Self { session, clock, patience: Patience::new(), head: Vec::new(), body: Vec::new() }
    }

    /// Asks once.
    pub async fn ask(&mut self, prepared: &Prepared2, limit: Duration) -> Exchange<'_> {
        self.head.clear();
        self.body.clear();
        let sent_ns = self.clock.now_ns();
        let (session, head, body) = (&self.session, &mut self.head, &mut self.body);
        let asking = async {
            let mut tries = 1;
            loop {
                match converse(session.sender().await?, prepared, head, body).await? {
                    Tried::Answered { status } => return Ok(status),
                    Tried::Untaken(why) if tries == TRIES => {
                        return Err(Fault::Unanswered(io::Error::other(why)));
                    }
                    Tried::Untaken(_) => {
                        session.untaken.fetch_add(1, Ordering::Relaxed);
                        tries += 1;
                    }
                }
            }
        };
        let outcome = self.patience.within(limit, asking).await.unwrap_or(Err(Fault::TooLong(limit)));
        let done_ns = self.clock.now_ns();
        let answer = outcome.map(|status| Answer { status, head: &self.head, body: &self.body });
        Exchange { sent_ns, done_ns, answer }
    }
}

async fn converse(
    mut sender: SendRequest<Bytes>,
    prepared: &Prepared2,
    head: &mut Vec<u8>,
    body: &mut Vec<u8>,
) -> Result<Tried, Fault> {
    let (response, upload) = match sender.send_request(prepared.request.clone(), prepared.pieces.is_empty()) {
        Ok(begun) => begun,
        // Nothing was sent.
        Err(why) => return Ok(Tried::Untaken(why)),
    };
    if !prepared.pieces.is_empty() {
        send(upload, &prepared.pieces).await;
    }
    let response = match response.await {
        Ok(response) => response,
        Err(why) if is_untaken(&why) => return Ok(Tried::Untaken(why)),
        Err(why) => return Err(Fault::Unanswered(io::Error::other(why))),
    };
    let (parts, mut rest) = response.into_parts();
    // As a head of HTTP/1 would say it, so that whoever looks for a header looks in one way.
    head.extend_from_slice(format!("HTTP/2 {}\r\n", parts.status.as_u16()).as_bytes());
    for (name, value) in &parts.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    while let Some(chunk) = rest.data().await {
        let chunk = chunk.map_err(|why| cut_short(body.len(), why))?;
        body.extend_from_slice(&chunk);
        rest.flow_control().release_capacity(chunk.len()).map_err(|why| cut_short(body.len(), why))?;
    }
    Ok(Tried::Answered { status: parts.status.as_u16() })
}

/// Sends as much as is wanted. A server may answer without having read all; how it went shows in its answer.
async fn send(mut upload: SendStream<Bytes>, pieces: &[Piece]) {
    for (at, piece) in pieces.iter().enumerate() {
        if !piece.pause.is_zero() {
            tokio::time::sleep(piece.pause).await;
        }
        let is_last = at + 1 == pieces.len();
        let mut bytes = piece.bytes.clone();
        while !bytes.is_empty() {
            upload.reserve_capacity(bytes.len());
            let Some(Ok(room)) = poll_fn(|context| upload.poll_capacity(context)).await else { return };
            let part = bytes.split_to(room.min(bytes.len()));
            if upload.send_data(part, is_last && bytes.is_empty()).is_err() {
                return;
            }
        }
    }
}

fn is_untaken(why: &h2::Error) -> bool {
    let refused = why.is_reset() && why.reason() == Some(Reason::REFUSED_STREAM);
    refused || why.is_go_away() && why.is_remote() && why.reason() == Some(Reason::NO_ERROR)
}

fn cut_short(got: usize, why: h2::Error) -> Fault {
    Fault::CutShort { got, why: io::Error::other(why) }
}
