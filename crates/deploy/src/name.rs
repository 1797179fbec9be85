//! Name: the id of a new release, `YYYYMMDDTHHMMSSZ-` and six hex digits; how ids stand in our JSON.

use release::ReleaseId;
use release::id::IdError;

/// A new id: newer, as text, than all of `known` that were made here, also when the clock went back. The six digits
/// are those of `commit`, or of `salt` where there is none.
pub fn fresh(
    known: &[ReleaseId],
    now: jiff::Timestamp,
    commit: Option<&str>,
    salt: &[u8],
) -> Result<ReleaseId, IdError> {
    let newest = known.iter().filter_map(made_at).max();
    let at = match newest {
        // A second apart, so that names sort as they were made.
        Some(newest) if newest >= whole(now) => {
            newest.checked_add(jiff::SignedDuration::from_secs(1)).unwrap_or(newest)
        }
        Some(_) | None => whole(now),
    };
    let hex = |text: &&str| text.len() >= 6 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits = match commit.filter(hex).and_then(|commit| commit.get(..6)) {
        Some(digits) => digits.to_ascii_lowercase(),
        None => blake3::hash(salt).to_hex().chars().take(6).collect(),
    };
    ReleaseId::parse(&format!("{}-{digits}", at.strftime("%Y%m%dT%H%M%SZ")))
}

/// When an id of this form says that it was made.
pub fn made_at(id: &ReleaseId) -> Option<jiff::Timestamp> {
    let (time, digits) = id.as_str().split_once('-')?;
    let exact = time.len() == 16 && digits.len() == 6;
    let civil = exact.then(|| jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", time).ok())??;
    civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn whole(time: jiff::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// An id as text in JSON.
pub(crate) mod text {
    use release::ReleaseId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(id: &ReleaseId, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(id.as_str())
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<ReleaseId, D::Error> {
        ReleaseId::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// An id, or none, as text in JSON.
pub(crate) mod maybe_text {
    use release::ReleaseId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(id: &Option<ReleaseId>, to: S) -> Result<S::Ok, S::Error> {
        match id {
            Some(id) => to.serialize_some(id.as_str()),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Option<ReleaseId>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| ReleaseId::parse(&text).map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> jiff::Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_tells_when_it_was_made_and_from_which_commit() {
        let id = fresh(&[], at("2026-11-22T10:15:00.7Z"), Some("9F3C2Affff"), b"").unwrap();
        assert_eq!(id.as_str(), "20261122T101500Z-9f3c2a");
        assert_eq!(made_at(&id), Some(at("2026-11-22T10:15:00Z")));
    }

    #[test]
    fn a_clock_that_went_back_still_gives_newer_names() {
        let now = at("2026-11-22T10:15:00Z");
        let first = fresh(&[], now, None, b"a").unwrap();
        let second = fresh(std::slice::from_ref(&first), now, None, b"a").unwrap();
        let third = fresh(&[first.clone(), second.clone()], at("2020-01-01T00:00:00Z"), None, b"a").unwrap();
        assert!(first < second && second < third, "{first} {second} {third}");
    }

    #[test]
    fn names_of_other_tools_and_odd_commits_do_no_harm() {
        let known = ["1", "20991122101500", "v1.2-abcdef"].map(|id| ReleaseId::parse(id).unwrap());
        let id = fresh(&known, at("2026-11-22T10:15:00Z"), Some("héad/x"), b"salt").unwrap();
        assert!(id.as_str().starts_with("20261122T101500Z-"), "{id}");
    }
}
