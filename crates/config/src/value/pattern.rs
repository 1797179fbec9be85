//! Pattern: a glob on URL paths, compiled when the file is parsed.

use std::fmt;

/// A glob on the URL path, matched against the whole of it.
///
/// `*` stands for any bytes within a segment, `?` for one, `**` for any number of whole segments (`/a/**` also
/// covers `/a/` and `/a`). With a leading `/` it is anchored at the root; without one it is matched against the last
/// segments of the path: `*.css` matches every CSS file, `img/*.png` every PNG in a directory called `img`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    segments: Vec<Segment>,
}

/// What one segment of the path must be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// `**`: any number of segments, none included.
    Any,
    /// Exactly these bytes.
    Exact(Vec<u8>),
    /// `*` followed by these bytes, as in `*.css`: by far the commonest glob, matched without a loop.
    Suffix(Vec<u8>),
    /// Anything with `*` or `?` elsewhere.
    Glob(Vec<u8>),
}

impl Pattern {
    /// Parses a pattern; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        if text.is_empty() {
            return Err("it is empty".into());
        }
        if text.len() > 1024 || text.matches('*').count() > 16 {
            return Err("it is longer than 1024 bytes or has more than 16 stars".into());
        }
        if text.chars().any(char::is_control) || text.contains('%') {
            return Err("paths are decoded before they are matched: write the characters themselves".into());
        }
        let mut segments = Vec::new();
        let anchored = text.strip_prefix('/');
        if anchored.is_none() {
            segments.push(Segment::Any);
        }
        for segment in anchored.unwrap_or(text).split('/') {
            match segment {
                "**" if segments.last() == Some(&Segment::Any) => {}
                "**" => segments.push(Segment::Any),
                "." | ".." => return Err("a request's path never has a `.` or `..` segment".into()),
                _ if segment.contains("**") => return Err("`**` stands for whole segments: `/a/**/b`".into()),
                _ => segments.push(Segment::parse(segment)),
            }
        }
        Ok(Pattern { text: text.to_owned(), segments })
    }

    /// Whether `path` (decoded and normalised, beginning with `/`) is meant. Costs no allocation.
    pub fn matches(&self, path: impl AsRef<[u8]>) -> bool {
        let path = path.as_ref();
        let Some(path) = path.strip_prefix(b"/") else {
            return false;
        };
        segments_match(&self.segments, Some(path))
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl Segment {
    fn parse(text: &str) -> Segment {
        let is_wild = |text: &str| text.contains(['*', '?']);
        match text.strip_prefix('*') {
            _ if !is_wild(text) => Segment::Exact(text.as_bytes().to_vec()),
            Some(suffix) if !is_wild(suffix) => Segment::Suffix(suffix.as_bytes().to_vec()),
            Some(_) | None => Segment::Glob(text.as_bytes().to_vec()),
        }
    }

    fn matches(&self, segment: &[u8]) -> bool {
        match self {
            Segment::Any => true,
            Segment::Exact(bytes) => segment == bytes,
            Segment::Suffix(bytes) => segment.ends_with(bytes),
            Segment::Glob(glob) => glob_matches(glob, segment),
        }
    }
}

/// Matches segment by segment; `rest` is `None` behind the last segment. A `**` is retried at the next segment,
/// and only the latest one: an earlier one can never do better, so the time is at most length times length.
fn segments_match(mut pattern: &[Segment], mut rest: Option<&[u8]>) -> bool {
    let mut retry: Option<(&[Segment], Option<&[u8]>)> = None;
    loop {
        match (pattern.split_first(), rest) {
            (Some((Segment::Any, behind)), _) => {
                retry = Some((behind, rest));
                pattern = behind;
                continue;
            }
            (Some((segment, behind)), Some(path)) => {
                let (head, tail) = first_segment(path);
                if segment.matches(head) {
                    (pattern, rest) = (behind, tail);
                    continue;
                }
            }
            (None, None) => return true,
            (None, Some(_)) | (Some(_), None) => {}
        }
        match retry {
            Some((behind, Some(path))) => {
                let tail = first_segment(path).1;
                retry = Some((behind, tail));
                (pattern, rest) = (behind, tail);
            }
            Some((_, None)) | None => return false,
        }
    }
}

fn first_segment(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], Some(&path[slash + 1..])),
        None => (path, None),
    }
}

/// `*` and `?` within one segment, in the same way: only the latest star is retried.
fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match (glob.get(at), text.get(read)) {
            (Some(b'*'), _) => {
                retry = Some((at + 1, read));
                at += 1;
                continue;
            }
            (Some(b'?'), Some(_)) => {
                (at, read) = (at + 1, read + 1);
                continue;
            }
            (Some(wanted), Some(found)) if wanted == found => {
                (at, read) = (at + 1, read + 1);
                continue;
            }
            (None, None) => return true,
            (Some(_), _) | (None, Some(_)) => {}
        }
        match retry {
            Some((behind, from)) if from < text.len() => {
                retry = Some((behind, from + 1));
                (at, read) = (behind, from + 1);
            }
            Some(_) | None => return false,
        }
    }
}
