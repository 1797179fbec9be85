//! Fcgi: a web server's connection, by which it asks for what its visitors want.
//!
//! ```text
//! records -> Asked (parameters, sorted) -> route -> pin -> Target (what it names, mapped into the pin) -> resolve as ever
//!                                                                      \-> told: its parameters, with the pin's paths
//! ```
//!
//! One request at a time; FCGI_KEEP_CONN is honoured. A connection that is to end is closed right behind the end of an
//! answer, where web servers look before they use it again. Even so a request may be on its way to it by then, and
//! FastCGI has no word for "this connection ends": where another process takes over it is not closed but passed on.

pub mod answer;
pub mod asked;
pub mod bases;
pub mod stderr;
pub mod target;
pub mod told;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fastcgi::server::{self, Cut, Gone};
use http::Response;
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::body::Body;
use crate::fcgi::asked::Asked;
use crate::fcgi::target::Target;
use crate::handle::{Connection, handle_asked};
use crate::log::with_reasons;
use crate::server::Server;
use crate::upload::Upload;
use crate::wire::activity::Activity;

/// Bytes of parameters that one request may have before the connection is closed; what is more than the site allows
/// is answered as 431.
const PARAMS_BYTES: usize = 1 << 20;

/// How long the rest of a request is waited for when it was answered already.
const LINGER: Duration = Duration::from_secs(2);

/// What a web server wants, and how it said so.
pub struct Front<'a> {
    /// Its parameters.
    pub asked: &'a Asked,
    /// What they name.
    pub target: Target,
}

/// Answers what comes over a connection, to its end; or until it is to be passed on: then it is given back.
pub async fn serve<R, W>(read: R, write: W, connection: &Connection) -> Option<(R, W)>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let activity = Arc::clone(&connection.activity);
    activity.can_be_passed();
    let wire = server::Connection::new(read, write, PARAMS_BYTES, connection.server.places_most);
    let mut talk = Talk { wire, activity, waits_since: None };
    let over = loop {
        let request = match talk.next(&connection.server).await {
            Ok(request) => request,
            Err(Over::Gone(Gone::Aborted)) => {
                talk.wire.end();
                continue;
            }
            Err(over) => break over,
        };
        let keep = request.keep;
        if let Err(over) = answer(&mut talk, connection, request).await {
            break over;
        }
        if keep && talk.is_to_be_passed(&connection.server) {
            break Over::Passed;
        }
        if !keep || connection.server.is_draining() || talk.activity.is_closing() {
            break talk.close().await;
        }
    };
    if let Some(why) = over.complaint() {
        connection
            .server
            .log
            .error("fcgi", format_args!("{}: {why}; the connection is closed", connection.door.at));
    }
    matches!(over, Over::Passed).then(|| talk.wire.into_parts())
}

async fn answer<R, W>(
    talk: &mut Talk<R, W>,
    connection: &Connection,
    request: server::Request,
) -> Result<(), Over>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let asked = Asked::new(request.params);
    let answered = talk.during(handle_asked(connection, &asked, Upload::Fcgi(request.body))).await;
    let sent = match answered {
        Ok(response) => talk.send(&asked, response).await,
        Err(over) => Err(over),
    };
    match sent {
        // Whoever gave up on it gets its end all the same, and may use the connection again.
        Ok(()) | Err(Over::Gone(Gone::Aborted)) => {
            talk.wire.stderr(&asked.stderr().take());
            talk.wire.end();
            talk.flush(false).await
        }
        Err(over) => Err(over),
    }
}

/// The connection, and what it waits for.
struct Talk<R, W> {
    wire: server::Connection<R, W>,
    activity: Arc<Activity>,
    /// How much had come when it began to wait for more of a body.
    waits_since: Option<u64>,
}

/// Why a connection is over.
enum Over {
    Gone(Gone),
    /// The rest of a request did not come in time.
    Late,
    /// The web server takes nothing.
    Stuck,
    /// The answer could not be given whole; why was logged.
    CutShort,
    /// As agreed.
    Closed,
    /// Another process goes on with it.
    Passed,
}

impl Over {
    /// What is worth a line in the log.
    fn complaint(&self) -> Option<String> {
        match self {
            // That is how web servers end connections, and how they tell that a visitor left.
            Self::Gone(Gone::Closed | Gone::Aborted) | Self::CutShort | Self::Closed | Self::Passed => None,
            Self::Gone(why @ (Gone::Broken(_) | Gone::Garbage(_) | Gone::Unread)) => Some(with_reasons(why)),
            Self::Late => {
                Some("the rest of a request did not come in time (serve.limits.header_timeout)".into())
            }
            Self::Stuck => {
                Some("the web server took nothing of an answer in time (serve.limits.send_timeout)".into())
            }
        }
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Talk<R, W> {
    /// The next request.
    async fn next(&mut self, server: &Server) -> Result<server::Request, Over> {
        let activity = Arc::clone(&self.activity);
        let mut woken = pin!(activity.woken());
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(heard) = self.wire.poll_request(cx) {
                    activity.head_whole();
                    return Poll::Ready(heard.map_err(Over::Gone));
                }
                if self.is_to_be_passed(server) {
                    return Poll::Ready(Err(Over::Passed));
                }
                match self.wire.is_quiet() {
                    true if activity.is_closing() => return Poll::Ready(Err(Over::Closed)),
                    true => activity.head_whole(),
                    false => activity.head_partial(),
                }
                if woken.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                woken.set(activity.woken());
                if activity.is_overdue() {
                    return Poll::Ready(Err(Over::Late));
                }
            }
        })
        .await
    }

    /// Whether another process is to go on with it, from here.
    fn is_to_be_passed(&self, server: &Server) -> bool {
        server.heir().is_some() && self.wire.is_at_rest()
    }

    /// Does `work` while it reads on, so that a body comes and an end is noticed.
    async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Over> {
        let activity = Arc::clone(&self.activity);
        let (mut work, mut woken) = (pin!(work), pin!(activity.woken()));
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(done) = work.as_mut().poll(cx) {
                    self.body_rests();
                    return Poll::Ready(Ok(done));
                }
                if let Poll::Ready(why) = self.wire.poll_input(cx) {
                    return Poll::Ready(Err(Over::Gone(why)));
                }
                self.body_waits();
                if woken.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                woken.set(activity.woken());
                if activity.is_overdue() {
                    activity.took_note();
                    self.body_rests();
                    self.wire.cut_body(Cut::Late);
                }
            }
        })
        .await
    }

    /// Sends an answer, but for its end.
    async fn send(&mut self, asked: &Asked, response: Response<Body>) -> Result<(), Over> {
        let (parts, mut body) = response.into_parts();
        self.wire.stderr(&asked.stderr().take());
        self.wire.stdout(Bytes::from(answer::block(&parts, body.known_len())));
        while !body.is_end_stream() {
            let Some(frame) = self.during(body.frame()).await? else { break };
            match frame.map(|frame| frame.into_data()) {
                Ok(Ok(data)) => self.wire.stdout(data),
                Ok(Err(_trailers)) => continue,
                Err(_logged) => return Err(Over::CutShort),
            }
            // The end of a short answer goes out with it.
            if !body.is_end_stream() {
                self.flush(true).await?;
            }
        }
        Ok(())
    }

    /// Writes what is on its way. `reading`: a request is in hand, so its end is noticed meanwhile.
    async fn flush(&mut self, reading: bool) -> Result<(), Over> {
        let activity = Arc::clone(&self.activity);
        let mut woken = pin!(activity.woken());
        let mut written = self.wire.written();
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(done) = self.wire.poll_flush(cx) {
                    activity.write_progressed();
                    return Poll::Ready(done.map_err(Over::Gone));
                }
                if self.wire.written() != written {
                    written = self.wire.written();
                    activity.write_progressed();
                }
                activity.write_blocked();
                if reading && let Poll::Ready(why) = self.wire.poll_input(cx) {
                    return Poll::Ready(Err(Over::Gone(why)));
                }
                if woken.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                woken.set(activity.woken());
                if activity.is_overdue() {
                    return Poll::Ready(Err(Over::Stuck));
                }
            }
        })
        .await
    }

    /// Ends the connection behind an answer; but the rest of the request is heard first. Apache writes the end of an
    /// empty body apart from the request, and answers 503 itself if the connection is closed by then.
    async fn close(&mut self) -> Over {
        if let Err(why) = poll_fn(|cx: &mut Context<'_>| self.wire.poll_shutdown(cx)).await {
            return Over::Gone(why);
        }
        let heard = poll_fn(|cx| {
            let gone = self.wire.poll_input(cx).is_ready();
            if gone || self.wire.is_heard() { Poll::Ready(()) } else { Poll::Pending }
        });
        // However that ends, the answer was given.
        match tokio::time::timeout(LINGER, heard).await {
            Ok(()) | Err(_) => Over::Closed,
        }
    }

    /// Notes since when more of a body is waited for.
    fn body_waits(&mut self) {
        let received = self.wire.received();
        match self.wire.waits_for_body() {
            false => self.body_rests(),
            true if self.waits_since == Some(received) => {}
            true => {
                self.waits_since = Some(received);
                self.activity.body_wanted();
            }
        }
    }

    fn body_rests(&mut self) {
        if self.waits_since.take().is_some() {
            self.activity.read_progressed();
        }
    }
}
