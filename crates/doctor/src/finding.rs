//! Finding: what is wrong, where, and how to put it right; and what could not be looked at.

use std::path::PathBuf;

use crate::machine::NoLook;
use crate::source::Span;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong with this very thing, as a sentence without a full stop: names and values, not generalities.
    pub what: String,
    /// Where; `None`: it stands in no file (a running process, a directory).
    pub at: Option<Span>,
    /// Further places that belong to it, each with what it has to do with it.
    pub also: Vec<(String, Span)>,
    /// How sure we are.
    pub sure: Sure,
    /// How to put it right.
    pub fix: Fix,
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sure {
    /// It follows from what was read.
    Certain,
    /// It follows if something that could not be read is as usual.
    Likely,
}

/// How to put a finding right.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fix {
    /// What to do, in a sentence or with the lines to write.
    pub text: String,
    /// The same as changes of files, where it can be said exactly; all of them or none.
    pub edits: Vec<Edit>,
}

/// A change of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Other text in a place.
    Replace {
        /// The place.
        at: Span,
        /// What stands there then.
        with: String,
    },
    /// New lines below the line of a place.
    Below {
        /// The place.
        at: Span,
        /// The lines, with their indentation, without a line break at the end.
        lines: String,
    },
    /// New lines above the line of a place.
    Above {
        /// The place.
        at: Span,
        /// The lines, with their indentation, without a line break at the end.
        lines: String,
    },
    /// The whole line goes.
    Delete {
        /// A place in it.
        at: Span,
    },
}

/// Something that could not be looked at, so that a check can say neither "clean" nor "wrong".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blind {
    /// What could not be looked at: a file, a command, a socket; for files with a place that names it, that too.
    pub what: String,
    /// Why.
    pub why: String,
    /// Where it is named.
    pub at: Option<Span>,
}

impl Finding {
    /// A finding that is certain, at a place.
    pub fn at(at: &Span, what: impl Into<String>, fix: impl Into<Fix>) -> Finding {
        Finding { at: Some(at.clone()), ..Finding::anywhere(what, fix) }
    }

    /// A finding that is certain and stands in no file.
    pub fn anywhere(what: impl Into<String>, fix: impl Into<Fix>) -> Finding {
        Finding { what: what.into(), at: None, also: Vec::new(), sure: Sure::Certain, fix: fix.into() }
    }

    /// Adds a place that belongs to it.
    pub fn also(mut self, why: impl Into<String>, at: &Span) -> Finding {
        self.also.push((why.into(), at.clone()));
        self
    }

    /// Says that it holds only if what could not be read is as usual.
    pub fn likely(self) -> Finding {
        Finding { sure: Sure::Likely, ..self }
    }
}

impl Fix {
    /// Adds a change of a file.
    pub fn edit(mut self, edit: Edit) -> Fix {
        self.edits.push(edit);
        self
    }
}

impl From<&str> for Fix {
    fn from(text: &str) -> Fix {
        Fix { text: text.to_owned(), edits: Vec::new() }
    }
}

impl From<String> for Fix {
    fn from(text: String) -> Fix {
        Fix { text, edits: Vec::new() }
    }
}

impl From<NoLook> for Blind {
    fn from(NoLook { what, why }: NoLook) -> Blind {
        Blind { what, why: why.to_string(), at: None }
    }
}

/// `/srv/shop/current`, as findings name paths.
pub fn told(path: impl Into<PathBuf>) -> String {
    path.into().display().to_string()
}
