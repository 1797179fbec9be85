//! Conditional: whether a request's conditions let it through (RFC 9110, 13).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, Method, header};

use crate::file::etag::ETag;

/// What the conditions say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Send,
    /// The client has it: 304.
    NotModified,
    /// A precondition does not hold: 412.
    Failed,
}

/// What a representation is known by.
#[derive(Debug, Clone, Copy)]
pub struct Validators<'a> {
    /// Its tag.
    pub etag: &'a ETag,
    /// When it was last modified, in whole seconds; none where that time says nothing.
    pub modified: Option<SystemTime>,
}

impl Validators<'_> {
    /// Evaluates all conditions but `If-Range`, in the order of RFC 9110, 13.2.2.
    pub fn judge(&self, method: &Method, headers: &HeaderMap) -> Verdict {
        let reads = method == Method::GET || method == Method::HEAD;
        if headers.contains_key(header::IF_MATCH) {
            if !self.any(headers, header::IF_MATCH, Comparison::Strong) {
                return Verdict::Failed;
            }
        } else if let (Some(since), Some(modified)) =
            (date(headers, header::IF_UNMODIFIED_SINCE), self.modified)
            && modified > since
        {
            return Verdict::Failed;
        }
        if headers.contains_key(header::IF_NONE_MATCH) {
            return match self.any(headers, header::IF_NONE_MATCH, Comparison::Weak) {
                true if reads => Verdict::NotModified,
                true => Verdict::Failed,
                false => Verdict::Send,
            };
        }
        if let (true, Some(since), Some(modified)) =
            (reads, date(headers, header::IF_MODIFIED_SINCE), self.modified)
        {
            // Deliberately "the same" and not "no later": after a rollback the live file is an older one,
            // and the client must get it all the same.
            if modified == since {
                return Verdict::NotModified;
            }
        }
        Verdict::Send
    }

    /// Whether a `Range` counts: there is no `If-Range`, or it names exactly this representation.
    ///
    /// A date never does. It is no strong validator (RFC 9110, 8.8.2.2): two releases may hold different bytes of
    /// one time stamp, and the client would join them.
    pub fn ranges_count(&self, headers: &HeaderMap) -> bool {
        match headers.get(header::IF_RANGE) {
            None => true,
            Some(tag) => self.etag.is_strong() && tag.as_bytes().trim_ascii() == self.etag.as_bytes(),
        }
    }

    fn any(&self, headers: &HeaderMap, name: header::HeaderName, by: Comparison) -> bool {
        headers.get_all(name).iter().any(|value| lists(value, self.etag, by))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of tags has ours in it; `*` has every one.
fn lists(value: &HeaderValue, etag: &ETag, by: Comparison) -> bool {
    let mut rest = value.as_bytes().trim_ascii();
    if rest == b"*" {
        return true;
    }
    let ours = etag.as_bytes();
    // Not split at commas: a tag may contain one.
    while !rest.is_empty() {
        let weak = rest.starts_with(b"W/");
        let opaque = if weak { &rest[2..] } else { rest };
        let Some(end) = opaque.strip_prefix(b"\"").and_then(|inner| memchr::memchr(b'"', inner)) else {
            return false;
        };
        let (tag, behind) = opaque.split_at(end + 2);
        let same = match by {
            Comparison::Strong => !weak && tag == ours,
            Comparison::Weak => tag == ours.strip_prefix(b"W/").unwrap_or(ours),
        };
        if same {
            return true;
        }
        let behind = behind.trim_ascii_start();
        match behind.split_first() {
            Some((b',', next)) => rest = next.trim_ascii_start(),
            Some(_) | None => return false,
        }
    }
    false
}

/// A date field that is there once and can be read; else it is ignored, as RFC 9110, 13.1.3 demands.
fn date(headers: &HeaderMap, name: header::HeaderName) -> Option<SystemTime> {
    let mut values = headers.get_all(name).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

/// A file's time as `Last-Modified` can say it: whole seconds, and none where a packer has levelled all times
/// (0, 1, or the zip format's first day): then equal times do not mean equal files.
pub fn plausible(seconds: i64) -> Option<SystemTime> {
    const SECOND_OF_1980: i64 = 315_532_800 + 2 * 86_400;
    const YEAR_10000: i64 = 253_402_300_800;
    if !(SECOND_OF_1980..YEAR_10000).contains(&seconds) {
        return None;
    }
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::encoding::Encoding;

    const DAY: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sat, 05 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Mon, 07 Nov 1994 08:49:37 GMT";

    fn judge(method: Method, fields: &[(&str, &str)]) -> Verdict {
        let etag = ETag::strong(&[0; 32], Encoding::Identity);
        assert_eq!(etag.as_bytes(), b"\"AAAAAAAAAAAAAAAAAAAA\"");
        let validators = Validators { etag: &etag, modified: httpdate::parse_http_date(DAY).ok() };
        validators.judge(&method, &map(fields))
    }

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        headers
    }

    const OURS: &str = "\"AAAAAAAAAAAAAAAAAAAA\"";

    #[test]
    fn conditions_are_judged_in_the_rfcs_order() {
        use Verdict::{Failed, NotModified, Send};
        let weak = format!("W/{OURS}");
        let list = format!("\"x\", {weak} ,\"y\"");
        let comma = format!("\"a,b\",{OURS}");
        for (fields, wanted) in [
            (&[][..], Send),
            (&[("if-none-match", OURS)], NotModified),
            (&[("if-none-match", &weak)], NotModified),
            (&[("if-none-match", &list)], NotModified),
            (&[("if-none-match", &comma)], NotModified),
            (&[("if-none-match", "*")], NotModified),
            (&[("if-none-match", "\"x\""), ("if-none-match", OURS)], NotModified),
            (&[("if-none-match", "\"x\"")], Send),
            (&[("if-none-match", "AAAAAAAAAAAAAAAAAAAA")], Send),
            (&[("if-none-match", "\"AAAAAAAAAAAAAAAAAAAA")], Send),
            (&[("if-none-match", "")], Send),
            // If-None-Match silences If-Modified-Since.
            (&[("if-none-match", "\"x\""), ("if-modified-since", DAY)], Send),
            (&[("if-none-match", OURS), ("if-modified-since", BEFORE)], NotModified),
            (&[("if-modified-since", DAY)], NotModified),
            (&[("if-modified-since", BEFORE)], Send),
            // Ours is older than the client's: a rollback.
            (&[("if-modified-since", AFTER)], Send),
            (&[("if-modified-since", "yesterday")], Send),
            (&[("if-modified-since", DAY), ("if-modified-since", DAY)], Send),
            (&[("if-match", OURS)], Send),
            (&[("if-match", "*")], Send),
            (&[("if-match", "\"x\"")], Failed),
            (&[("if-match", &weak)], Failed),
            (&[("if-match", "")], Failed),
            (&[("if-unmodified-since", DAY)], Send),
            (&[("if-unmodified-since", AFTER)], Send),
            (&[("if-unmodified-since", BEFORE)], Failed),
            (&[("if-unmodified-since", "never")], Send),
            // If-Match silences If-Unmodified-Since.
            (&[("if-match", OURS), ("if-unmodified-since", BEFORE)], Send),
            // Both kinds: first the precondition, then the cache.
            (&[("if-match", OURS), ("if-none-match", OURS)], NotModified),
            (&[("if-match", "\"x\""), ("if-none-match", OURS)], Failed),
            (&[("if-unmodified-since", BEFORE), ("if-none-match", OURS)], Failed),
        ] {
            assert_eq!(judge(Method::GET, fields), wanted, "{fields:?}");
            assert_eq!(judge(Method::HEAD, fields), wanted, "HEAD {fields:?}");
        }
        assert_eq!(judge(Method::POST, &[("if-none-match", OURS)]), Failed);
        assert_eq!(judge(Method::POST, &[("if-modified-since", DAY)]), Send);
    }

    #[test]
    fn a_range_is_kept_only_for_the_very_same_bytes() {
        let etag = ETag::strong(&[0; 32], Encoding::Identity);
        let validators = Validators { etag: &etag, modified: httpdate::parse_http_date(DAY).ok() };
        let weak = format!("W/{OURS}");
        for (value, counts) in [(OURS, true), ("\"x\"", false), (&weak, false), (DAY, false), ("", false)] {
            assert_eq!(validators.ranges_count(&map(&[("if-range", value)])), counts, "{value}");
        }
        assert!(validators.ranges_count(&HeaderMap::new()));
        let changing = ETag::weak(&[0; 32], Encoding::Identity);
        let validators = Validators { etag: &changing, modified: None };
        assert!(!validators.ranges_count(&map(&[("if-range", &weak)])));
    }

    #[test]
    fn levelled_times_are_not_told() {
        assert_eq!(plausible(0), None);
        assert_eq!(plausible(1), None);
        assert_eq!(plausible(315_532_800), None, "1980-01-01, the first day of zip");
        assert!(plausible(784_111_777).is_some());
        assert_eq!(plausible(-1), None);
        assert_eq!(plausible(i64::MAX), None);
    }
}
