//! Said: what a script's header block says to the client, and what it says to us (files to send, buffering).

use bytes::Bytes;
use fastcgi::Head;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// A header block, sorted.
#[derive(Debug)]
pub struct Said {
    /// The status.
    pub status: StatusCode,
    /// The header fields for the client; no Content-Length, and nothing that speaks of one connection only.
    pub headers: HeaderMap,
    /// The length that the script told.
    pub length: Option<u64>,
    /// A file to be sent in place of the body.
    pub send: Option<Send>,
    /// The script wants its bytes to go out as they come (`X-Accel-Buffering: no`).
    pub unbuffered: bool,
}

/// How a script named a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Send {
    /// `X-Sendfile`: its absolute path, as the script sees it.
    Path(Vec<u8>),
    /// `X-Accel-Redirect`: its URL path.
    Url(Vec<u8>),
}

/// What scripts say to web servers.
const FOR_SERVERS: [&str; 6] = [
    "x-sendfile",
    "x-accel-redirect",
    "x-accel-buffering",
    "x-accel-expires",
    "x-accel-limit-rate",
    "x-accel-charset",
];

impl Send {
    /// What was named, for people.
    pub fn to_text(&self) -> String {
        match self {
            Send::Path(name) | Send::Url(name) => String::from_utf8_lossy(name).into_owned(),
        }
    }
}

impl Said {
    /// The file was sent: no web server is to send one.
    pub fn sent(&mut self) {
        self.headers.remove("x-sendfile");
        self.headers.remove("x-accel-redirect");
    }

    /// Sorts a header block. `None`: its status is none that ends a request. `behind`: a web server is in front; what
    /// is for one, it hears too.
    pub fn of(head: Head, behind: bool) -> Option<Said> {
        let status = StatusCode::from_u16(head.status).ok().filter(|status| !status.is_informational())?;
        let places = head.places().to_vec();
        let raw = Bytes::from(head.raw);
        let mut said = Said {
            status,
            headers: HeaderMap::with_capacity(places.len() + 4),
            length: None,
            send: None,
            unbuffered: false,
        };
        for place in places {
            // Both were looked through when the block was read; these looks find nothing more.
            let Ok(name) = HeaderName::from_bytes(&raw[place.name]) else { continue };
            let value = raw.slice(place.value);
            let heard = said.hears(&name, &value);
            if (!heard || behind && FOR_SERVERS.contains(&name.as_str()))
                && let Ok(value) = HeaderValue::from_maybe_shared(value)
            {
                said.headers.append(name, value);
            }
        }
        Some(said)
    }

    /// Whether a field is for us, or for nobody.
    fn hears(&mut self, name: &HeaderName, value: &Bytes) -> bool {
        match name.as_str() {
            "content-length" => {
                self.length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                true
            }
            "x-sendfile" => {
                self.send = Some(Send::Path(value.to_vec()));
                true
            }
            "x-accel-redirect" => {
                self.send = Some(Send::Url(value.to_vec()));
                true
            }
            "x-accel-buffering" => {
                self.unbuffered = value.eq_ignore_ascii_case(b"no");
                true
            }
            "x-accel-expires" | "x-accel-limit-rate" | "x-accel-charset" => true,
            "keep-alive" | "proxy-connection" => true,
            _ => {
                [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE, header::TRAILER]
                    .contains(name)
            }
        }
    }

    /// Whether a response with this status has no body, whatever the method.
    pub fn is_bodiless(&self) -> bool {
        matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastcgi::head::{HeadProgress, HeadReader};

    fn said(block: &str) -> Option<Said> {
        match HeadReader::new(10_000).feed(block.as_bytes()).unwrap() {
            HeadProgress::Done { head, .. } => Said::of(head, false),
            HeadProgress::More => panic!("not whole"),
        }
    }

    #[test]
    fn what_is_for_us_or_for_one_connection_does_not_reach_the_client() {
        let said = said(
            "Status: 201 Created\r\nX-Accel-Buffering: No\r\nX-Sendfile: /a b\r\nContent-Length: 7\r\n\
             Connection: close\r\nTransfer-Encoding: chunked\r\nX-Accel-Expires: 3\r\nSet-Cookie: a=1\r\n\
             Set-Cookie: b=2\r\nContent-Type: text/plain\r\n\r\n",
        )
        .unwrap();
        assert_eq!((said.status.as_u16(), said.length, said.unbuffered), (201, Some(7), true));
        assert_eq!(said.send, Some(Send::Path(b"/a b".to_vec())));
        assert_eq!(said.headers.len(), 3);
        assert_eq!(said.headers.get_all("set-cookie").iter().count(), 2);
    }

    #[test]
    fn a_web_server_in_front_hears_what_is_for_it_and_nothing_of_a_connection() {
        let block =
            "X-Accel-Redirect: /a\r\nX-Accel-Expires: 3\r\nConnection: close\r\nContent-Length: 7\r\n\r\n";
        let HeadProgress::Done { head, .. } = HeadReader::new(10_000).feed(block.as_bytes()).unwrap() else {
            panic!("not whole");
        };
        let mut said = Said::of(head, true).unwrap();
        assert_eq!(said.headers.len(), 2);
        said.sent();
        assert_eq!(said.headers.keys().collect::<Vec<_>>(), ["x-accel-expires"]);
    }

    #[test]
    fn a_script_cannot_answer_with_an_interim_status() {
        assert!(said("Status: 100 Continue\r\n\r\n").is_none());
        assert!(said("Status: 101 Switching\r\n\r\n").is_none());
        assert!(said("Status: 304 Not Modified\r\n\r\n").unwrap().is_bodiless());
    }
}
