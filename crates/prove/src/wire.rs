//! Wire: HTTP/1.1 responses taken apart, without I/O and without mercy (RFC 9112).

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none: an answer to HEAD, 204, 304.
    Empty,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Whatever comes until the connection is closed.
    UntilClose,
}

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// How the body ends.
    pub framing: Framing,
    /// The server closes the connection after this response.
    pub closes: bool,
    /// Bytes of the head, its empty line included.
    pub bytes: usize,
}

/// What is wrong with a response's framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The first line is no status line of HTTP/1.
    #[error("no HTTP/1 status line")]
    StatusLine,
    /// A header line without name, colon or CRLF.
    #[error("a broken header line")]
    HeaderLine,
    /// A head beyond 64 KiB.
    #[error("a head beyond 64 KiB")]
    HeadTooLong,
    /// Two lengths, a length beside chunks, or a number that is none.
    #[error("a length that contradicts itself")]
    Length,
    /// A transfer coding other than chunked.
    #[error("an unknown transfer coding")]
    Coding,
    /// A chunk whose size or line end is wrong.
    #[error("a broken chunk")]
    Chunk,
}

const HEAD_MAX: usize = 64 * 1024;

/// Reads the head that `bytes` begin with; `Ok(None)`: more is needed. `asked_head`: the request was HEAD.
///
/// # Errors
/// When no more bytes could make it a head.
pub fn head(bytes: &[u8], asked_head: bool) -> Result<Option<Head>, WireError> {
    let Some(end) = end_of_head(bytes) else {
        let lost = bytes.len() > HEAD_MAX;
        return if lost { Err(WireError::HeadTooLong) } else { Ok(None) };
    };
    let mut lines = lines(bytes.get(..end).unwrap_or_default());
    let status_line = lines.next().ok_or(WireError::StatusLine)??;
    let (minor, status) = status_of(status_line).ok_or(WireError::StatusLine)?;
    let mut length = None;
    let mut chunked = false;
    let mut closes = minor == b'0';
    for line in lines {
        let (name, value) = name_and_value(line?)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            if length.is_some() {
                return Err(WireError::Length);
            }
            length = Some(decimal(value).ok_or(WireError::Length)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(WireError::Coding);
            }
            chunked = true;
        } else if name.eq_ignore_ascii_case(b"connection") {
            for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                closes = closes && !option.eq_ignore_ascii_case(b"keep-alive")
                    || option.eq_ignore_ascii_case(b"close");
            }
        }
    }
    let framing = match (chunked, length) {
        (true, Some(_)) => return Err(WireError::Length),
        _ if asked_head || status == 204 || status == 304 || status < 200 => Framing::Empty,
        (true, None) => Framing::Chunked,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::UntilClose,
    };
    closes |= framing == Framing::UntilClose;
    Ok(Some(Head { status, framing, closes, bytes: end }))
}

/// The value of the first header called `name` in a whole head.
#[must_use]
pub fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    headers(head, name).next()
}

/// The values of all headers called `name` in a whole head.
pub fn headers<'a>(head: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
    lines(head)
        .skip(1)
        .filter_map(|line| name_and_value(line.ok()?).ok())
        .filter(move |(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, value)| value)
}

/// Takes chunked bodies apart as they come.
#[derive(Debug, Default)]
pub struct Chunks {
    state: ChunkState,
}

#[derive(Debug, Default, PartialEq)]
enum ChunkState {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailer,
    Done,
}

impl Chunks {
    /// Moves the data of `raw` to `body`; gives how many bytes of `raw` it used up. Call it again with the rest and
    /// what came later, until [`Chunks::is_done`].
    ///
    /// # Errors
    /// When the chunking is broken.
    pub fn feed(&mut self, raw: &[u8], body: &mut Vec<u8>) -> Result<usize, WireError> {
        let mut used = 0;
        loop {
            let rest = raw.get(used..).unwrap_or_default();
            match self.state {
                ChunkState::Done => return Ok(used),
                ChunkState::Data(left) => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    if take == 0 {
                        return Ok(used);
                    }
                    body.extend_from_slice(rest.get(..take).unwrap_or_default());
                    used += take;
                    let left = left - take as u64;
                    self.state = if left == 0 { ChunkState::DataEnd } else { ChunkState::Data(left) };
                }
                ChunkState::Size | ChunkState::DataEnd | ChunkState::Trailer => {
                    let Some(at) = rest.iter().position(|byte| *byte == b'\n') else {
                        return if rest.len() > 4096 { Err(WireError::Chunk) } else { Ok(used) };
                    };
                    let line = rest.get(..at).unwrap_or_default();
                    let line = line.strip_suffix(b"\r").ok_or(WireError::Chunk)?;
                    used += at + 1;
                    self.state = self.after(line)?;
                }
            }
        }
    }

    fn after(&self, line: &[u8]) -> Result<ChunkState, WireError> {
        match self.state {
            ChunkState::Size => {
                let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
                match hexadecimal(digits).ok_or(WireError::Chunk)? {
                    0 => Ok(ChunkState::Trailer),
                    size => Ok(ChunkState::Data(size)),
                }
            }
            ChunkState::DataEnd if line.is_empty() => Ok(ChunkState::Size),
            ChunkState::Trailer if line.is_empty() => Ok(ChunkState::Done),
            ChunkState::Trailer => Ok(ChunkState::Trailer),
            ChunkState::DataEnd | ChunkState::Data(_) | ChunkState::Done => Err(WireError::Chunk),
        }
    }

    /// Whether the last chunk and the trailers have been seen.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == ChunkState::Done
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let within = bytes.get(..HEAD_MAX).unwrap_or(bytes);
    memchr::memmem::find(within, b"\r\n\r\n").map(|at| at + 4)
}

/// The lines of a head without their CRLF, the empty last one left out; a bare LF is an error.
fn lines(head: &[u8]) -> impl Iterator<Item = Result<&[u8], WireError>> {
    let mut begin = 0;
    let ends = memchr::memchr_iter(b'\n', head).map(|at| at + 1);
    ends.map(move |end| {
        let line = head.get(begin..end).unwrap_or_default();
        begin = end;
        line.strip_suffix(b"\r\n").ok_or(WireError::HeaderLine)
    })
    .take_while(|line| !line.as_ref().is_ok_and(|line| line.is_empty()))
}

fn status_of(line: &[u8]) -> Option<(u8, u16)> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let (&[minor, b' '], rest) = rest.split_first_chunk::<2>()? else { return None };
    let (digits, rest) = rest.split_first_chunk::<3>()?;
    let told = matches!(minor, b'0' | b'1') && (rest.is_empty() || rest.starts_with(b" "));
    let status = decimal(digits).and_then(|status| u16::try_from(status).ok())?;
    (told && (100..600).contains(&status)).then_some((minor, status))
}

fn name_and_value(line: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let colon = memchr::memchr(b':', line).ok_or(WireError::HeaderLine)?;
    let (name, value) = (line.get(..colon), line.get(colon + 1..));
    match (name, value) {
        (Some(name), Some(value)) if !name.is_empty() && name.iter().all(u8::is_ascii_graphic) => {
            Ok((name, value.trim_ascii()))
        }
        _ => Err(WireError::HeaderLine),
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    number(digits, 10)
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    number(digits, 16)
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    // Checked by hand: from_str_radix takes a sign.
    let all_digits = !digits.is_empty() && digits.iter().all(|byte| char::from(*byte).is_digit(radix));
    let text = std::str::from_utf8(digits).ok().filter(|_| all_digits)?;
    u64::from_str_radix(text, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(text: &str) -> Result<Option<Head>, WireError> {
        head(text.as_bytes(), false)
    }

    #[test]
    fn the_framing_of_a_body_is_told_by_its_head() {
        let framing = |text: &str| framed(text).unwrap().unwrap().framing;
        assert_eq!(framing("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n"), Framing::Length(12));
        assert_eq!(framing("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n"), Framing::Chunked);
        assert_eq!(framing("HTTP/1.1 200\r\n\r\n"), Framing::UntilClose);
        assert_eq!(framing("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"), Framing::Empty);
        assert_eq!(framed("HTTP/1.1 200 OK\r\nContent-Le"), Ok(None));
    }

    #[test]
    fn a_server_says_whether_it_closes() {
        let closes = |text: &str| framed(text).unwrap().unwrap().closes;
        assert!(!closes("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
        assert!(closes("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n"));
        assert!(closes("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
        assert!(!closes("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"));
    }

    #[test]
    fn bad_framing_is_found() {
        for (text, why) in [
            ("HTTP/2 200 OK\r\n\r\n", WireError::StatusLine),
            ("HTTP/1.1 20 OK\r\n\r\n", WireError::StatusLine),
            ("HTTP/1.1 200 OK\nA: b\r\n\r\n", WireError::HeaderLine),
            ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", WireError::HeaderLine),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", WireError::Length),
            ("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", WireError::Length),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", WireError::Length),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", WireError::Coding),
        ] {
            assert_eq!(framed(text), Err(why), "{text}");
        }
        assert_eq!(head(&[b'x'; HEAD_MAX + 1], false), Err(WireError::HeadTooLong));
    }

    #[test]
    fn a_header_is_found_whatever_its_case() {
        let head = b"HTTP/1.1 200 OK\r\nX-Cutover-Release:  r1 \r\n\r\n";
        assert_eq!(header(head, "x-cutover-release"), Some(&b"r1"[..]));
        assert_eq!(header(head, "x-other"), None);
    }

    #[test]
    fn broken_chunks_are_found() {
        for broken in ["g\r\n", "\r\n", "1\nab", "1\r\nab\r\n", "-1\r\n"] {
            let mut chunks = Chunks::default();
            assert_eq!(chunks.feed(broken.as_bytes(), &mut Vec::new()), Err(WireError::Chunk), "{broken:?}");
        }
    }

    proptest! {
        #[test]
        fn chunks_come_together_however_they_are_cut(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
            cuts in proptest::collection::vec(1_usize..20, 1..40),
        ) {
            let mut raw = Vec::new();
            for part in &parts {
                raw.extend_from_slice(format!("{:X};x=y\r\n", part.len()).as_bytes());
                raw.extend_from_slice(part);
                raw.extend_from_slice(b"\r\n");
            }
            raw.extend_from_slice(b"0\r\nTrailer: x\r\n\r\n");
            let (mut chunks, mut body, mut held, mut sent) = (Chunks::default(), Vec::new(), Vec::new(), 0);
            let mut cuts = cuts.iter().cycle();
            while sent < raw.len() {
                let until = (sent + cuts.next().unwrap()).min(raw.len());
                held.extend_from_slice(&raw[sent..until]);
                sent = until;
                let used = chunks.feed(&held, &mut body).unwrap();
                held.drain(..used);
            }
            prop_assert!(chunks.is_done() && held.is_empty());
            prop_assert_eq!(body, parts.concat());
        }

        #[test]
        fn no_bytes_whatsoever_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let used = Chunks::default().feed(&bytes, &mut Vec::new()).unwrap_or(0);
            prop_assert!(used <= bytes.len());
            let end = head(&bytes, false).ok().flatten().map_or(0, |head| head.bytes);
            prop_assert!(end <= bytes.len());
            prop_assert!(header(&bytes, "x").is_none_or(|value| value.len() < bytes.len()));
        }
    }
}
