//! Directive: one of a configuration whose includes, variables, conditions and macros are resolved.

use std::path::{Path, PathBuf};

use crate::source::Span;

/// A directive, or a section with what it encloses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Its name in lower case, without angle brackets.
    pub name: String,
    /// Its words, unquoted.
    pub words: Vec<Word>,
    /// Where it stands.
    pub at: Span,
    /// What it encloses, if it is a section.
    pub body: Option<Vec<Directive>>,
}

/// A word of a directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its text, without quotes and with variables resolved.
    pub text: String,
    /// Where it stands, if it is written there as it is; else the whole directive.
    pub at: Span,
}

/// A directive with the sections that enclose it, the outermost first.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    /// The directive.
    pub directive: &'a Directive,
    /// The sections around it.
    pub within: Vec<&'a Directive>,
}

impl Directive {
    /// The text of a word; empty, if there are not so many.
    pub fn word(&self, number: usize) -> &str {
        self.words.get(number).map_or("", |word| &word.text)
    }

    /// Whether its first word is this one, whatever the case.
    pub fn says(&self, word: &str) -> bool {
        self.word(0).eq_ignore_ascii_case(word)
    }

    /// What it encloses.
    pub fn body(&self) -> &[Directive] {
        self.body.as_deref().unwrap_or_default()
    }

    /// Whether it is `<Directory>` or one of its kin, with a regular expression.
    pub fn is_regex(&self) -> bool {
        self.name.ends_with("match") || self.word(0) == "~"
    }

    /// The path of a `<Directory>`, or its pattern.
    pub fn dir(&self) -> &str {
        self.word(usize::from(self.word(0) == "~"))
    }
}

impl Seen<'_> {
    /// The innermost `<Directory>` around it.
    pub fn dir(&self) -> Option<&Directive> {
        self.within.iter().rev().find(|section| section.name.starts_with("directory")).copied()
    }

    /// Whether it stands in the server's own context, in no section but those that only ask something.
    pub fn is_servers(&self) -> bool {
        self.within.is_empty()
    }
}

/// All directives of a name, in order, with the sections around them; other servers' sections are not entered.
pub fn seen<'a>(directives: &'a [Directive], name: &str) -> Vec<Seen<'a>> {
    let mut found = Vec::new();
    walk(directives, &mut Vec::new(), &mut |directive, within| {
        if directive.name == name {
            found.push(Seen { directive, within: within.to_vec() });
        }
    });
    found
}

/// Calls back for each directive and section, with the sections around it; `<VirtualHost>` is not entered.
pub fn walk<'a>(
    directives: &'a [Directive],
    within: &mut Vec<&'a Directive>,
    each: &mut impl FnMut(&'a Directive, &[&'a Directive]),
) {
    for directive in directives {
        each(directive, within);
        if let Some(body) = &directive.body
            && directive.name != "virtualhost"
        {
            within.push(directive);
            walk(body, within, each);
            within.pop();
        }
    }
}

/// A path as a directive means it: below the server's root, unless it is absolute.
pub fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path)
}
