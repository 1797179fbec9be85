//! Guard: follows the requests on an HTTP/1 connection and lets only sound heads through to the parser.

use super::chunks::Chunks;
use super::head::{self, Framing, HeadLimits, Refusal, Scan};

/// What the parser gets in place of a head that is refused. No client can send this method: it is refused too.
pub const STAND_IN: &[u8] = b"CUTOVER-REFUSED / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// The method of [`STAND_IN`].
pub const REFUSED_METHOD: &str = "CUTOVER-REFUSED";

/// Where in the stream of requests the connection is.
#[derive(Debug)]
pub struct Guard {
    state: State,
    limits: HeadLimits,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Head,
    Length(u64),
    Chunked(Chunks),
    /// Not HTTP/1 any more (an upgraded connection), or never was (HTTP/2).
    Through,
}

/// How much of some bytes may pass, and what is with the rest.
#[derive(Debug, PartialEq, Eq)]
pub struct Admitted {
    /// So many bytes, from the front, may pass.
    pub pass: usize,
    /// The bytes behind those.
    pub rest: Rest,
}

/// Bytes that may not pass yet, or at all.
#[derive(Debug, PartialEq, Eq)]
pub enum Rest {
    /// There are none.
    None,
    /// The beginning of a head: to be shown again with what follows it.
    Hold,
    /// A head that is refused.
    Refuse(Refusal),
    /// A chunked body that is no chunked body.
    Broken,
}

impl Guard {
    /// A guard at the start of a connection.
    pub fn new(limits: HeadLimits) -> Self {
        Self { state: State::Head, limits }
    }

    /// A guard that lets all pass.
    pub fn through(limits: HeadLimits) -> Self {
        Self { state: State::Through, limits }
    }

    /// From here on the bytes are not HTTP/1.
    pub fn stand_down(&mut self) {
        self.state = State::Through;
    }

    /// Whether the next byte begins a request.
    pub fn at_head(&self) -> bool {
        matches!(self.state, State::Head)
    }

    /// Looks at the next bytes of the connection.
    pub fn admit(&mut self, bytes: &[u8]) -> Admitted {
        let mut pass = 0;
        while pass < bytes.len() {
            let next = &bytes[pass..];
            match &mut self.state {
                State::Through => pass = bytes.len(),
                State::Head => match head::scan(next, &self.limits) {
                    Scan::Partial => return Admitted { pass, rest: Rest::Hold },
                    Scan::Refused(why) => return Admitted { pass, rest: Rest::Refuse(why) },
                    Scan::Complete(_) if is_stand_in(next) => {
                        return Admitted { pass, rest: Rest::Refuse(Refusal::RequestLine) };
                    }
                    Scan::Complete(head) => {
                        pass += head.len;
                        self.state = match head.body {
                            Framing::Length(0) => State::Head,
                            Framing::Length(len) => State::Length(len),
                            Framing::Chunked => State::Chunked(Chunks::default()),
                        };
                    }
                },
                State::Length(left) => {
                    let take = (*left).min(next.len() as u64);
                    *left -= take;
                    if *left == 0 {
                        self.state = State::Head;
                    }
                    pass += usize::try_from(take).unwrap_or(next.len());
                }
                State::Chunked(chunks) => {
                    let Ok(taken) = chunks.advance(next) else {
                        return Admitted { pass, rest: Rest::Broken };
                    };
                    pass += taken;
                    if *chunks == Chunks::End {
                        self.state = State::Head;
                    }
                }
            }
        }
        Admitted { pass, rest: Rest::None }
    }
}

fn is_stand_in(head: &[u8]) -> bool {
    head.trim_ascii_start().starts_with(REFUSED_METHOD.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, target_bytes: 1024, fields: 20 };
    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn a_second_head_hidden_behind_a_body_is_looked_at_too() {
        let bytes = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n";
        let admitted = Guard::new(LIMITS).admit(bytes);
        assert_eq!(admitted.rest, Rest::Refuse(Refusal::NoHost));
        assert!(bytes[..admitted.pass].ends_with(b"abc"));
    }

    #[test]
    fn bytes_may_be_cut_anywhere() {
        let stream = [
            GET,
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            GET,
        ]
        .concat();
        for cut in 1..stream.len() {
            let mut guard = Guard::new(LIMITS);
            let first = guard.admit(&stream[..cut]);
            assert!(matches!(first.rest, Rest::None | Rest::Hold), "cut at {cut}: {first:?}");
            let second = guard.admit(&stream[first.pass..]);
            assert_eq!(
                second,
                Admitted { pass: stream.len() - first.pass, rest: Rest::None },
                "cut at {cut}"
            );
            assert!(guard.at_head());
        }
    }

    #[test]
    fn nobody_can_send_the_stand_in() {
        assert_eq!(Guard::new(LIMITS).admit(STAND_IN).rest, Rest::Refuse(Refusal::RequestLine));
    }
}
