//! Scheme: how the other tool would name the next release, so that it still understands the tree.
//!
//! Capistrano deletes only what is named by 14 digits, and Deployer counts on from the greatest number.

use jiff::{SignedDuration, Timestamp};
use release::{App, ReleaseId};

use super::record::{self, RecordError};
use super::tool::{Tool, is_number, is_stamp};

/// The name of the next release of an adopted app, newer than all of `known`; `None`: it was not adopted, or its
/// tool has no scheme.
pub fn next(app: &App, known: &[ReleaseId], now: Timestamp) -> Result<Option<ReleaseId>, RecordError> {
    let Some(record) = record::read(app)? else { return Ok(None) };
    let latest = std::fs::read_to_string(app.root().join(".dep/latest_release")).unwrap_or_default();
    let name = match record.tool {
        Tool::Capistrano | Tool::Envoyer => Some(stamp(known, now)),
        Tool::Ansistrano => Some(format!("{}Z", stamp(known, now))),
        Tool::Deployer => Some(number(known, latest.trim().parse().unwrap_or_default())),
        Tool::Mina => Some(number(known, 0)),
        Tool::Other => None,
    };
    Ok(name.and_then(|name| ReleaseId::parse(&name).ok()))
}

fn stamp(known: &[ReleaseId], now: Timestamp) -> String {
    const FORM: &str = "%Y%m%d%H%M%S";
    let text = |time: Timestamp| time.strftime(FORM).to_string();
    let stamps = known.iter().map(|id| id.as_str().trim_end_matches('Z')).filter(|id| is_stamp(id));
    let mut next = now;
    if let Some(newest) = stamps.max()
        && text(now).as_str() <= newest
        && let Ok(civil) = jiff::civil::DateTime::strptime(FORM, newest)
        && let Ok(zoned) = civil.to_zoned(jiff::tz::TimeZone::UTC)
    {
        // The clock went back, or two deploys within a second.
        next = zoned.timestamp().checked_add(SignedDuration::from_secs(1)).unwrap_or(now);
    }
    text(next)
}

fn number(known: &[ReleaseId], latest: u32) -> String {
    let numbers = known.iter().map(|id| id.as_str()).filter(|id| is_number(id));
    let greatest = numbers.filter_map(|id| id.parse().ok()).max().unwrap_or(0).max(latest);
    greatest.saturating_add(1).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<ReleaseId> {
        names.iter().map(|name| ReleaseId::parse(name).unwrap()).collect()
    }

    #[test]
    fn the_next_name_is_newer_than_all_there_are() {
        let now: Timestamp = "2026-11-22T10:15:00Z".parse().unwrap();
        assert_eq!(stamp(&ids(&["20251122101500", "x"]), now), "20261122101500");
        assert_eq!(stamp(&ids(&["20261122101500"]), now), "20261122101501");
        assert_eq!(stamp(&ids(&["20271231235959Z"]), now), "20280101000000");
        assert_eq!(number(&ids(&["9", "10", "x"]), 0), "11");
        assert_eq!(number(&ids(&["9"]), 12), "13");
        assert_eq!(number(&[], 0), "1");
    }
}
