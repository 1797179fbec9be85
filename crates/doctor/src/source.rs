//! Source: a file's text, and the places in it that facts and findings point at.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its path as it was asked for.
    pub path: Arc<Path>,
    /// Its text.
    pub text: Arc<str>,
    /// The byte at which each line begins.
    lines: Arc<[u32]>,
}

/// A line of a file, without its line break. It shares the file's text: a file may be one line of megabytes with a place
/// in each of its words, or a million empty lines.
#[derive(Clone)]
pub struct Line {
    whole: Arc<str>,
    bytes: Range<usize>,
}

/// A place in a file: part of one line, with the line itself, so that it can be shown without the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub file: Arc<Path>,
    /// Line, from 1.
    pub line: usize,
    /// Where in the line it begins, in bytes from 0.
    pub from: usize,
    /// Where in the line it ends, in bytes; at least `from`.
    pub to: usize,
    /// The whole line, without its line break.
    pub text: Line,
}

/// All files that were read, by path.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: BTreeMap<Arc<Path>, Source>,
    bytes: usize,
}

/// Bytes of all files together that are kept: thousands of sites' configuration.
const BYTES_MAX: usize = 128 << 20;

impl Source {
    /// A file's text.
    pub fn new(path: &Path, text: impl Into<Arc<str>>) -> Source {
        let text: Arc<str> = text.into();
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        // No file that is read reaches 4 GiB (`machine::FILE_MAX`).
        let lines = std::iter::once(0).chain(breaks).filter_map(|at| u32::try_from(at).ok()).collect();
        Source { path: path.into(), text, lines }
    }

    /// The place of these bytes; what reaches beyond the first line is cut there.
    pub fn span(&self, bytes: Range<usize>) -> Span {
        let at = self.lines.partition_point(|begin| *begin as usize <= bytes.start).saturating_sub(1);
        let line = self.at(at);
        let begin = line.bytes.start;
        // A place cuts no character in two, whoever counted.
        let from = line.floor_char_boundary(bytes.start - begin);
        let to = line.ceil_char_boundary(bytes.end.saturating_sub(begin)).max(from);
        Span { file: Arc::clone(&self.path), line: at + 1, from, to, text: line }
    }

    /// The byte at which a line begins, from 1; `None`: there are fewer lines.
    pub fn begins(&self, number: usize) -> Option<usize> {
        self.lines.get(number.checked_sub(1)?).map(|begin| *begin as usize)
    }

    /// The place of a whole line, from 1.
    pub fn line(&self, number: usize) -> Span {
        let line = self.at(number.clamp(1, self.lines.len()) - 1);
        self.span(line.bytes)
    }

    /// A line, from 0.
    fn at(&self, number: usize) -> Line {
        let begin = self.lines[number] as usize;
        let end = self.lines.get(number + 1).map_or(self.text.len(), |next| *next as usize - 1);
        let text = &self.text[begin..end];
        let text = text.strip_suffix('\r').unwrap_or(text);
        Line { whole: Arc::clone(&self.text), bytes: begin..begin + text.len() }
    }
}

impl std::ops::Deref for Line {
    type Target = str;

    fn deref(&self) -> &str {
        &self.whole[self.bytes.clone()]
    }
}

impl PartialEq for Line {
    fn eq(&self, other: &Line) -> bool {
        // Places of one line are compared often, and the line may be long.
        (Arc::ptr_eq(&self.whole, &other.whole) && self.bytes == other.bytes) || **self == **other
    }
}

impl Eq for Line {}

impl PartialOrd for Line {
    fn partial_cmp(&self, other: &Line) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Line {
    fn cmp(&self, other: &Line) -> std::cmp::Ordering {
        if self == other { std::cmp::Ordering::Equal } else { (**self).cmp(&**other) }
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl Span {
    /// The text that is meant.
    pub fn meant(&self) -> &str {
        self.text.get(self.from..self.to).unwrap_or(&self.text)
    }
}

impl Sources {
    /// Adds a file.
    pub fn add(&mut self, source: Source) {
        let bytes = source.text.len();
        let before = self.files.insert(Arc::clone(&source.path), source);
        self.bytes = self.bytes + bytes - before.map_or(0, |before| before.text.len());
    }

    /// Whether a file of so many bytes may be kept too.
    pub fn has_room_for(&self, bytes: usize) -> bool {
        self.bytes + bytes <= BYTES_MAX
    }

    /// The file, if it was read.
    pub fn get(&self, path: &Path) -> Option<&Source> {
        self.files.get(path)
    }

    /// The paths of all files.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.files.keys().map(|path| path.to_path_buf())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_knows_its_line() {
        let source = Source::new(Path::new("/etc/x"), "one\ntwo three\r\n\nfour");
        let span = source.span(8..13);
        assert_eq!((span.line, span.from, &*span.text, span.meant()), (2, 4, "two three", "three"));
        assert_eq!(source.line(4).meant(), "four");
        assert_eq!(source.span(13..14).meant(), "");
        assert_eq!(source.span(0..19).meant(), "one");
        assert_eq!(source.span(99..120).line, 4);
        assert_eq!(Source::new(Path::new("/etc/x"), "aé").span(2..3).meant(), "é");
    }
}
