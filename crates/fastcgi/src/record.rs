//! Record: the eight-byte header in front of everything on a FastCGI connection, and its numbers.
//!
//! Source: FastCGI Specification 1.0, sections 3.3, 5 and 8.

/// Bytes in a record header.
pub const HEADER_LEN: usize = 8;
/// The most content one record carries, in bytes.
pub const MAX_CONTENT: usize = 65_535;
/// The most content [`write_stream`] puts into one record: a multiple of eight, so that no padding is needed.
pub const FULL_CONTENT: usize = 65_528;
/// The request id that the clients use: PHP-FPM takes one request at a time, so more are of no use.
pub const REQUEST_ID: u16 = 1;

const VERSION: u8 = 1;
const PADDING: [u8; 8] = [0; 8];

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Client to responder: a request begins.
    BeginRequest,
    /// Client to responder: forget the request.
    AbortRequest,
    /// Responder to client: the request is over.
    EndRequest,
    /// Client to responder: name-value pairs, a stream.
    Params,
    /// Client to responder: the request body, a stream.
    Stdin,
    /// Responder to client: the response, a stream.
    Stdout,
    /// Responder to client: what goes into the log, a stream.
    Stderr,
    /// Client to responder: the file of a filter, a stream.
    Data,
    /// Client to responder: a question about the responder itself; we use it as a probe.
    GetValues,
    /// Responder to client: the answer to it.
    GetValuesResult,
    /// Responder to client: "I do not know this kind of management record".
    UnknownType,
}

impl Kind {
    /// The kind of a record by its number; `None` for a number the specification does not know.
    pub fn from_byte(byte: u8) -> Option<Kind> {
        Some(match byte {
            1 => Kind::BeginRequest,
            2 => Kind::AbortRequest,
            3 => Kind::EndRequest,
            4 => Kind::Params,
            5 => Kind::Stdin,
            6 => Kind::Stdout,
            7 => Kind::Stderr,
            8 => Kind::Data,
            9 => Kind::GetValues,
            10 => Kind::GetValuesResult,
            11 => Kind::UnknownType,
            _ => return None,
        })
    }

    /// The number of this kind on the wire.
    pub fn byte(self) -> u8 {
        match self {
            Kind::BeginRequest => 1,
            Kind::AbortRequest => 2,
            Kind::EndRequest => 3,
            Kind::Params => 4,
            Kind::Stdin => 5,
            Kind::Stdout => 6,
            Kind::Stderr => 7,
            Kind::Data => 8,
            Kind::GetValues => 9,
            Kind::GetValuesResult => 10,
            Kind::UnknownType => 11,
        }
    }
}

/// What the peer sent that no FastCGI peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The first byte of a record is not 1.
    #[error("record of FastCGI version {0}, not 1")]
    Version(u8),
    /// A record for a request that was never begun.
    #[error("record for request {0}, which was not begun")]
    RequestId(u16),
    /// A record whose content has the wrong length for its kind.
    #[error("{kind:?} record with {len} bytes of content")]
    Length {
        /// The kind of the record.
        kind: Kind,
        /// Its content length in bytes.
        len: usize,
    },
    /// A record that may not come at this point.
    #[error("{0:?} record where none may come")]
    Unexpected(Kind),
    /// END_REQUEST with a protocol status of no meaning.
    #[error("END_REQUEST with protocol status {0}")]
    ProtocolStatus(u8),
    /// Name-value pairs that end in the middle of one.
    #[error("name-value pairs that are cut short")]
    Pairs,
    /// More name-value bytes than the receiver takes.
    #[error("more than {0} bytes of name-value pairs")]
    ParamsTooLarge(usize),
}

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The kind as its number on the wire: a peer may send one that nobody knows.
    pub kind: u8,
    /// The request it belongs to; 0 for management records.
    pub id: u16,
    /// Bytes of content.
    pub content: u16,
    /// Bytes of padding behind the content.
    pub padding: u8,
}

impl Header {
    /// Reads a header; the only fault it can have is another version.
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Result<Header, Malformed> {
        let [version, kind, id1, id0, len1, len0, padding, _reserved] = *bytes;
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        let (id, content) = (u16::from_be_bytes([id1, id0]), u16::from_be_bytes([len1, len0]));
        Ok(Header { kind, id, content, padding })
    }

    /// The header as it stands on the wire.
    pub fn bytes(self) -> [u8; HEADER_LEN] {
        let ([id1, id0], [len1, len0]) = (self.id.to_be_bytes(), self.content.to_be_bytes());
        [VERSION, self.kind, id1, id0, len1, len0, self.padding, 0]
    }
}

/// What the responder is asked to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Answers a request: what PHP is.
    Responder,
    /// Says whether a request may pass.
    Authorizer,
    /// Answers a request about a file that is sent along.
    Filter,
}

impl Role {
    /// The role by its number; `None` for a number the specification does not know.
    pub fn from_number(number: u16) -> Option<Role> {
        match number {
            1 => Some(Role::Responder),
            2 => Some(Role::Authorizer),
            3 => Some(Role::Filter),
            _ => None,
        }
    }

    /// The number of this role on the wire.
    pub fn number(self) -> u16 {
        match self {
            Role::Responder => 1,
            Role::Authorizer => 2,
            Role::Filter => 3,
        }
    }
}

/// How the protocol, not the script, ended a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolStatus {
    /// The request was answered.
    Complete,
    /// The responder takes one request per connection.
    CantMultiplex,
    /// The responder has no room.
    Overloaded,
    /// The responder does not play this role.
    UnknownRole,
}

impl ProtocolStatus {
    /// The status by its number; `None` for a number the specification does not know.
    pub fn from_byte(byte: u8) -> Option<ProtocolStatus> {
        match byte {
            0 => Some(ProtocolStatus::Complete),
            1 => Some(ProtocolStatus::CantMultiplex),
            2 => Some(ProtocolStatus::Overloaded),
            3 => Some(ProtocolStatus::UnknownRole),
            _ => None,
        }
    }

    /// The number of this status on the wire.
    pub fn byte(self) -> u8 {
        match self {
            ProtocolStatus::Complete => 0,
            ProtocolStatus::CantMultiplex => 1,
            ProtocolStatus::Overloaded => 2,
            ProtocolStatus::UnknownRole => 3,
        }
    }
}

/// Appends one record, padded to a multiple of eight. Content beyond [`MAX_CONTENT`] is not written:
/// use [`write_stream`] for what may be longer. Gives the count of content bytes that were written.
pub fn write_record(out: &mut Vec<u8>, kind: Kind, id: u16, content: &[u8]) -> usize {
    let content = &content[..content.len().min(MAX_CONTENT)];
    let padding = content.len().wrapping_neg() & 7;
    let header = Header {
        kind: kind.byte(),
        id,
        content: u16::try_from(content.len()).unwrap_or(u16::MAX),
        padding: u8::try_from(padding).unwrap_or(0),
    };
    out.reserve(HEADER_LEN + content.len() + padding);
    out.extend_from_slice(&header.bytes());
    out.extend_from_slice(content);
    out.extend_from_slice(&PADDING[..padding]);
    content.len()
}

/// Appends content of any length as records of a stream, without the empty record that ends it. Nothing for no content.
pub fn write_stream(out: &mut Vec<u8>, kind: Kind, id: u16, content: &[u8]) {
    for part in content.chunks(FULL_CONTENT) {
        write_record(out, kind, id, part);
    }
}

/// Appends the empty record that ends a stream.
pub fn write_stream_end(out: &mut Vec<u8>, kind: Kind, id: u16) {
    write_record(out, kind, id, &[]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_as_it_was_written() {
        let header = Header { kind: 6, id: 513, content: 1027, padding: 5 };
        assert_eq!(header.bytes(), [1, 6, 2, 1, 4, 3, 5, 0]);
        assert_eq!(Header::parse(&header.bytes()), Ok(header));
        assert_eq!(Header::parse(b"HTTP/1.1"), Err(Malformed::Version(b'H')));
    }

    #[test]
    fn every_number_of_the_specification_maps_to_one_name_and_back() {
        for byte in 0..=255_u8 {
            assert_eq!(Kind::from_byte(byte).is_some(), (1..=11).contains(&byte));
            assert!(Kind::from_byte(byte).is_none_or(|kind| kind.byte() == byte));
            assert!(ProtocolStatus::from_byte(byte).is_none_or(|status| status.byte() == byte));
            assert!(Role::from_number(byte.into()).is_none_or(|role| role.number() == byte.into()));
        }
    }

    #[test]
    fn a_record_is_padded_to_eight_and_a_stream_is_split_into_full_records() {
        for len in [0, 1, 7, 8, 9, 65_528, 65_535] {
            let mut out = Vec::new();
            assert_eq!(write_record(&mut out, Kind::Stdin, 1, &vec![7; len]), len);
            assert_eq!(out.len() % 8, 0, "{len}");
        }
        let mut out = Vec::new();
        write_stream(&mut out, Kind::Stdin, 1, &vec![7; FULL_CONTENT * 2 + 1]);
        assert_eq!(out.len(), 2 * (HEADER_LEN + FULL_CONTENT) + HEADER_LEN + 8);
        let mut nothing = Vec::new();
        write_stream(&mut nothing, Kind::Stdin, 1, &[]);
        assert!(nothing.is_empty(), "an empty record would end the stream");
    }
}
