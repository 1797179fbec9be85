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
    /// The byte at which each line begins, and its text without the line break: places of one line share it, however
    /// long it is.
    lines: Arc<[(usize, Arc<str>)]>,
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
    pub text: Arc<str>,
}

/// All files that were read, by path.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: BTreeMap<Arc<Path>, Source>,
}

impl Source {
    /// A file's text.
    pub fn new(path: &Path, text: impl Into<Arc<str>>) -> Source {
        let text: Arc<str> = text.into();
        let mut begin = 0;
        let lines = text.split('\n').map(|line| {
            let at = begin;
            begin += line.len() + 1;
            (at, line.strip_suffix('\r').unwrap_or(line).into())
        });
        let lines = lines.collect();
        Source { path: path.into(), text, lines }
    }

    /// The place of these bytes; what reaches beyond the first line is cut there.
    pub fn span(&self, bytes: Range<usize>) -> Span {
        let at = self.lines.partition_point(|(begin, _)| *begin <= bytes.start).saturating_sub(1);
        let (begin, line) = &self.lines[at];
        // A place cuts no character in two, whoever counted.
        let from = line.floor_char_boundary(bytes.start - begin);
        let to = line.ceil_char_boundary(bytes.end.saturating_sub(*begin)).max(from);
        Span { file: Arc::clone(&self.path), line: at + 1, from, to, text: Arc::clone(line) }
    }

    /// The byte at which a line begins, from 1; `None`: there are fewer lines.
    pub fn begins(&self, number: usize) -> Option<usize> {
        self.lines.get(number.checked_sub(1)?).map(|(begin, _)| *begin)
    }

    /// The place of a whole line, from 1.
    pub fn line(&self, number: usize) -> Span {
        let at = number.clamp(1, self.lines.len()) - 1;
        let (begin, line) = &self.lines[at];
        self.span(*begin..begin + line.len())
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
        self.files.insert(Arc::clone(&source.path), source);
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
