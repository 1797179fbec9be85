//! The head of an HTTP/1 request, checked byte by byte before the parser sees it.
//!
//! hyper takes bare LF as a line end, none or several `Host`s, and drops `Content-Length` beside
//! `Transfer-Encoding` before anybody can refuse the pair. Each is a way to make two parties read one
//! stream differently (request smuggling), so each is refused here. Rules: RFC 9112 sections 2.2, 3, 5, 6.

/// How long a head may be, in bytes and lines.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// The whole head.
    pub head_bytes: usize,
    /// The request target.
    pub target_bytes: usize,
    /// Header fields.
    pub fields: usize,
}

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
pub enum Scan {
    /// No end of the head yet, and nothing wrong yet.
    Partial,
    /// A whole head.
    Complete(Head),
    /// Not to be served.
    Refused(Refusal),
}

/// A head that may be served.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// Its bytes, the empty line at its end included.
    pub len: usize,
    /// How the body behind it is framed.
    pub body: Framing,
}

/// How a request's body is framed (RFC 9112 section 6.3).
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Framing {
    /// So many bytes; 0 is no body.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// Why a head is refused.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Refusal {
    /// A line does not end in CRLF.
    BareLineFeed,
    /// The request line is not `method SP target SP version`.
    RequestLine,
    /// A version other than HTTP/1.0 and 1.1.
    Version,
    /// A header continued on the next line.
    FoldedHeader,
    /// A field name with other than token characters, or space before the colon.
    FieldName,
    /// A control character in a field value.
    FieldValue,
    /// HTTP/1.1 without `Host`.
    NoHost,
    /// More than one `Host`.
    TwoHosts,
    /// A `Host` that names no host.
    BadHost,
    /// `Content-Length` that is not one number.
    ContentLength,
    /// More than one `Content-Length`.
    TwoContentLengths,
    /// Both framings at once.
    LengthAndChunked,
    /// A transfer coding other than a single `chunked`, or one in HTTP/1.0.
    TransferEncoding,
    /// The target is longer than allowed.
    TargetTooLong,
    /// The head is longer than allowed.
    HeadTooLong,
    /// The head did not come in time.
    TooSlow,
}

impl Refusal {
    /// The status to answer with.
    pub fn status(self) -> u16 {
        match self {
            Self::TargetTooLong => 414,
            Self::HeadTooLong => 431,
            Self::TooSlow => 408,
            Self::Version => 505,
            Self::BareLineFeed
            | Self::RequestLine
            | Self::FoldedHeader
            | Self::FieldName
            | Self::FieldValue
            | Self::NoHost
            | Self::TwoHosts
            | Self::BadHost
            | Self::ContentLength
            | Self::TwoContentLengths
            | Self::LengthAndChunked
            | Self::TransferEncoding => 400,
        }
    }

    /// What is wrong, for the page and the log.
    pub fn reason(self) -> &'static str {
        match self {
            Self::BareLineFeed => "a line of the request head does not end in CR LF",
            Self::RequestLine => "the request line is not \"method target version\"",
            Self::Version => "this server speaks HTTP/1.0, HTTP/1.1 and HTTP/2",
            Self::FoldedHeader => "a header field is continued on a second line",
            Self::FieldName => "a header field has an invalid name",
            Self::FieldValue => "a header field has a control character in its value",
            Self::NoHost => "the request has no Host",
            Self::TwoHosts => "the request has more than one Host",
            Self::BadHost => "the Host is not a host name",
            Self::ContentLength => "the Content-Length is not a number",
            Self::TwoContentLengths => "the request has more than one Content-Length",
            Self::LengthAndChunked => "the request has both Content-Length and Transfer-Encoding",
            Self::TransferEncoding => "the Transfer-Encoding is not just \"chunked\"",
            Self::TargetTooLong => "the request target is too long",
            Self::HeadTooLong => "the request head is too long",
            Self::TooSlow => "the request head did not arrive in time",
        }
    }
}

/// Scans `bytes`, which begin where a head begins.
pub fn scan(bytes: &[u8], limits: &HeadLimits) -> Scan {
    match walk(bytes, limits) {
        Ok(Some(head)) => Scan::Complete(head),
        Ok(None) if bytes.len() > limits.head_bytes => Scan::Refused(Refusal::HeadTooLong),
        Ok(None) => Scan::Partial,
        Err(refusal) => Scan::Refused(refusal),
    }
}

#[derive(Default)]
struct Seen {
    host: bool,
    length: Option<u64>,
    chunked: bool,
}

fn walk(bytes: &[u8], limits: &HeadLimits) -> Result<Option<Head>, Refusal> {
    let mut at = 0;
    // RFC 9112 section 2.2: an empty line before the request line is let pass.
    while bytes[at..].starts_with(b"\r\n") && at < 4 {
        at += 2;
    }
    let Some((line, mut at)) = line(bytes, at)? else {
        return match bytes.len() - at > limits.target_bytes + 32 {
            true => Err(Refusal::TargetTooLong),
            false => Ok(None),
        };
    };
    let http_1_1 = request_line(line, limits)?;
    let mut seen = Seen::default();
    let mut fields = 0;
    loop {
        let Some((field, next)) = self::line(bytes, at)? else { return Ok(None) };
        at = next;
        if at > limits.head_bytes {
            return Err(Refusal::HeadTooLong);
        }
        if field.is_empty() {
            break;
        }
        fields += 1;
        if fields > limits.fields {
            return Err(Refusal::HeadTooLong);
        }
        self::field(field, http_1_1, &mut seen)?;
    }
    if http_1_1 && !seen.host {
        return Err(Refusal::NoHost);
    }
    let body = match (seen.chunked, seen.length) {
        (true, Some(_)) => return Err(Refusal::LengthAndChunked),
        (true, None) => Framing::Chunked,
        (false, length) => Framing::Length(length.unwrap_or(0)),
    };
    Ok(Some(Head { len: at, body }))
}

/// The line at `at` without its CRLF, and where the next begins; `None` where it has no end yet.
fn line(bytes: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, Refusal> {
    let rest = &bytes[at..];
    match memchr::memchr(b'\n', rest) {
        None => Ok(None),
        Some(end) if end > 0 && rest[end - 1] == b'\r' => Ok(Some((&rest[..end - 1], at + end + 1))),
        Some(_) => Err(Refusal::BareLineFeed),
    }
}

/// Checks the request line; gives whether it is HTTP/1.1.
fn request_line(line: &[u8], limits: &HeadLimits) -> Result<bool, Refusal> {
    let first = memchr::memchr(b' ', line).ok_or(Refusal::RequestLine)?;
    let last = memchr::memrchr(b' ', line).ok_or(Refusal::RequestLine)?;
    let method = &line[..first];
    if method.is_empty() || last <= first + 1 || !method.iter().all(|byte| is_token(*byte)) {
        return Err(Refusal::RequestLine);
    }
    let target = &line[first + 1..last];
    if target.len() > limits.target_bytes {
        return Err(Refusal::TargetTooLong);
    }
    if target.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return Err(Refusal::RequestLine);
    }
    match &line[last + 1..] {
        b"HTTP/1.1" => Ok(true),
        b"HTTP/1.0" => Ok(false),
        version if version.starts_with(b"HTTP/") => Err(Refusal::Version),
        _other => Err(Refusal::RequestLine),
    }
}

fn field(line: &[u8], http_1_1: bool, seen: &mut Seen) -> Result<(), Refusal> {
    if line[0] == b' ' || line[0] == b'\t' {
        return Err(Refusal::FoldedHeader);
    }
    let colon = memchr::memchr(b':', line).ok_or(Refusal::FieldName)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return Err(Refusal::FieldName);
    }
    if value.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
        return Err(Refusal::FieldValue);
    }
    let value = value.trim_ascii();
    match name.len() {
        4 if name.eq_ignore_ascii_case(b"host") => {
            if seen.host {
                return Err(Refusal::TwoHosts);
            }
            if !is_host(value) {
                return Err(Refusal::BadHost);
            }
            seen.host = true;
        }
        14 if name.eq_ignore_ascii_case(b"content-length") => {
            if seen.length.is_some() {
                return Err(Refusal::TwoContentLengths);
            }
            seen.length = Some(number(value).ok_or(Refusal::ContentLength)?);
        }
        17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
            if seen.chunked || !http_1_1 || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Refusal::TransferEncoding);
            }
            seen.chunked = true;
        }
        _other => {}
    }
    Ok(())
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// An empty `Host` is legal (RFC 9112 section 3.2) and served by the site for any host.
fn is_host(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]~%!$&'()*+;=".contains(byte))
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut at = 0;
        while at < 256 {
            let byte = at as u8;
            table[at] = byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'!' | b'#'
                        | b'$'
                        | b'%'
                        | b'&'
                        | b'\''
                        | b'*'
                        | b'+'
                        | b'-'
                        | b'.'
                        | b'^'
                        | b'_'
                        | b'`'
                        | b'|'
                        | b'~'
                );
            at += 1;
        }
        table
    };
    TOKEN[byte as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, target_bytes: 1024, fields: 20 };

    fn verdict(head: &str) -> Result<Framing, Refusal> {
        match scan(head.as_bytes(), &LIMITS) {
            Scan::Complete(found) => {
                assert_eq!(found.len, head.len());
                Ok(found.body)
            }
            Scan::Refused(why) => Err(why),
            Scan::Partial => panic!("partial: {head:?}"),
        }
    }

    #[test]
    fn each_smuggling_shape_is_refused_for_its_own_reason() {
        let long_target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(2000));
        let long_head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(5000));
        let many_fields = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(50));
        let table: &[(&str, Result<Framing, Refusal>)] = &[
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(Framing::Length(0))),
            ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(Framing::Length(0))),
            ("GET / HTTP/1.0\r\n\r\n", Ok(Framing::Length(0))),
            ("POST / HTTP/1.1\r\nHost:\r\nContent-Length: 12\r\n\r\n", Ok(Framing::Length(12))),
            ("POST / HTTP/1.1\r\nHost: a\r\ntransfer-ENCODING: Chunked\r\n\r\n", Ok(Framing::Chunked)),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", Err(Refusal::BareLineFeed)),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", Err(Refusal::BareLineFeed)),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", Err(Refusal::BareLineFeed)),
            ("GET / HTTP/1.1\r\n\r\n", Err(Refusal::NoHost)),
            ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", Err(Refusal::TwoHosts)),
            ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Err(Refusal::BadHost)),
            ("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", Err(Refusal::BadHost)),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Err(Refusal::BadHost)),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", Err(Refusal::FoldedHeader)),
            ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Err(Refusal::FoldedHeader)),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Err(Refusal::FieldName)),
            ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", Err(Refusal::FieldName)),
            ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", Err(Refusal::FieldName)),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", Err(Refusal::FieldValue)),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", Err(Refusal::FieldValue)),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
                Err(Refusal::TwoContentLengths),
            ),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", Err(Refusal::ContentLength)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", Err(Refusal::ContentLength)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", Err(Refusal::ContentLength)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", Err(Refusal::ContentLength)),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
                Err(Refusal::ContentLength),
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                Err(Refusal::LengthAndChunked),
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
                Err(Refusal::LengthAndChunked),
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                Err(Refusal::TransferEncoding),
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
                Err(Refusal::TransferEncoding),
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                Err(Refusal::TransferEncoding),
            ),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Err(Refusal::TransferEncoding)),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", Err(Refusal::FieldName)),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Err(Refusal::RequestLine)),
            ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Err(Refusal::RequestLine)),
            ("GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", Err(Refusal::RequestLine)),
            ("GET\r\nHost: a\r\n\r\n", Err(Refusal::RequestLine)),
            ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", Err(Refusal::RequestLine)),
            ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Err(Refusal::RequestLine)),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Err(Refusal::Version)),
            ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", Err(Refusal::Version)),
            ("GET / FTP/1.1\r\nHost: a\r\n\r\n", Err(Refusal::RequestLine)),
            (&long_target, Err(Refusal::TargetTooLong)),
            (&long_head, Err(Refusal::HeadTooLong)),
            (&many_fields, Err(Refusal::HeadTooLong)),
        ];
        for (head, expected) in table {
            assert_eq!(verdict(head), *expected, "{head:?}");
        }
    }

    #[test]
    fn an_endless_head_is_refused_before_it_ends() {
        assert_eq!(scan("GET /".repeat(300).as_bytes(), &LIMITS), Scan::Refused(Refusal::TargetTooLong));
        let endless = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(5000));
        assert_eq!(scan(endless.as_bytes(), &LIMITS), Scan::Refused(Refusal::HeadTooLong));
    }

    proptest! {
        #[test]
        fn a_head_cut_anywhere_is_partial_and_never_a_panic(cut in 0usize..60) {
            let head = b"POST /a?b HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\n";
            let cut = cut.min(head.len() - 1);
            prop_assert_eq!(scan(&head[..cut], &LIMITS), Scan::Partial);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            scan(&bytes, &LIMITS);
        }
    }
}
