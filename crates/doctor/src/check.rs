//! Check: one thing that may be wrong, as a function of the facts; and its verdict.

use std::collections::BTreeSet;
use std::fmt;

use crate::facts::Facts;
use crate::finding::{Blind, Finding};

/// One thing that may be wrong. Each is a `pub const CHECK` in a file of its own below `checks/`.
pub struct Check {
    /// Its name for ever: a letter for its area and two digits. N nginx, A Apache, P PHP, F PHP-FPM, C other servers,
    /// D the deploy and its disk.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// What happens to a visitor, in a sentence.
    pub visitor: &'static str,
    /// Its page: the evidence, and how to put it right.
    pub page: &'static str,
    /// Judges. Pure: the same facts, the same verdict.
    pub look: fn(&Facts) -> Verdict,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Goes wrong under circumstances.
    Warning,
    /// Goes wrong.
    Error,
}

/// What a check says: wrong here and there; could not look there. Neither: clean.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What could not be looked at, though this check wanted to.
    pub blind: Vec<Blind>,
}

impl Verdict {
    /// Nothing is wrong, as far as could be seen.
    pub fn clean() -> Verdict {
        Verdict::default()
    }

    /// Adds what was not seen.
    pub fn or_blind(mut self, blind: impl IntoIterator<Item = Blind>) -> Verdict {
        self.blind.extend(blind);
        self
    }
}

/// The same at the same place is told once: a hundred pools share one php.ini.
impl FromIterator<Finding> for Verdict {
    fn from_iter<T: IntoIterator<Item = Finding>>(findings: T) -> Verdict {
        let mut told = BTreeSet::new();
        let new = |finding: &Finding| told.insert((finding.what.clone(), finding.at.clone()));
        Verdict { findings: findings.into_iter().filter(new).collect(), blind: Vec::new() }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Check({})", self.id)
    }
}
