//! Prepared: a request's bytes, made once and sent many times.

use crate::page::{Ask, Piece};

/// Bodies up to so many bytes go out together with their head, as browsers send them.
const TOGETHER_MAX: usize = 16 * 1024;

/// A request as it goes over the wire of HTTP/1.1.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Head, and first piece of the body where that goes with it; the connection is kept.
    keep: Box<[u8]>,
    /// The same with `Connection: close`.
    close: Box<[u8]>,
    /// The other pieces.
    pieces: Box<[Piece]>,
    /// Whether the answer has no body whatever it says.
    pub(crate) is_head: bool,
    /// Whether asking twice is as good as asking once.
    pub(crate) is_safe: bool,
}

impl Prepared {
    /// For this host.
    #[must_use]
    pub fn new(ask: &Ask, host: &str) -> Self {
        let together = ask
            .upload
            .first()
            .filter(|piece| piece.pause.is_zero() && piece.bytes.len() <= TOGETHER_MAX)
            .map(|piece| &piece.bytes[..]);
        let whole = |connection| {
            let mut bytes = head(ask, host, connection);
            bytes.extend_from_slice(together.unwrap_or_default());
            bytes.into_boxed_slice()
        };
        Self {
            keep: whole("keep-alive"),
            close: whole("close"),
            pieces: ask.upload.iter().skip(usize::from(together.is_some())).cloned().collect(),
            is_head: ask.method == "HEAD",
            is_safe: matches!(ask.method.as_str(), "GET" | "HEAD"),
        }
    }

    /// What goes out first.
    pub(crate) fn begin(&self, keep: bool) -> &[u8] {
        if keep { &self.keep } else { &self.close }
    }

    /// What goes out after that.
    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }
}

fn head(ask: &Ask, host: &str, connection: &str) -> Vec<u8> {
    let mut head = Vec::with_capacity(256);
    for part in [&ask.method, " ", &ask.path, " HTTP/1.1\r\nHost: ", host, "\r\nConnection: ", connection] {
        head.extend_from_slice(part.as_bytes());
    }
    for (name, value) in &ask.headers {
        for part in ["\r\n", name, ": ", value] {
            head.extend_from_slice(part.as_bytes());
        }
    }
    if !ask.upload.is_empty() || ask.method == "POST" {
        let length: usize = ask.upload.iter().map(|piece| piece.bytes.len()).sum();
        head.extend_from_slice(format!("\r\nContent-Length: {length}").as_bytes());
    }
    head.extend_from_slice(b"\r\n\r\n");
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_short_body_goes_out_with_its_head() {
        let asked = Prepared::new(&Ask::post("/x?y=1", "text/plain", Bytes::from_static(b"hi")), "shop");
        assert_eq!(
            asked.begin(false),
            b"POST /x?y=1 HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
        );
        assert!(asked.pieces().is_empty() && !asked.is_safe);
    }

    #[test]
    fn a_get_has_no_length() {
        let asked = Prepared::new(&Ask::get("/"), "shop");
        assert_eq!(asked.begin(true), b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: keep-alive\r\n\r\n");
    }
}
