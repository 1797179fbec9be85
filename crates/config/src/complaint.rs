//! ConfigError: a complaint about a cutover.toml: where, what, and how to put it right.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What is wrong with a configuration file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read at all.
    #[error("cannot read {}: {source}", file.display())]
    Unreadable {
        /// The file that was tried.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something at one place of a file is wrong.
    #[error(transparent)]
    At(Box<Complaint>),
    /// Two places contradict each other, in one file or in two.
    #[error("{what}\n  first:  {first}\n  second: {second}\n  fix: {fix}")]
    Clash {
        /// What is claimed twice.
        what: String,
        /// The file that claims it first, with its line where that is known.
        first: String,
        /// The file that claims it again.
        second: String,
        /// What to do about it.
        fix: String,
    },
}

/// One mistake at one place of one file. Displays as `file:line:column: what`, the line itself, and the fix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Complaint {
    /// The file, as it was named to the parser.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub fix: String,
    /// The line as it stands in the file.
    pub excerpt: String,
    /// How many characters of the line are meant, from `column` on; at least 1.
    pub width: usize,
}

impl fmt::Display for Complaint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Complaint { file, line, column, what, fix, excerpt, width } = self;
        let number = line.to_string();
        writeln!(out, "{}:{line}:{column}: {what}", file.display())?;
        writeln!(out, "  {number} | {excerpt}")?;
        write!(
            out,
            "  {:pad$} | {:skip$}{}",
            "",
            "",
            "^".repeat(*width),
            pad = number.len(),
            skip = column - 1
        )?;
        if !fix.is_empty() {
            write!(out, "\n  fix: {fix}")?;
        }
        Ok(())
    }
}

/// A file's text with its name: what turns a byte range into a complaint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'t> {
    pub(crate) file: &'t Path,
    pub(crate) text: &'t str,
}

impl Source<'_> {
    /// Complains about the bytes in `span`; a span outside the text points at the text's end.
    pub(crate) fn complain(
        &self,
        span: Range<usize>,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> ConfigError {
        let start = floor(self.text, span.start);
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |length| start + length);
        let end = floor(self.text, span.end).clamp(start, line_end);
        // Tabs and control characters would move the marker or the terminal: one space each.
        let excerpt = self.text[line_start..line_end].trim_end_matches('\r');
        let excerpt = excerpt.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        ConfigError::At(Box::new(Complaint {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            what: what.into(),
            fix: fix.into(),
            excerpt,
            width: self.text[start..end].trim_end().chars().count().max(1),
        }))
    }
}

/// The last character boundary at or before `index`.
fn floor(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}
