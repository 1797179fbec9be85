//! Lead: where a value leads: through the link each time anew, resolved, pinned for the whole request, or elsewhere.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::Nginx;
use super::level::Id;
use super::parse::Directive;
use super::value::{self, Part};
use crate::facts::links::Flips;
use crate::finding::Blind;

/// Where a value leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lead {
    /// Through a link that a deploy flips, looked up by whoever opens a file, each time.
    Link(Through),
    /// Through such a link, but resolved whenever the value is made (`$realpath_root`).
    Resolved,
    /// Through such a link, resolved once in a request and kept, in this variable.
    Pinned(String),
    /// Through no link that flips.
    Fixed,
    /// It cannot be said, or only at the time of a request.
    Unknown(Blind),
}

/// A way through a link that a deploy flips.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Through {
    /// The path as it is configured.
    pub path: PathBuf,
    /// The link.
    pub link: PathBuf,
    /// It was seen; else its name alone speaks for it.
    pub seen: bool,
}

/// Variables in variables, at most.
const DEPTH_MAX: usize = 12;

/// How far one value is followed through variables: so deep, and so many values in all. Maps of maps multiply: twelve of
/// ten entries each have a million million ways through them.
#[derive(Debug)]
pub struct Steps {
    depth: usize,
    left: Rc<Cell<usize>>,
}

impl Steps {
    /// Enough to go through each map twice.
    pub fn of(nginx: &Nginx) -> Steps {
        let entries: usize = nginx.maps.values().map(|map| 1 + map.inner().len()).sum();
        Steps { depth: DEPTH_MAX, left: Rc::new(Cell::new(1_000 + 2 * entries)) }
    }

    /// One step further in; `None`: far enough.
    pub fn further(&self) -> Option<Steps> {
        let (depth, left) = (self.depth.checked_sub(1)?, self.left.get().checked_sub(1)?);
        self.left.set(left);
        Some(Steps { depth, left: Rc::clone(&self.left) })
    }
}

impl Nginx {
    /// Where the root of a level leads.
    pub fn root_leads(&self, id: Id) -> Lead {
        self.root_leads_within(id, &Steps::of(self))
    }

    /// Where a value leads that is made at a level.
    pub fn leads(&self, id: Id, value: &str) -> Lead {
        self.leads_within(id, value, &Steps::of(self))
    }

    fn root_leads_within(&self, id: Id, steps: &Steps) -> Lead {
        match self.levels.root(id) {
            Some((level, root)) => {
                let value = root.arg(0);
                if value.starts_with(['/', '$']) {
                    self.leads_within(level.id, value, steps)
                } else {
                    let path = self.prefix.join(value);
                    self.way_leads(&path)
                }
            }
            None => self.way_leads(&self.prefix.join("html")),
        }
    }

    fn leads_within(&self, id: Id, value: &str, steps: &Steps) -> Lead {
        let unknown = |why: &str| Lead::Unknown(Blind { what: value.to_owned(), why: why.into(), at: None });
        let Some(steps) = &steps.further() else {
            return unknown("its variables lead in a circle, or too far");
        };
        if let Some((path, whole)) = value::path(value) {
            let lead = self.way_leads(Path::new(path));
            if whole || matches!(lead, Lead::Link(_)) {
                return lead;
            }
            return match named(value) {
                Some(through) => Lead::Link(through),
                None => unknown("is made up at the time of a request"),
            };
        }
        match value::parts(value).first() {
            Some(Part::Var("document_root" | "request_filename")) => self.root_leads_within(id, steps),
            Some(Part::Var("realpath_root")) => match self.root_leads_within(id, steps) {
                // A pinned root is resolved already: resolved again it is the same.
                lead @ (Lead::Pinned(_) | Lead::Fixed) => lead,
                Lead::Link(_) | Lead::Resolved | Lead::Unknown(_) => Lead::Resolved,
            },
            Some(Part::Var(name)) => self.variable_leads(id, name, steps),
            Some(Part::Text(_)) | None => unknown("is no path"),
        }
    }

    fn variable_leads(&self, id: Id, name: &str, steps: &Steps) -> Lead {
        if let Some((level, set)) = self.set(id, name) {
            return match self.leads_within(level, set.arg(1), steps) {
                // `set` keeps what it has made.
                Lead::Resolved | Lead::Pinned(_) => Lead::Pinned(name.to_owned()),
                lead @ (Lead::Link(_) | Lead::Fixed | Lead::Unknown(_)) => lead,
            };
        }
        let Some(map) = self.maps.get(name) else {
            let why = "is known at the time of a request only".into();
            return Lead::Unknown(Blind { what: format!("${name}"), why, at: None });
        };
        let leads = map_values(map).map(|value| self.leads_within(id, value, steps));
        // A `volatile` map is asked each time anew, like what it is made of.
        let kept = !is_volatile(map);
        leads
            .map(|lead| match lead {
                Lead::Resolved if kept => Lead::Pinned(name.to_owned()),
                lead
                @ (Lead::Link(_) | Lead::Resolved | Lead::Pinned(_) | Lead::Fixed | Lead::Unknown(_)) => lead,
            })
            .max_by_key(|lead| match lead {
                Lead::Fixed => 0,
                Lead::Unknown(_) => 1,
                Lead::Pinned(_) => 2,
                Lead::Resolved => 3,
                Lead::Link(_) => 4,
            })
            .unwrap_or(Lead::Fixed)
    }

    /// The `set` of a variable that holds at a level, and its level; those in an `if` do not count.
    pub fn set(&self, id: Id, name: &str) -> Option<(Id, &Directive)> {
        self.levels.outwards(id).find_map(|level| {
            let of = |set: &&Directive| set.arg(0).strip_prefix('$') == Some(name);
            Some((level.id, level.all("set").filter(of).last()?))
        })
    }

    /// Whether a value differs between releases: a variable in it comes from where the link leads.
    pub fn names_release(&self, id: Id, value: &str) -> bool {
        self.names_release_within(id, value, &Steps::of(self))
    }

    fn names_release_within(&self, id: Id, value: &str, steps: &Steps) -> bool {
        let Some(steps) = &steps.further() else { return false };
        value::variables(value).any(|name| {
            let set =
                self.set(id, name).is_some_and(|(at, set)| self.names_release_within(at, set.arg(1), steps));
            let map = self.maps.get(name).is_some_and(|map| {
                self.names_release_within(id, map.arg(0), steps)
                    || map_values(map).any(|value| self.names_release_within(id, value, steps))
            });
            name == "realpath_root" || set || map
        })
    }

    fn way_leads(&self, path: &Path) -> Lead {
        let Some(way) = self.ways.get(path) else {
            let what = path.display().to_string();
            return Lead::Unknown(Blind { what, why: "was not looked at".into(), at: None });
        };
        match way.flips() {
            Flips::Never => Lead::Fixed,
            Flips::By(link) => Lead::Link(Through { path: path.to_owned(), link, seen: true }),
            Flips::Named(link) => Lead::Link(Through { path: path.to_owned(), link, seen: false }),
            Flips::Blind(blind) => Lead::Unknown(blind),
        }
    }
}

/// The values that a map may give.
pub fn map_values(map: &Directive) -> impl Iterator<Item = &str> {
    map.inner().iter().filter(|entry| !entry.args.is_empty()).map(|entry| entry.arg(0))
}

/// Whether a map is asked each time anew.
pub fn is_volatile(map: &Directive) -> bool {
    map.inner().iter().any(|entry| entry.is("volatile") && entry.args.is_empty())
}

/// `/srv/$host/current/public`: nobody can look there, but the name speaks for itself.
fn named(value: &str) -> Option<Through> {
    let at = value.find("/current")?;
    let rest = &value[at + "/current".len()..];
    (rest.is_empty() || rest.starts_with('/')).then(|| Through {
        path: value.into(),
        link: value[..at + "/current".len()].into(),
        seen: false,
    })
}
