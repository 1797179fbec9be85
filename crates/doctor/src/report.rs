//! Report: what all checks said of a machine, and what nobody could look at.

use std::collections::BTreeSet;

use crate::check::{Check, Severity, Verdict};
use crate::checks;
use crate::facts::Facts;
use crate::finding::{Blind, Finding};
use crate::mute::Muted;
use crate::sizing::{self, Sizing};

/// What is told.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Each check with its verdict, by id.
    pub judged: Vec<(&'static Check, Verdict)>,
    /// What could not be looked at, each thing once.
    pub blind: Vec<Blind>,
    /// What running PHP-FPMs need.
    pub sizings: Vec<Sizing>,
    /// What is known and accepted.
    pub muted: Vec<Muted>,
}

impl Report {
    /// Asks every check.
    pub fn of(facts: &Facts) -> Report {
        let judged: Vec<_> = checks::all().map(|check| (check, (check.look)(facts))).collect();
        let blind = judged.iter().flat_map(|(_, verdict)| &verdict.blind).chain(&facts.blind);
        let blind: BTreeSet<Blind> = blind.cloned().collect();
        Report { judged, blind: blind.into_iter().collect(), sizings: sizing::of(facts), muted: Vec::new() }
    }

    /// All findings, each with its check.
    pub fn findings(&self) -> impl Iterator<Item = (&'static Check, &Finding)> {
        self.judged
            .iter()
            .flat_map(|(check, verdict)| verdict.findings.iter().map(move |finding| (*check, finding)))
    }

    /// How bad the worst finding is.
    pub fn worst(&self) -> Option<Severity> {
        self.findings().map(|(check, _)| check.severity).max()
    }
}
