//! Standing: which releases of another tool's tree are provably good, by what that tool wrote down.
//!
//! A directory in `releases/` proves nothing: each of these tools leaves half-built ones there. Nor does Deployer's
//! `releases_log`, which is written when a deploy begins. What counts: the link; Capistrano's `revisions.log`, whose
//! lines are written after the flip; and what a person says.

use std::path::Path;
use std::time::{Duration, SystemTime};

use release::history::What;
use release::{Live, ReleaseId};

use super::litter::{Litter, Why};
use super::tool::{self, Tool};

/// One release that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub id: ReleaseId,
    /// What is known of it.
    pub standing: Standing,
    /// Why.
    pub why: String,
    /// When it went live, as far as can be told.
    pub when: SystemTime,
}

/// What is known of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is live.
    Live,
    /// It was live, and nobody rolled back from it.
    Good,
    /// Somebody rolled back from it.
    Bad,
    /// Nothing proves that it was ever whole. It is left unsealed, so nothing rolls back to it.
    Unknown,
}

/// A line of Capistrano's `revisions.log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Deployed { branch: String, id: String },
    RolledBack { id: String },
}

/// What is asked of the tree.
pub(crate) struct Look<'a> {
    pub root: &'a Path,
    pub tool: Tool,
    pub live: &'a Live,
    /// When the link was made.
    pub flipped: SystemTime,
    /// What a person vouches for.
    pub vouched: &'a [ReleaseId],
    pub litter: &'a [Litter],
}

/// What is known of each of these releases, those that were live first, in that order, the live one behind them.
pub(crate) fn standings(look: &Look<'_>, ids: &[ReleaseId]) -> Vec<Found> {
    let log = revisions(look.root);
    let mut order: Vec<ReleaseId> = Vec::new();
    let mut bad: Vec<ReleaseId> = Vec::new();
    for line in &log {
        let (Line::Deployed { id, .. } | Line::RolledBack { id }) = line;
        let Some(id) = ids.iter().find(|known| known.as_str() == id) else { continue };
        match line {
            Line::Deployed { .. } => {}
            Line::RolledBack { .. } => bad.extend(order.last().filter(|left| *left != id).cloned()),
        }
        order.retain(|known| known != id);
        order.push(id.clone());
    }
    // A deploy that the log has last, while the link says otherwise: its flip may have gone astray.
    let deployed_last = matches!(log.last(), Some(Line::Deployed { .. }));
    let doubted = order.last().filter(|last| deployed_last && **last != look.live.id).cloned();
    order.retain(|id| *id != look.live.id);
    let logged = order.clone();
    let new = |id: &&ReleaseId| **id != look.live.id && !logged.contains(id);
    order.splice(0..0, ids.iter().filter(new).cloned());
    let mut found: Vec<Found> = order
        .into_iter()
        .map(|id| {
            let (standing, why) = judge(look, &id, &logged, &bad, doubted.as_ref());
            let when = when(look, &id);
            Found { id, standing, why, when }
        })
        .collect();
    found.sort_by_key(|release| release.standing == Standing::Good || release.standing == Standing::Bad);
    let why = "the link names it".to_owned();
    found.push(Found { id: look.live.id.clone(), standing: Standing::Live, why, when: look.flipped });
    // History is told in order, whatever names and clocks say.
    let mut last = look.flipped;
    for release in found.iter_mut().rev() {
        release.when = release.when.min(last);
        last = release.when;
    }
    found
}

fn judge(
    look: &Look<'_>,
    id: &ReleaseId,
    logged: &[ReleaseId],
    bad: &[ReleaseId],
    doubted: Option<&ReleaseId>,
) -> (Standing, String) {
    let astray = look.litter.iter().any(|litter| litter.why == Why::Astray && litter.name() == id.as_str());
    if look.vouched.contains(id) {
        return (Standing::Good, "you say so".into());
    }
    if look.root.join("releases").join(id).join("BAD_RELEASE").exists() {
        return (Standing::Bad, "it has a file BAD_RELEASE: Deployer rolled back from it".into());
    }
    if bad.contains(id) {
        return (Standing::Bad, "revisions.log says that it was rolled back from".into());
    }
    if logged.contains(id) {
        if astray || doubted == Some(id) {
            return (
                Standing::Unknown,
                "revisions.log says that it was deployed, but the link never led to it".into(),
            );
        }
        return (Standing::Good, "revisions.log says that it was live".into());
    }
    let why = match look.tool {
        Tool::Capistrano => "revisions.log does not know it: its deploy did not end",
        Tool::Deployer => "Deployer notes a release when its deploy begins, so that proves nothing",
        Tool::Ansistrano | Tool::Mina | Tool::Envoyer | Tool::Other => "nothing proves that it was ever live",
    };
    (Standing::Unknown, why.into())
}

impl Standing {
    /// What history has to say of it, beside that it was live.
    pub fn verdict(self) -> Option<What> {
        match self {
            Standing::Good => Some(What::Good),
            Standing::Bad => Some(What::Bad),
            Standing::Live | Standing::Unknown => None,
        }
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Live => "live",
            Standing::Good => "good",
            Standing::Bad => "bad",
            Standing::Unknown => "unknown",
        }
    }
}

/// When a release was made: what its name says, else when its directory was last changed.
fn when(look: &Look<'_>, id: &ReleaseId) -> SystemTime {
    let stamp = id.as_str().trim_end_matches('Z');
    let named = tool::is_stamp(stamp)
        .then(|| jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", stamp).ok())
        .flatten()
        .and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC).ok())
        .and_then(|zoned| u64::try_from(zoned.timestamp().as_second()).ok())
        .map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    let dir = look.root.join("releases").join(id);
    named.or_else(|| dir.metadata().and_then(|meta| meta.modified()).ok()).unwrap_or(look.flipped)
}

/// The lines of `revisions.log` that are understood, oldest first; none if there is no such file.
pub(crate) fn revisions(root: &Path) -> Vec<Line> {
    let text = std::fs::read(root.join("revisions.log")).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter_map(line).collect()
}

/// `Branch main (at <sha>) deployed as release <id> by <user>`, or `<user> rolled back to release <id>`.
fn line(text: &str) -> Option<Line> {
    if let Some((_, id)) = text.split_once(" rolled back to release ") {
        return Some(Line::RolledBack { id: id.trim().to_owned() });
    }
    let (branch, rest) = text.strip_prefix("Branch ")?.split_once(" (at ")?;
    let (_, rest) = rest.split_once(") deployed as release ")?;
    let id = rest.split(' ').next()?.to_owned();
    Some(Line::Deployed { branch: branch.to_owned(), id })
}
