//! Asked: what a web server says of a request, sorted: each parameter once, and the request as HTTP has it.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};

use crate::client::Client;
use crate::fcgi::stderr::Stderr;
use crate::resource::path::encode;

/// The parameters of a request.
pub struct Asked {
    stderr: Arc<Stderr>,
    packed: Vec<u8>,
    /// Names and values, each name once.
    pairs: Vec<(Range<usize>, Range<usize>)>,
}

/// Why a request cannot be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskedError {
    /// REQUEST_METHOD.
    #[error("REQUEST_METHOD is none")]
    Method,
    /// REQUEST_URI.
    #[error("REQUEST_URI is none")]
    Uri,
    /// CONTENT_LENGTH.
    #[error("CONTENT_LENGTH is no number")]
    Length,
}

/// Headers that speak of the web server's own connection, or that are told without `HTTP_`.
const NOT_HEADERS: [&[u8]; 9] = [
    b"CONNECTION",
    b"UPGRADE",
    b"TRANSFER_ENCODING",
    b"TE",
    b"TRAILER",
    b"KEEP_ALIVE",
    b"CONTENT_LENGTH",
    b"CONTENT_TYPE",
    b"PROXY",
];

impl Asked {
    /// Sorts packed parameters without a fault. Of a name that is told twice the last one counts, as it does for PHP.
    pub fn new(packed: Vec<u8>) -> Self {
        let within = |part: &[u8]| {
            let start = part.as_ptr().addr() - packed.as_ptr().addr();
            start..start + part.len()
        };
        let mut pairs: Vec<_> = fastcgi::params::pairs(&packed)
            .flatten()
            .map(|(name, value)| (within(name), within(value)))
            .collect();
        let mut seen = HashSet::with_capacity(pairs.len());
        let mut last: Vec<_> =
            pairs.drain(..).rev().filter(|(name, _)| seen.insert(&packed[name.clone()])).collect();
        last.reverse();
        Self { stderr: Arc::default(), pairs: last, packed }
    }

    /// Where scripts write for the web server's log.
    pub fn stderr(&self) -> Arc<Stderr> {
        Arc::clone(&self.stderr)
    }

    /// Bytes of it, duplicates included.
    pub fn len(&self) -> usize {
        self.packed.len()
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// Names and values, each name once.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.pairs.iter().map(|(name, value)| (&self.packed[name.clone()], &self.packed[value.clone()]))
    }

    /// What a name is told as.
    pub fn get(&self, wanted: &[u8]) -> Option<&[u8]> {
        self.pairs().find_map(|(name, value)| (name == wanted).then_some(value))
    }

    /// The same; `None` also where it is empty, which is how many a web server says that there is none.
    pub fn filled(&self, wanted: &[u8]) -> Option<&[u8]> {
        self.get(wanted).filter(|value| !value.is_empty())
    }

    fn text(&self, wanted: &[u8]) -> Option<&str> {
        std::str::from_utf8(self.filled(wanted)?).ok()
    }

    /// The host that the visitor asked for, then the name under which the web server runs the site.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        [self.text(b"HTTP_HOST"), self.text(b"SERVER_NAME")].into_iter().flatten()
    }

    /// Who logged in at the web server.
    pub fn user(&self) -> Option<&str> {
        self.text(b"REMOTE_USER")
    }

    /// Who asks, by the web server's word.
    pub fn client(&self) -> Client {
        let port = |name| self.text(name).and_then(|port| port.parse::<u16>().ok()).unwrap_or(0);
        let https = match self.text(b"HTTPS") {
            Some(word) => !word.eq_ignore_ascii_case("off"),
            None => self.text(b"REQUEST_SCHEME").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")),
        };
        let address: Option<IpAddr> = self.text(b"REMOTE_ADDR").and_then(|address| address.parse().ok());
        Client {
            remote: address.map(|address| SocketAddr::new(address, port(b"REMOTE_PORT"))),
            https,
            port: port(b"SERVER_PORT"),
        }
    }

    /// The request's head, as the visitor sent it, as far as the parameters tell it.
    pub fn parts(&self) -> Result<Parts, AskedError> {
        let (mut parts, ()) = Request::new(()).into_parts();
        if let Some(method) = self.filled(b"REQUEST_METHOD") {
            parts.method = Method::from_bytes(method).map_err(|_| AskedError::Method)?;
        }
        parts.version = match self.filled(b"SERVER_PROTOCOL") {
            Some(b"HTTP/1.0") => Version::HTTP_10,
            Some(b"HTTP/2.0" | b"HTTP/2") => Version::HTTP_2,
            Some(b"HTTP/3.0" | b"HTTP/3") => Version::HTTP_3,
            Some(_) | None => Version::HTTP_11,
        };
        parts.uri = self.uri()?;
        parts.headers = self.headers()?;
        Ok(parts)
    }

    fn uri(&self) -> Result<Uri, AskedError> {
        let named = match self.filled(b"REQUEST_URI") {
            // It may be absolute: `GET http://shop.test/a`.
            Some(target) => Uri::try_from(target).map_err(|_| AskedError::Uri)?,
            None => {
                let mut target = encode(self.get(b"SCRIPT_NAME").unwrap_or_default());
                target += &encode(self.get(b"PATH_INFO").unwrap_or_default());
                if !target.starts_with('/') {
                    target.insert(0, '/');
                }
                if let Some(query) = self.text(b"QUERY_STRING") {
                    target.push('?');
                    target += query;
                }
                Uri::try_from(target).map_err(|_| AskedError::Uri)?
            }
        };
        match named.path_and_query() {
            Some(target) if named.authority().is_some() => Ok(Uri::from(target.clone())),
            Some(_) => Ok(named),
            None => Err(AskedError::Uri),
        }
    }

    fn headers(&self) -> Result<HeaderMap, AskedError> {
        let mut headers = HeaderMap::with_capacity(24);
        let mut lower = Vec::with_capacity(32);
        for (name, value) in self.pairs() {
            let Some(name) = name.strip_prefix(b"HTTP_").filter(|name| !NOT_HEADERS.contains(name)) else {
                continue;
            };
            lower.clear();
            let dashed = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
            lower.extend(name.iter().map(dashed));
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&lower), HeaderValue::from_bytes(value)) {
                headers.insert(name, value);
            }
        }
        if let Some(kind) = self.filled(b"CONTENT_TYPE").and_then(|kind| HeaderValue::from_bytes(kind).ok()) {
            headers.insert(header::CONTENT_TYPE, kind);
        }
        // Caddy says -1 where it does not know.
        if let Some(length) = self.filled(b"CONTENT_LENGTH").filter(|length| *length != b"-1") {
            let length = std::str::from_utf8(length).ok().and_then(|length| length.parse::<u64>().ok());
            headers.insert(header::CONTENT_LENGTH, length.ok_or(AskedError::Length)?.into());
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&str, &str)]) -> Asked {
        let mut params = fastcgi::Params::new();
        for (name, value) in pairs {
            params.push(name.as_bytes(), value.as_bytes());
        }
        Asked::new(params.as_bytes().to_vec())
    }

    #[test]
    fn of_a_name_that_is_told_twice_the_last_one_counts() {
        let asked = asked(&[("A", "1"), ("B", "2"), ("A", "3"), ("A", "")]);
        let told: Vec<_> = asked.pairs().collect();
        assert_eq!(told, [(&b"B"[..], &b"2"[..]), (b"A", b"")]);
        assert_eq!((asked.get(b"A"), asked.filled(b"A")), (Some(&b""[..]), None));
    }

    #[test]
    fn a_request_is_read_as_the_visitor_sent_it() {
        let asked = asked(&[
            ("REQUEST_METHOD", "POST"),
            ("REQUEST_URI", "http://shop.test/a%20b?x=1"),
            ("SERVER_PROTOCOL", "HTTP/2.0"),
            ("HTTP_HOST", "shop.test"),
            ("HTTP_X_OWN", "yes"),
            ("HTTP_CONNECTION", "close"),
            ("HTTP_CONTENT_LENGTH", "7"),
            ("HTTP_PROXY", "http://evil"),
            ("CONTENT_LENGTH", "7"),
            ("CONTENT_TYPE", "text/plain"),
            ("REMOTE_ADDR", "192.0.2.1"),
            ("REMOTE_PORT", "99"),
            ("HTTPS", "on"),
            ("SERVER_PORT", "443"),
        ]);
        let parts = asked.parts().unwrap();
        assert_eq!((parts.method.as_str(), parts.uri.to_string().as_str()), ("POST", "/a%20b?x=1"));
        assert_eq!(parts.version, Version::HTTP_2);
        let mut names: Vec<_> = parts.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "content-type", "host", "x-own"]);
        let client = asked.client();
        assert_eq!(client.remote, Some("192.0.2.1:99".parse().unwrap()));
        assert_eq!((client.https, client.port), (true, 443));
    }

    #[test]
    fn without_a_request_uri_the_path_is_told_by_the_script() {
        let asked = asked(&[
            ("SCRIPT_NAME", "/a.php"),
            ("PATH_INFO", "/b c"),
            ("QUERY_STRING", "q=1"),
            ("HTTPS", "off"),
        ]);
        assert_eq!(asked.parts().unwrap().uri.to_string(), "/a.php/b%20c?q=1");
        assert!(!asked.client().https);
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        for (name, value, why) in [
            ("REQUEST_METHOD", "G T", AskedError::Method),
            ("REQUEST_URI", "/a b", AskedError::Uri),
            ("CONTENT_LENGTH", "-2", AskedError::Length),
        ] {
            assert_eq!(asked(&[(name, value)]).parts().err(), Some(why));
        }
    }
}
