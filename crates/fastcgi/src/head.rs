//! Head: the CGI header block in front of a response (RFC 3875, section 6).

use std::ops::Range;

/// Status and fields of a response. The bytes are kept in one piece; the fields are places in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The HTTP status: that of the `Status` field, else 302 where there is a `Location`, else 200.
    pub status: u16,
    /// The block as it came, for who can share its bytes; see [`Head::places`].
    pub raw: Vec<u8>,
    places: Vec<Place>,
    /// How many fields were left out because a name or a value has bytes that HTTP does not allow.
    pub dropped: usize,
}

/// Where a field's name and its value (without blanks around it) stand in [`Head::raw`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name.
    pub name: Range<usize>,
    /// The value.
    pub value: Range<usize>,
}

/// Why a header block cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Longer than the limit.
    #[error("the response headers are longer than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// More fields than [`MAX_FIELDS`].
    #[error("the response has more than {MAX_FIELDS} header fields")]
    TooMany,
    /// A line that is no field: the output is not a CGI response.
    #[error("the response headers have a line without a colon")]
    NoColon,
    /// A `Status` that is no number from 100 to 999.
    #[error("the response has a Status field that is no status")]
    Status,
    /// The response ended within its headers.
    #[error("the response ended before its headers did")]
    CutShort,
}

/// The most fields that are taken.
pub const MAX_FIELDS: usize = 2_000;

impl Head {
    /// The fields in their order, without `Status`; names as they were written.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.places.iter().map(|place| (&self.raw[place.name.clone()], &self.raw[place.value.clone()]))
    }

    /// Where the fields stand in [`Head::raw`].
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The value of the first field of this name, whatever its case.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields().find(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }
}

/// Collects output until the header block is whole.
#[derive(Clone, Debug)]
pub struct HeadReader {
    /// The beginning, when the block came in parts.
    seen: Vec<u8>,
    limit: usize,
}

/// What [`HeadReader::feed`] made of its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadProgress {
    /// All of it was taken and the block is not whole yet.
    More,
    /// The block is whole.
    Done {
        /// What it says.
        head: Head,
        /// How many bytes of the input belong to it; the rest is the body.
        used: usize,
    },
}

impl HeadReader {
    /// A reader that takes at most `limit` bytes of headers.
    pub fn new(limit: usize) -> HeadReader {
        HeadReader { seen: Vec::new(), limit }
    }

    /// Takes the next output.
    pub fn feed(&mut self, input: &[u8]) -> Result<HeadProgress, HeadError> {
        // The end may straddle the parts: look again at the last three bytes that were seen ("\n\r" and a "\n" to come).
        let before = self.seen.len();
        let room = self.limit.saturating_sub(before).saturating_add(1);
        let input = &input[..input.len().min(room)];
        if before == 0 {
            if let Some(end) = find_end(input, 0) {
                return self.done(input[..end].to_vec(), end);
            }
            self.seen.extend_from_slice(input);
        } else {
            self.seen.extend_from_slice(input);
            let from = before.saturating_sub(3);
            if let Some(end) = find_end(&self.seen, from) {
                let mut raw = std::mem::take(&mut self.seen);
                raw.truncate(end);
                return self.done(raw, end - before);
            }
        }
        if self.seen.len() > self.limit {
            return Err(HeadError::TooLarge { limit: self.limit });
        }
        Ok(HeadProgress::More)
    }

    fn done(&self, raw: Vec<u8>, used: usize) -> Result<HeadProgress, HeadError> {
        if raw.len() > self.limit {
            return Err(HeadError::TooLarge { limit: self.limit });
        }
        Ok(HeadProgress::Done { head: parse(raw)?, used })
    }
}

/// The length of the block with the empty line that ends it (LF or CRLF; an empty first line ends it at once),
/// looked for from there on.
fn find_end(block: &[u8], from: usize) -> Option<usize> {
    if from == 0 && block.first() == Some(&b'\n') {
        return Some(1);
    }
    if from == 0 && block.starts_with(b"\r\n") {
        return Some(2);
    }
    memchr::memchr_iter(b'\n', &block[from..]).map(|at| from + at).find_map(|at| match &block[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

fn parse(raw: Vec<u8>) -> Result<Head, HeadError> {
    let mut places = Vec::with_capacity(8);
    let (mut status, mut moved, mut dropped) = (None, false, 0);
    let mut at = 0;
    for newline in memchr::memchr_iter(b'\n', &raw) {
        let start = std::mem::replace(&mut at, newline + 1);
        let line = raw[start..newline].strip_suffix(b"\r").unwrap_or(&raw[start..newline]);
        if line.is_empty() {
            continue;
        }
        let colon = memchr::memchr(b':', line).ok_or(HeadError::NoColon)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let blanks = value.len() - value.trim_ascii_start().len();
        let from = start + colon + 1 + blanks;
        let value = value.trim_ascii();
        if name.is_empty()
            || !name.iter().all(|byte| is_token(*byte))
            || !value.iter().all(|byte| is_text(*byte))
        {
            dropped += 1;
            continue;
        }
        if name.eq_ignore_ascii_case(b"status") {
            status = Some(parse_status(value)?);
            continue;
        }
        moved |= name.eq_ignore_ascii_case(b"location");
        if places.len() == MAX_FIELDS {
            return Err(HeadError::TooMany);
        }
        places.push(Place { name: start..start + colon, value: from..from + value.len() });
    }
    let status = status.unwrap_or(if moved { 302 } else { 200 });
    Ok(Head { status, raw, places, dropped })
}

fn parse_status(value: &[u8]) -> Result<u16, HeadError> {
    let digits = value.split(|byte| *byte == b' ').next().unwrap_or_default();
    match digits {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            Ok(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
        }
        _ => Err(HeadError::Status),
    }
}

/// What a field name is made of (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What a field value may hold (RFC 9110, 5.5).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(block: &[u8]) -> Result<(Head, usize), HeadError> {
        match HeadReader::new(1_000).feed(block)? {
            HeadProgress::Done { head, used } => Ok((head, used)),
            HeadProgress::More => Err(HeadError::CutShort),
        }
    }

    #[test]
    fn status_location_and_line_ends_are_read_as_rfc_3875_says() {
        for (block, status, used) in [
            (&b"Content-Type: text/html\r\n\r\nbody"[..], 200, 27),
            (b"Content-Type: text/html\n\nbody", 200, 25),
            (b"Status: 404 Not Found\r\nX: y\n\r\nbody", 404, 30),
            (b"status:500\r\n\r\n", 500, 14),
            (b"Location: /x\r\n\r\n", 302, 16),
            (b"Status: 201 Created\r\nLocation: /x\r\n\r\n", 201, 37),
            (b"\r\nbody", 200, 2),
            (b"\nbody", 200, 1),
        ] {
            let (head, read_used) = read(block).unwrap();
            assert_eq!((head.status, read_used), (status, used), "{}", String::from_utf8_lossy(block));
            assert_eq!(head.field("status"), None);
        }
    }

    #[test]
    fn fields_keep_order_repeats_and_inner_blanks() {
        let (head, _) = read(b"Set-Cookie: a=1\r\nset-cookie:\t b = 2 \r\nX-Empty:\r\n\r\n").unwrap();
        let fields: Vec<_> = head.fields().collect();
        assert_eq!(fields, [(&b"Set-Cookie"[..], &b"a=1"[..]), (b"set-cookie", b"b = 2"), (b"X-Empty", b"")]);
        assert_eq!(head.field("SET-COOKIE"), Some(&b"a=1"[..]));
    }

    #[test]
    fn a_field_that_http_does_not_allow_is_left_out_and_a_line_that_is_none_is_refused() {
        let (head, _) = read(b"X Y: 1\r\nOk: 1\r\nZ: a\0b\r\n: v\r\n\r\n").unwrap();
        assert_eq!((head.dropped, head.fields().count()), (3, 1));
        assert_eq!(read(b"Fatal error\r\n\r\n"), Err(HeadError::NoColon));
        for bad in
            [&b"Status: no\r\n\r\n"[..], b"Status: 20\r\n\r\n", b"Status: 099 x\r\n\r\n", b"Status:\r\n\r\n"]
        {
            assert_eq!(read(bad), Err(HeadError::Status));
        }
    }

    #[test]
    fn a_block_beyond_the_limit_is_refused_before_it_is_collected() {
        let mut reader = HeadReader::new(10);
        assert_eq!(reader.feed(b"A: 345678"), Ok(HeadProgress::More));
        assert_eq!(reader.feed(&[b'x'; 1_000]), Err(HeadError::TooLarge { limit: 10 }));
        assert!(reader.seen.len() <= 11);
        assert!(matches!(
            HeadReader::new(10).feed(b"A: 345\r\n\r\nbody"),
            Ok(HeadProgress::Done { used: 10, .. })
        ));
        assert!(matches!(HeadReader::new(9).feed(b"A: 345\r\n\r\nbody"), Err(HeadError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn wherever_a_block_is_cut_it_reads_the_same(block in "(\r?\n|([A-Z]{1,3}: [a-z]{0,4}\r?\n){1,4}\r?\n)[a-z\n]{0,9}", cuts: [u8; 3]) {
            let whole = read(block.as_bytes()).unwrap();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| usize::from(*cut) % (block.len() + 1)).collect();
            cuts.sort_unstable();
            cuts.push(block.len());
            let (mut reader, mut at) = (HeadReader::new(1_000), 0);
            for cut in cuts {
                if let HeadProgress::Done { head, used } = reader.feed(&block.as_bytes()[at..cut]).unwrap() {
                    prop_assert_eq!((head, at + used), whole);
                    return Ok(());
                }
                at = cut;
            }
            prop_assert!(false, "never done");
        }
    }
}
