//! UrlPath: the path of a request, decoded and normalised once.

use std::borrow::Cow;

/// The longest path, in bytes as sent.
pub const MAX: usize = 4096;

/// A decoded path. It begins with `/`; has no NUL, no `.` or `..` segment and no empty one but perhaps the last
/// (`//` is collapsed, as nginx's `merge_slashes` does). The bytes need not be UTF-8. A backslash is a byte like
/// any other. All rules about paths (files, auth, redirects, cache) look at this and never at the text sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UrlPath<'a> {
    bytes: Cow<'a, [u8]>,
}

/// Why a path was refused before anything was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with `/`.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// It is longer than [`MAX`].
    #[error("the path is longer than {MAX} bytes")]
    TooLong,
    /// A `%` without two hexadecimal digits behind it.
    #[error("a % in the path is not followed by two hexadecimal digits")]
    Escape,
    /// `%00`: C programs behind us would see a shorter path.
    #[error("the path contains a zero byte")]
    Nul,
    /// `%2f`: two parties would see different segments.
    #[error("the path contains an encoded slash")]
    EncodedSlash,
    /// A segment `.` or `..`, in whatever spelling: clients resolve these before they send (RFC 3986, 5.2.4).
    #[error("the path contains a dot segment")]
    DotSegment,
}

impl PathError {
    /// The status that tells it.
    pub fn status(self) -> u16 {
        match self {
            PathError::TooLong => 414,
            PathError::NotAbsolute
            | PathError::Escape
            | PathError::Nul
            | PathError::EncodedSlash
            | PathError::DotSegment => 400,
        }
    }
}

impl<'a> UrlPath<'a> {
    /// Takes the path of a request target, without its query. Borrows where nothing is to be decoded.
    pub fn parse(raw: &'a str) -> Result<Self, PathError> {
        let raw = raw.as_bytes();
        if raw.len() > MAX {
            return Err(PathError::TooLong);
        }
        if raw.first() != Some(&b'/') {
            return Err(PathError::NotAbsolute);
        }
        if is_plain(raw) {
            return Ok(Self { bytes: Cow::Borrowed(raw) });
        }
        normalise(&decode(raw)?).map(|bytes| Self { bytes: Cow::Owned(bytes) })
    }

    /// Takes a path that was decoded already. Its rules are the same.
    pub fn decoded(path: &[u8]) -> Result<UrlPath<'static>, PathError> {
        if path.len() > MAX {
            return Err(PathError::TooLong);
        }
        if path.first() != Some(&b'/') {
            return Err(PathError::NotAbsolute);
        }
        if path.contains(&0) {
            return Err(PathError::Nul);
        }
        normalise(path).map(|bytes| UrlPath { bytes: Cow::Owned(bytes) })
    }

    /// The same path, borrowed from nothing.
    pub fn into_owned(self) -> UrlPath<'static> {
        UrlPath { bytes: Cow::Owned(self.bytes.into_owned()) }
    }

    /// The decoded bytes, beginning with `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The path for people: what is not UTF-8 is replaced.
    pub fn to_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    /// Ends with a slash: names a directory. `/` does.
    pub fn names_directory(&self) -> bool {
        self.bytes.ends_with(b"/")
    }

    /// Without the slashes at both ends; empty for `/`.
    pub fn relative(&self) -> &[u8] {
        let bytes = self.bytes.strip_prefix(b"/").unwrap_or(&self.bytes);
        bytes.strip_suffix(b"/").unwrap_or(bytes)
    }

    /// A segment begins with a dot: `.git`, `.env`, `.htaccess`. `/.well-known/` (RFC 8615) is not hidden.
    pub fn is_hidden(&self) -> bool {
        let relative = self.relative();
        // Most paths have no `/.` at all.
        if !relative.starts_with(b".") && !relative.windows(2).any(|pair| pair == b"/.") {
            return false;
        }
        relative
            .split(|byte| *byte == b'/')
            .enumerate()
            .any(|(at, segment)| segment.starts_with(b".") && !(at == 0 && segment == b".well-known"))
    }

    /// Percent-encoded again, fit for a `Location` header.
    pub fn encoded(&self) -> String {
        encode(&self.bytes)
    }
}

/// Percent-encodes everything but unreserved characters and slashes. A backslash too: browsers read it as a slash.
pub fn encode(path: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = String::with_capacity(path.len() + 8);
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    text
}

/// Nothing to decode, collapse or refuse: the usual path, seen in one pass.
fn is_plain(raw: &[u8]) -> bool {
    let mut after_slash = false;
    for &byte in raw {
        match byte {
            b'%' | 0 => return false,
            b'/' if after_slash => return false,
            b'.' if after_slash => return false,
            b'/' => after_slash = true,
            1.. => after_slash = false,
        }
    }
    true
}

fn decode(raw: &[u8]) -> Result<Vec<u8>, PathError> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            if byte == 0 {
                return Err(PathError::Nul);
            }
            decoded.push(byte);
            continue;
        }
        let [high, low, behind @ ..] = rest else { return Err(PathError::Escape) };
        let (Some(high), Some(low)) = (digit(*high), digit(*low)) else { return Err(PathError::Escape) };
        rest = behind;
        match high << 4 | low {
            0 => return Err(PathError::Nul),
            b'/' => return Err(PathError::EncodedSlash),
            byte => decoded.push(byte),
        }
    }
    Ok(decoded)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn normalise(decoded: &[u8]) -> Result<Vec<u8>, PathError> {
    let mut bytes = Vec::with_capacity(decoded.len());
    for segment in decoded.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()) {
        if segment == b"." || segment == b".." {
            return Err(PathError::DotSegment);
        }
        bytes.push(b'/');
        bytes.extend_from_slice(segment);
    }
    if decoded.ends_with(b"/") {
        bytes.push(b'/');
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(raw: &str) -> Result<String, PathError> {
        UrlPath::parse(raw).map(|path| path.to_text().into_owned())
    }

    #[test]
    fn a_path_is_decoded_once() {
        for (raw, decoded) in [
            ("/", "/"),
            ("/a/b.css", "/a/b.css"),
            ("/a/b/", "/a/b/"),
            ("/a%20b", "/a b"),
            ("/%41", "/A"),
            ("/100%25", "/100%"),
            ("/%2541", "/%41"),
            ("/%252e%252e/x", "/%2e%2e/x"),
            ("/%C3%A9", "/é"),
            ("/a//b///", "/a/b/"),
            ("//evil.com/x", "/evil.com/x"),
            ("/..a/...", "/..a/..."),
            ("/a\\b%5c", "/a\\b\\"),
            ("/a;b=c", "/a;b=c"),
        ] {
            assert_eq!(path(raw), Ok(decoded.to_owned()), "{raw}");
        }
    }

    #[test]
    fn what_two_readers_could_read_in_two_ways_is_refused() {
        for (raw, why) in [
            ("", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
            ("a/b", PathError::NotAbsolute),
            ("/a%00", PathError::Nul),
            ("/a\0", PathError::Nul),
            ("/a%2fb", PathError::EncodedSlash),
            ("/a%2F..%2Fb", PathError::EncodedSlash),
            ("/%", PathError::Escape),
            ("/%4", PathError::Escape),
            ("/%zz", PathError::Escape),
            ("/%+1", PathError::Escape),
            ("/.", PathError::DotSegment),
            ("/..", PathError::DotSegment),
            ("/a/../b", PathError::DotSegment),
            ("/a/./b", PathError::DotSegment),
            ("/%2e%2e/b", PathError::DotSegment),
            ("/.%2E/b", PathError::DotSegment),
            ("/a/%2e", PathError::DotSegment),
        ] {
            assert_eq!(path(raw), Err(why), "{raw}");
        }
        assert!(path(&format!("/{}", "x".repeat(MAX - 1))).is_ok());
        assert_eq!(path(&format!("/{}", "x".repeat(MAX))), Err(PathError::TooLong));
    }

    #[test]
    fn dotfiles_are_hidden_and_well_known_is_not() {
        let hidden = |raw| UrlPath::parse(raw).map(|path| path.is_hidden());
        for raw in
            ["/.git", "/.git/config", "/a/.env", "/.env", "/%2egit/", "/.well-known/.env", "/a/.well-known/x"]
        {
            assert_eq!(hidden(raw), Ok(true), "{raw}");
        }
        for raw in ["/", "/a.b/c.d", "/.well-known/acme-challenge/x", "/a./b"] {
            assert_eq!(hidden(raw), Ok(false), "{raw}");
        }
    }

    #[test]
    fn an_encoded_path_cannot_lead_a_browser_elsewhere() {
        for (raw, encoded) in [
            ("/a b", "/a%20b"),
            ("//evil.com", "/evil.com"),
            ("/\\evil.com", "/%5Cevil.com"),
            ("/a\r\nb", "/a%0D%0Ab"),
        ] {
            assert_eq!(UrlPath::parse(raw).map(|path| path.encoded()), Ok(encoded.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn no_path_panics_and_every_accepted_one_is_normal(raw in "/?([a-z.%/\\\\0-9]|\\PC|%2[eEfF5]){0,40}") {
            if let Ok(path) = UrlPath::parse(&raw) {
                let bytes = path.as_bytes();
                prop_assert!(bytes.starts_with(b"/") && !bytes.contains(&0));
                prop_assert!(!bytes.windows(2).any(|pair| pair == b"//"));
                prop_assert!(!bytes.split(|b| *b == b'/').any(|s| s == b"." || s == b".."));
                let encoded = path.encoded();
                let again = UrlPath::parse(&encoded).unwrap();
                prop_assert_eq!(again.as_bytes(), bytes);
            }
        }
    }
}
