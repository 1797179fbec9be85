//! Blocking client: one request on a connection of its own, for warming, health checks and the FPM status page.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use crate::{
    Address, Head, Params,
    head::{HeadError, HeadProgress, HeadReader},
    record::{Malformed, ProtocolStatus, REQUEST_ID, Role},
    request,
    response::{ResponseReader, Step},
};

/// How long and how much at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To connect.
    pub connect: Duration,
    /// For the whole exchange, from the first byte written to END_REQUEST.
    pub total: Duration,
    /// Bytes of headers.
    pub head_len: usize,
    /// Bytes of headers and body together, and bytes of log text.
    pub output_len: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        let (connect, total) = (Duration::from_secs(5), Duration::from_secs(60));
        Limits { connect, total, head_len: 64 << 10, output_len: 16 << 20 }
    }
}

/// A whole response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status and header fields.
    pub head: Head,
    /// The body.
    pub body: Vec<u8>,
    /// What the script wrote for the log.
    pub stderr: Vec<u8>,
    /// The script's exit status.
    pub app_status: u32,
}

/// What went wrong, on which responder.
#[derive(Debug, thiserror::Error)]
pub enum BlockingError {
    /// No connection.
    #[error("cannot connect to {address}")]
    Connect {
        /// The responder.
        address: Address,
        /// Why.
        source: io::Error,
    },
    /// The connection broke, or a limit of time passed.
    #[error("no whole answer from {address}")]
    Exchange {
        /// The responder.
        address: Address,
        /// Why.
        source: io::Error,
    },
    /// Not FastCGI.
    #[error("{address} does not speak FastCGI")]
    Garbage {
        /// The responder.
        address: Address,
        /// What it sent.
        source: Malformed,
    },
    /// Not a CGI response.
    #[error("{address} answered with headers that are of no use")]
    Head {
        /// The responder.
        address: Address,
        /// What it sent.
        source: HeadError,
    },
    /// The responder did not take the request.
    #[error("{address} did not take the request: {status:?}")]
    Refused {
        /// The responder.
        address: Address,
        /// Its reason.
        status: ProtocolStatus,
    },
    /// Longer than [`Limits::output_len`].
    #[error("{address} answered with more than {limit} bytes")]
    TooLong {
        /// The responder.
        address: Address,
        /// The limit in bytes.
        limit: usize,
    },
}

/// Sends a request with its body and waits for the whole response. The parameters must say CONTENT_LENGTH if there is
/// a body: PHP reads no more than that.
pub fn send(
    address: &Address,
    params: &Params,
    body: &[u8],
    limits: Limits,
) -> Result<Response, BlockingError> {
    let link = Link::connect(address, limits.connect)
        .map_err(|source| BlockingError::Connect { address: address.clone(), source })?;
    let mut out = Vec::with_capacity(params.as_bytes().len() + body.len() + 128);
    request::write_begin(&mut out, REQUEST_ID, Role::Responder, false, params);
    request::write_stdin(&mut out, REQUEST_ID, body);
    request::write_stdin_end(&mut out, REQUEST_ID);
    let deadline = Instant::now() + limits.total;
    // Both ways at once: a responder that answers before it read all would wait for us, and we for it.
    std::thread::scope(|scope| {
        let writing = (out.len() > SMALL).then(|| scope.spawn(|| link.write_all(&out, deadline)));
        if writing.is_none() {
            link.write_all(&out, deadline)
                .map_err(|source| BlockingError::Exchange { address: address.clone(), source })?;
        }
        let response = read(&link, address, limits, deadline);
        // A responder may answer without reading all: what could not be written then is no failure.
        link.shutdown();
        drop(writing);
        response
    })
}

/// What surely fits into a socket's buffer.
const SMALL: usize = 64 << 10;

fn read(
    link: &Link,
    address: &Address,
    limits: Limits,
    deadline: Instant,
) -> Result<Response, BlockingError> {
    let broken = |source| BlockingError::Exchange { address: address.clone(), source };
    let garbage = |source| BlockingError::Garbage { address: address.clone(), source };
    let (mut output, mut stderr, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    let mut reader = ResponseReader::new(REQUEST_ID);
    let mut piece = vec![0; SMALL];
    let end = loop {
        let mut at = 0;
        let end = loop {
            let input = &seen[at..];
            at += match reader.step(input).map_err(garbage)? {
                Step::Need => break None,
                Step::End(_, end) => break Some(end),
                Step::Stdout(count) => {
                    output.extend_from_slice(&input[..count]);
                    reader.took(count);
                    count
                }
                Step::Stderr(count) => {
                    stderr.extend_from_slice(&input[..count]);
                    count
                }
                Step::Skip(count) | Step::Values(count) => count,
            };
        };
        if let Some(end) = end {
            break end;
        }
        if output.len().max(stderr.len()) > limits.output_len {
            return Err(BlockingError::TooLong { address: address.clone(), limit: limits.output_len });
        }
        seen.drain(..at);
        match link.read(&mut piece, deadline).map_err(broken)? {
            0 => return Err(broken(io::ErrorKind::UnexpectedEof.into())),
            count => seen.extend_from_slice(&piece[..count]),
        }
    };
    if end.protocol != ProtocolStatus::Complete {
        return Err(BlockingError::Refused { address: address.clone(), status: end.protocol });
    }
    let bad_head = |source| BlockingError::Head { address: address.clone(), source };
    match HeadReader::new(limits.head_len).feed(&output).map_err(bad_head)? {
        HeadProgress::More => Err(bad_head(HeadError::CutShort)),
        HeadProgress::Done { head, used } => {
            Ok(Response { head, body: output.split_off(used), stderr, app_status: end.app_status })
        }
    }
}

enum Link {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Link {
    fn connect(address: &Address, timeout: Duration) -> io::Result<Link> {
        match address {
            Address::Unix(path) => Ok(Link::Unix(UnixStream::connect(path)?)),
            Address::Tcp { host, port } => {
                let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
                for address in (host.as_str(), *port).to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, timeout) {
                        Ok(stream) => {
                            stream.set_nodelay(true)?;
                            return Ok(Link::Tcp(stream));
                        }
                        Err(why) => last = why,
                    }
                }
                Err(last)
            }
        }
    }

    fn write_all(&self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            let left = left(deadline)?;
            let written = match self {
                Link::Unix(stream) => {
                    stream.set_write_timeout(Some(left))?;
                    (&mut &*stream).write(bytes)
                }
                Link::Tcp(stream) => {
                    stream.set_write_timeout(Some(left))?;
                    (&mut &*stream).write(bytes)
                }
            };
            match written {
                Ok(count) => bytes = &bytes[count..],
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(timed_out(why)),
            }
        }
        Ok(())
    }

    fn read(&self, piece: &mut [u8], deadline: Instant) -> io::Result<usize> {
        loop {
            let left = left(deadline)?;
            let read = match self {
                Link::Unix(stream) => {
                    stream.set_read_timeout(Some(left))?;
                    (&mut &*stream).read(piece)
                }
                Link::Tcp(stream) => {
                    stream.set_read_timeout(Some(left))?;
                    (&mut &*stream).read(piece)
                }
            };
            match read {
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(timed_out(why)),
                Ok(count) => return Ok(count),
            }
        }
    }

    /// Ends both directions, so that a writer on another thread ends too.
    fn shutdown(&self) {
        // An error means that the peer was first.
        let done = match self {
            Link::Unix(stream) => stream.shutdown(std::net::Shutdown::Both),
            Link::Tcp(stream) => stream.shutdown(std::net::Shutdown::Both),
        };
        drop(done);
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    match deadline.checked_duration_since(Instant::now()) {
        Some(left) if !left.is_zero() => Ok(left),
        Some(_) | None => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// A socket whose time is over says EAGAIN.
fn timed_out(why: io::Error) -> io::Error {
    if why.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { why }
}
