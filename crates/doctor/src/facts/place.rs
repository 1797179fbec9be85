//! Place: a directory or file that a server's configuration names, and how it leads to what it means.

use std::path::{Component, Path, PathBuf};

use super::glob;
use super::links::{Flips, Way};
use crate::finding::{Blind, Finding};
use crate::machine::Machine;
use crate::source::Span;

/// Parts of a path that may be placeholders.
const WILD_MAX: usize = 3;

/// A path in a configuration, and how it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The path, as the server takes it.
    pub path: PathBuf,
    /// Where it is written.
    pub at: Span,
    /// How it leads.
    pub way: Way,
    /// Who owns the link that a deploy may flip, and who what it leads to.
    pub owners: Option<(u32, u32)>,
}

/// A place whose way a deploy may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flipping<'a> {
    /// The place.
    pub place: &'a Place,
    /// The link.
    pub link: PathBuf,
    /// Whether nothing is there, and only the name says that it is such a link.
    pub by_name: bool,
}

impl Place {
    /// Looks where a path leads.
    pub fn look(machine: &dyn Machine, path: PathBuf, at: &Span) -> Place {
        let way = Way::follow(machine, &path);
        Place { path, at: at.clone(), owners: owners(machine, &way), way }
    }

    /// Looks where a path with placeholders leads: of all that fits, what a link leads to comes first. One with more
    /// placeholders than anybody needs leads nowhere: to look for all that fits could take for ever.
    pub fn look_like(machine: &dyn Machine, pattern: &Path, at: &Span) -> Place {
        let wild = pattern.components().filter(|part| part.as_os_str().to_str().is_none_or(glob::is_pattern));
        let fits = if wild.count() > WILD_MAX {
            Vec::new()
        } else {
            glob::expand(machine, pattern).unwrap_or_default()
        };
        let mut ways = fits.iter().map(|path| Way::follow(machine, path));
        let way = ways.find(|way| !matches!(way.flips(), Flips::Never));
        let way = way.unwrap_or_else(|| Way::follow(machine, pattern));
        Place { path: pattern.to_owned(), at: at.clone(), owners: owners(machine, &way), way }
    }

    /// The link on its way that a deploy may flip.
    pub fn flipping(&self) -> Option<Flipping<'_>> {
        match self.way.flips() {
            Flips::By(link) => Some(Flipping { place: self, link, by_name: false }),
            Flips::Named(link) => Some(Flipping { place: self, link, by_name: true }),
            Flips::Never | Flips::Blind(_) => None,
        }
    }

    /// The app and the release, if the path names one: `/srv/shop/releases/r1/public`.
    pub fn release(&self) -> Option<(PathBuf, String)> {
        let parts: Vec<Component<'_>> = self.path.components().collect();
        let at = parts.iter().position(|part| part.as_os_str() == "releases")?;
        let release = parts.get(at + 1)?.as_os_str().to_string_lossy().into_owned();
        (!glob::is_pattern(&release)).then(|| (parts[..at].iter().collect(), release))
    }

    /// What could not be seen of its way.
    pub fn blind(&self) -> Option<Blind> {
        match self.way.flips() {
            Flips::Blind(blind) => Some(Blind { at: Some(self.at.clone()), ..blind }),
            Flips::By(_) | Flips::Named(_) | Flips::Never => None,
        }
    }
}

impl Flipping<'_> {
    /// The directory that the link leads to now.
    pub fn release(&self) -> Option<PathBuf> {
        release(&self.place.way, &self.link)
    }

    /// The directory that holds the releases, as far as can be seen; else the usual one beside the link.
    pub fn releases(&self) -> PathBuf {
        let release = self.release();
        let holds = release.as_deref().and_then(Path::parent).map(Path::to_owned);
        holds.unwrap_or_else(|| self.link.with_file_name("releases"))
    }

    /// A finding about it is no more certain than the link is.
    pub fn weighed(&self, finding: Finding) -> Finding {
        if self.by_name { finding.likely() } else { finding }
    }
}

fn release(way: &Way, link: &Path) -> Option<PathBuf> {
    let depth = way.path.strip_prefix(link).ok()?.components().count();
    way.real()?.ancestors().nth(depth).map(Path::to_owned)
}

fn owners(machine: &dyn Machine, way: &Way) -> Option<(u32, u32)> {
    let Flips::By(link) = way.flips() else { return None };
    let release = release(way, &link)?;
    Some((machine.stat(&link).ok()?.uid, machine.stat(&release).ok()?.uid))
}
