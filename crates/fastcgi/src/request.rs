//! Request: what a client sends; the encoder that writes it and the state machine that reads it.

use crate::{
    params::{Pairs, Params, pairs},
    record::{self, HEADER_LEN, Header, Kind, Malformed, Role},
};

/// Appends BEGIN_REQUEST and the whole PARAMS stream.
///
/// `keep`: the responder shall leave the connection open afterwards.
pub fn write_begin(out: &mut Vec<u8>, id: u16, role: Role, keep: bool, params: &Params) {
    let [role1, role0] = role.number().to_be_bytes();
    record::write_record(out, Kind::BeginRequest, id, &[role1, role0, u8::from(keep), 0, 0, 0, 0, 0]);
    write_params(out, id, params.as_bytes());
    record::write_stream_end(out, Kind::Params, id);
}

/// Splits between pairs, not within them: PHP reads each record's pairs on their own (php-src main/fastcgi.c,
/// fcgi_get_params), although the specification makes one stream of them. A pair that fits into no record is split.
fn write_params(out: &mut Vec<u8>, id: u16, mut packed: &[u8]) {
    while packed.len() > record::FULL_CONTENT {
        let mut read = pairs(packed);
        let mut fit = 0;
        while read.next().is_some() && packed.len() - read.rest_len() <= record::FULL_CONTENT {
            fit = packed.len() - read.rest_len();
        }
        let (now, later) = packed.split_at(if fit == 0 { record::FULL_CONTENT } else { fit });
        record::write_record(out, Kind::Params, id, now);
        packed = later;
    }
    record::write_stream(out, Kind::Params, id, packed);
}

/// Appends a piece of the body as STDIN records; nothing for an empty piece (an empty record would end the stream).
pub fn write_stdin(out: &mut Vec<u8>, id: u16, piece: &[u8]) {
    record::write_stream(out, Kind::Stdin, id, piece);
}

/// Appends the end of the STDIN stream.
pub fn write_stdin_end(out: &mut Vec<u8>, id: u16) {
    record::write_stream_end(out, Kind::Stdin, id);
}

/// Appends ABORT_REQUEST. PHP-FPM does not look at it while a script runs: closing the connection is what it notices.
pub fn write_abort(out: &mut Vec<u8>, id: u16) {
    record::write_record(out, Kind::AbortRequest, id, &[]);
}

/// Appends the probe: a FCGI_GET_VALUES that asks for FCGI_MPXS_CONNS.
/// A responder that takes one request at a time answers it when it is free for the next one.
pub fn write_probe(out: &mut Vec<u8>) {
    record::write_record(out, Kind::GetValues, 0, b"\x0f\x00FCGI_MPXS_CONNS");
}

/// What a [`RequestReader`] found at the front of its input; it drops the bytes itself through [`Found::used`].
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// How many bytes of the input to drop.
    pub used: usize,
    /// What they say; `None`: framing only, go on.
    pub event: Option<Event<'a>>,
}

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A request began and all its parameters came.
    Begin(Begin),
    /// A piece of a request's body.
    Stdin {
        /// The request.
        id: u16,
        /// The piece.
        piece: &'a [u8],
    },
    /// The body of a request is complete.
    StdinEnd {
        /// The request.
        id: u16,
    },
    /// The client gave up on a request; answer it with END_REQUEST all the same.
    Abort {
        /// The request.
        id: u16,
    },
    /// A question about the responder, names without values; answer with [`crate::response::write_values`].
    GetValues(Pairs<'a>),
    /// A request that cannot be taken; answer with END_REQUEST and this status.
    Refused {
        /// The request.
        id: u16,
        /// Why.
        status: record::ProtocolStatus,
    },
    /// A management record of a kind that is not known; answer with [`crate::response::write_unknown_type`].
    UnknownType(u8),
}

/// The beginning of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Begin {
    /// Its id on this connection.
    pub id: u16,
    /// What the responder shall be.
    pub role: Role,
    /// Whether the connection shall stay open after it.
    pub keep: bool,
    /// The packed parameters; [`pairs`] reads them, and they were read once: there is no fault in them.
    pub params: Vec<u8>,
}

/// Limits of a [`RequestReader`].
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// Requests that may be under way on one connection; further ones are refused as CantMultiplex.
    pub requests: usize,
    /// Bytes of packed parameters of one request.
    pub params_len: usize,
}

impl Default for RequestLimits {
    fn default() -> RequestLimits {
        RequestLimits { requests: 64, params_len: 1 << 20 }
    }
}

/// Reads what one client sends to one responder, without I/O. Front servers may multiplex, so several requests may
/// be under way at once.
#[derive(Debug)]
pub struct RequestReader {
    limits: RequestLimits,
    state: State,
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    id: u16,
    role: Role,
    keep: bool,
    /// `None`: they are complete and given away.
    params: Option<Vec<u8>>,
    stdin_ended: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Header,
    /// In the body of a request, so much content and padding to come.
    Stdin {
        id: u16,
        left: usize,
        padding: usize,
    },
    /// In front of a record that is taken as one piece.
    Whole {
        header: Header,
    },
    /// In what tells nothing.
    Skip {
        left: usize,
    },
}

impl RequestReader {
    /// A reader at the start of a connection.
    pub fn new(limits: RequestLimits) -> RequestReader {
        RequestReader { limits, state: State::Header, open: Vec::new() }
    }

    /// Says what stands at the front of the input, which must be what was not dropped yet; `None`: read more and ask
    /// again. After an error the connection is of no use.
    pub fn step<'a>(&mut self, input: &'a [u8]) -> Result<Option<Found<'a>>, Malformed> {
        loop {
            match self.state {
                State::Header => {
                    let Some(bytes) = input.first_chunk::<HEADER_LEN>() else {
                        return match input.first() {
                            Some(&version) if version != 1 => Err(Malformed::Version(version)),
                            Some(_) | None => Ok(None),
                        };
                    };
                    let header = Header::parse(bytes)?;
                    let event = self.enter(header)?;
                    return Ok(Some(Found { used: HEADER_LEN, event }));
                }
                State::Stdin { left: 0, padding, .. } => self.state = State::Skip { left: padding },
                State::Stdin { id, left, padding } => {
                    let available = left.min(input.len());
                    if available == 0 {
                        return Ok(None);
                    }
                    self.state = State::Stdin { id, left: left - available, padding };
                    let piece = &input[..available];
                    return Ok(Some(Found { used: available, event: Some(Event::Stdin { id, piece }) }));
                }
                State::Whole { header } => {
                    let Some(content) = input.get(..usize::from(header.content)) else { return Ok(None) };
                    self.state = State::Skip { left: header.padding.into() };
                    let event = self.whole(header, content)?;
                    return Ok(Some(Found { used: content.len(), event }));
                }
                State::Skip { left: 0 } => self.state = State::Header,
                State::Skip { left } => {
                    let available = left.min(input.len());
                    if available == 0 {
                        return Ok(None);
                    }
                    self.state = State::Skip { left: left - available };
                    return Ok(Some(Found { used: available, event: None }));
                }
            }
        }
    }

    /// The request was answered with END_REQUEST: its id may be used again, and what still comes for it is dropped.
    pub fn ended(&mut self, id: u16) {
        self.open.retain(|open| open.id != id);
    }

    /// How many requests are under way.
    pub fn under_way(&self) -> usize {
        self.open.len()
    }

    /// Whether the next byte begins a record.
    pub fn is_between_records(&self) -> bool {
        matches!(
            self.state,
            State::Header | State::Skip { left: 0 } | State::Stdin { left: 0, padding: 0, .. }
        )
    }

    fn enter<'a>(&mut self, header: Header) -> Result<Option<Event<'a>>, Malformed> {
        let (id, left, padding) = (header.id, usize::from(header.content), usize::from(header.padding));
        self.state = State::Skip { left: left + padding };
        let Some(kind) = Kind::from_byte(header.kind) else {
            return Ok(Some(Event::UnknownType(header.kind)));
        };
        match kind {
            Kind::BeginRequest | Kind::Params | Kind::AbortRequest | Kind::GetValues => {
                self.state = State::Whole { header };
                Ok(None)
            }
            Kind::Stdin => {
                // A request that was already ended: its body may still be on its way.
                let Some(open) = self.open.iter_mut().find(|open| open.id == id) else { return Ok(None) };
                if open.params.is_some() || open.stdin_ended {
                    return Err(Malformed::Unexpected(kind));
                }
                if left == 0 {
                    open.stdin_ended = true;
                    return Ok(Some(Event::StdinEnd { id }));
                }
                self.state = State::Stdin { id, left, padding };
                Ok(None)
            }
            // Only filters get it, and we are none.
            Kind::Data => Ok(None),
            Kind::EndRequest | Kind::Stdout | Kind::Stderr | Kind::GetValuesResult | Kind::UnknownType => {
                Err(Malformed::Unexpected(kind))
            }
        }
    }

    fn whole<'a>(&mut self, header: Header, content: &'a [u8]) -> Result<Option<Event<'a>>, Malformed> {
        let id = header.id;
        match Kind::from_byte(header.kind) {
            Some(Kind::BeginRequest) => self.begin(id, content),
            Some(Kind::Params) => self.params(id, content),
            Some(Kind::AbortRequest) => {
                Ok(self.open.iter().any(|open| open.id == id).then_some(Event::Abort { id }))
            }
            Some(Kind::GetValues) => match pairs(content).any(|pair| pair.is_err()) {
                true => Err(Malformed::Pairs),
                false => Ok(Some(Event::GetValues(pairs(content)))),
            },
            Some(
                Kind::EndRequest
                | Kind::Stdin
                | Kind::Stdout
                | Kind::Stderr
                | Kind::Data
                | Kind::GetValuesResult
                | Kind::UnknownType,
            )
            | None => Ok(None),
        }
    }

    fn begin<'a>(&mut self, id: u16, content: &[u8]) -> Result<Option<Event<'a>>, Malformed> {
        let kind = Kind::BeginRequest;
        let Some([role1, role0, flags, ..]) = content.first_chunk::<8>() else {
            return Err(Malformed::Length { kind, len: content.len() });
        };
        if id == 0 || self.open.iter().any(|open| open.id == id) {
            return Err(Malformed::Unexpected(kind));
        }
        let Some(role) = Role::from_number(u16::from_be_bytes([*role1, *role0])) else {
            return Ok(Some(Event::Refused { id, status: record::ProtocolStatus::UnknownRole }));
        };
        if self.open.len() >= self.limits.requests {
            return Ok(Some(Event::Refused { id, status: record::ProtocolStatus::CantMultiplex }));
        }
        self.open.push(Open { id, role, keep: flags & 1 != 0, params: Some(Vec::new()), stdin_ended: false });
        Ok(None)
    }

    fn params<'a>(&mut self, id: u16, content: &[u8]) -> Result<Option<Event<'a>>, Malformed> {
        // A request that was refused: its parameters are still on their way.
        let Some(open) = self.open.iter_mut().find(|open| open.id == id) else { return Ok(None) };
        let Some(params) = &mut open.params else { return Err(Malformed::Unexpected(Kind::Params)) };
        if params.len() + content.len() > self.limits.params_len {
            return Err(Malformed::ParamsTooLarge(self.limits.params_len));
        }
        params.extend_from_slice(content);
        if !content.is_empty() {
            return Ok(None);
        }
        if pairs(params).any(|pair| pair.is_err()) {
            return Err(Malformed::Pairs);
        }
        let params = open.params.take().unwrap_or_default();
        Ok(Some(Event::Begin(Begin { id, role: open.role, keep: open.keep, params })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ProtocolStatus, write_record};
    use proptest::prelude::*;

    fn params() -> Params {
        Params::new().push(b"SCRIPT_FILENAME", b"/srv/index.php").push(b"LONG", &[b'x'; 300]).clone()
    }

    /// Reads a stream that comes in pieces and tells it as lines.
    fn read(stream: &[u8], piece: usize, limits: RequestLimits) -> Result<(Vec<String>, Vec<u8>), Malformed> {
        let mut reader = RequestReader::new(limits);
        let (mut told, mut body, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        for part in stream.chunks(piece) {
            seen.extend_from_slice(part);
            while let Some(Found { used, event }) = reader.step(&seen)? {
                match event {
                    Some(Event::Begin(begin)) => {
                        assert_eq!(begin.params, params().as_bytes());
                        told.push(format!("begin {} {}", begin.id, begin.keep));
                    }
                    Some(Event::Stdin { piece, .. }) => body.extend_from_slice(piece),
                    Some(Event::GetValues(names)) => told.push(format!("values {}", names.count())),
                    Some(other) => told.push(format!("{other:?}")),
                    None => {}
                }
                seen.drain(..used);
            }
        }
        Ok((told, body))
    }

    proptest! {
        #[test]
        fn wherever_a_request_is_cut_it_reads_the_same(body: Vec<u8>, piece in 1_usize..50, keep: bool) {
            let mut out = Vec::new();
            write_begin(&mut out, 1, Role::Responder, keep, &params());
            write_stdin(&mut out, 1, &body);
            write_stdin_end(&mut out, 1);
            write_probe(&mut out);
            let told = vec![format!("begin 1 {keep}"), "StdinEnd { id: 1 }".into(), "values 1".into()];
            prop_assert_eq!(read(&out, piece, RequestLimits::default()), Ok((told, body)));
        }
    }

    #[test]
    fn long_parameters_are_split_between_pairs_because_php_reads_each_record_alone() {
        let mut long = Params::new();
        for _ in 0..5 {
            long.push(b"HTTP_COOKIE", &[b'x'; 30_000]);
        }
        let mut out = Vec::new();
        write_begin(&mut out, 1, Role::Responder, true, &long);
        let (mut at, mut read) = (0, 0);
        while at < out.len() {
            let header = Header::parse(out[at..].first_chunk().unwrap()).unwrap();
            let content = &out[at + HEADER_LEN..][..header.content.into()];
            if header.kind == Kind::Params.byte() {
                assert!(pairs(content).all(|pair| pair.is_ok()));
                read += pairs(content).count();
            }
            at += HEADER_LEN + content.len() + usize::from(header.padding);
        }
        assert_eq!(read, 5);
    }

    #[test]
    fn two_requests_may_be_interleaved_and_one_too_many_is_refused() {
        let mut out = Vec::new();
        for id in [7, 9, 11] {
            write_begin(&mut out, id, Role::Responder, true, &params());
        }
        write_stdin(&mut out, 9, b"nine");
        write_abort(&mut out, 7);
        write_abort(&mut out, 11);
        let limits = RequestLimits { requests: 2, ..RequestLimits::default() };
        let (told, body) = read(&out, 1_000, limits).unwrap();
        assert_eq!(
            told,
            ["begin 7 true", "begin 9 true", "Refused { id: 11, status: CantMultiplex }", "Abort { id: 7 }"]
        );
        assert_eq!(body, b"nine");
    }

    #[test]
    fn after_the_end_of_a_request_its_id_is_free_and_its_late_body_is_dropped() {
        let mut reader = RequestReader::new(RequestLimits::default());
        let mut out = Vec::new();
        write_begin(&mut out, 1, Role::Responder, true, &params());
        let mut at = 0;
        while let Some(found) = reader.step(&out[at..]).unwrap() {
            at += found.used;
        }
        assert_eq!(reader.under_way(), 1);
        reader.ended(1);
        assert_eq!(reader.under_way(), 0);
        let mut late = Vec::new();
        write_stdin(&mut late, 1, b"late");
        write_stdin_end(&mut late, 1);
        let mut at = 0;
        while let Some(found) = reader.step(&late[at..]).unwrap() {
            assert_eq!(found.event, None);
            at += found.used;
        }
        assert_eq!(at, late.len());
    }

    #[test]
    fn what_no_client_may_send_is_refused() {
        let begun = |rest: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write_begin(&mut out, 1, Role::Responder, true, &params());
            rest(&mut out);
            read(&out, 1_000, RequestLimits::default()).unwrap_err()
        };
        let unexpected = Malformed::Unexpected;
        assert_eq!(
            begun(&|out| write_begin(out, 1, Role::Responder, true, &params())),
            unexpected(Kind::BeginRequest)
        );
        assert_eq!(begun(&|out| record::write_stream(out, Kind::Params, 1, b"x")), unexpected(Kind::Params));
        assert_eq!(begun(&|out| crate::response::write_stdout(out, 1, b"x")), unexpected(Kind::Stdout));
        assert_eq!(begun(&|out| out.extend_from_slice(b"GET / HTTP")), Malformed::Version(b'G'));
    }

    #[test]
    fn parameters_have_a_limit_and_an_unknown_role_is_refused() {
        let mut out = Vec::new();
        write_begin(&mut out, 1, Role::Responder, true, &params());
        let limits = RequestLimits { params_len: 100, ..RequestLimits::default() };
        assert_eq!(read(&out, 1_000, limits), Err(Malformed::ParamsTooLarge(100)));
        let mut out = Vec::new();
        write_record(&mut out, Kind::BeginRequest, 1, &[0, 9, 0, 0, 0, 0, 0, 0]);
        let refused = format!("{:?}", Event::Refused { id: 1, status: ProtocolStatus::UnknownRole });
        assert_eq!(read(&out, 1_000, RequestLimits::default()), Ok((vec![refused], vec![])));
    }
}
