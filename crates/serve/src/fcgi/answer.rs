//! Answer: a response's head as a web server wants it: a CGI header block (RFC 3875, section 6).

use http::response::Parts;
use http::{HeaderName, header};

/// These speak of one connection, and the web server's to its visitor is its own.
const NOT_PASSED: [HeaderName; 4] =
    [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, HeaderName::from_static("keep-alive")];

/// The header block. `len`: bytes of the body, where they are known.
pub fn block(parts: &Parts, len: Option<u64>) -> Vec<u8> {
    let mut block = Vec::with_capacity(512);
    let mut line = |name: &[u8], value: &[u8]| {
        block.extend_from_slice(name);
        block.extend_from_slice(b": ");
        block.extend_from_slice(value);
        block.extend_from_slice(b"\r\n");
    };
    for (name, value) in parts.headers.iter().filter(|(name, _)| !NOT_PASSED.contains(name)) {
        line(name.as_str().as_bytes(), value.as_bytes());
    }
    if let Some(len) = len.filter(|_| !parts.headers.contains_key(header::CONTENT_LENGTH)) {
        line(b"content-length", itoa::Buffer::new().format(len).as_bytes());
    }
    // Behind the others: of a Location that stands behind it HAProxy (2.6) makes a 302.
    block.extend_from_slice(b"Status: ");
    block.extend_from_slice(parts.status.as_str().as_bytes());
    // Some web servers want something behind the number.
    block.push(b' ');
    block.extend_from_slice(parts.status.canonical_reason().unwrap_or("Unknown").as_bytes());
    block.extend_from_slice(b"\r\n\r\n");
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;

    #[test]
    fn a_head_is_told_with_its_status_and_without_what_speaks_of_a_connection() {
        let response = Response::builder()
            .status(404)
            .header("connection", "close")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .body(())
            .unwrap();
        let (parts, ()) = response.into_parts();
        let text = String::from_utf8(block(&parts, Some(7))).unwrap();
        assert_eq!(
            text,
            "set-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 7\r\nStatus: 404 Not Found\r\n\r\n"
        );
    }
}
