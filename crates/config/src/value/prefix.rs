//! Prefix: a path and everything below it, by whole segments.

use std::fmt;

/// A URL path prefix: `/admin` covers `/admin`, `/admin/` and `/admin/x`, not `/administrator`; `/` covers all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// Without its trailing slash; empty for `/`.
    path: String,
}

impl Prefix {
    /// Parses a path that begins with `/` and is plain: no glob, no `..`, no `//`, not percent-encoded.
    pub fn parse(text: &str) -> Result<Prefix, String> {
        if !text.starts_with('/') {
            return Err("it must begin with `/`".into());
        }
        if text.contains('*') {
            return Err("it covers everything below it already: write it without `*`".into());
        }
        if text.contains(['?', '#', '%', '\\']) || text.chars().any(char::is_control) {
            return Err("it is a plain path, decoded, without query".into());
        }
        let path = text.strip_suffix('/').unwrap_or(text);
        if path.split('/').skip(1).any(|segment| matches!(segment, "" | "." | "..")) {
            return Err("it has an empty, `.` or `..` segment".into());
        }
        Ok(Prefix { path: path.to_owned() })
    }

    /// Whether `path` (decoded and normalised, as the file is looked up) is the prefix or lies below it.
    pub fn covers(&self, path: impl AsRef<[u8]>) -> bool {
        self.rest(path.as_ref()).is_some()
    }

    /// What of `path` comes behind the prefix: empty, or beginning with `/`.
    pub fn rest<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        path.strip_prefix(self.path.as_bytes()).filter(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    /// The path with its leading slash and without a trailing one (`/` for all).
    pub fn as_str(&self) -> &str {
        if self.path.is_empty() { "/" } else { &self.path }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}
