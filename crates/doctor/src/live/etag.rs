//! ETag: by its form, how a server makes it.

use super::ask::Answer;

/// How an ETag is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// nginx: time and size in hexadecimal, `"5d8c72a5-264"` (ngx_http_set_etag).
    TimeAndSize,
    /// Apache: size and time in microseconds, `"264-59350f8c9d540"` (ap_make_etag).
    SizeAndTime,
    /// Anything else: a hash of the content, or of who knows what.
    Other,
}

/// The form of a file's ETag. Held against the answer's own time and size, so that a hash that looks so is not taken
/// for it.
pub(super) fn form(answer: &Answer) -> Option<Form> {
    let tag = answer.field("etag")?;
    let tag = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
    // What was compressed on the way has another size; the time is enough then.
    let size = answer.field("content-length").and_then(|len| len.parse::<u64>().ok());
    let time = answer.field("last-modified").and_then(seconds);
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let fits =
        |size_is: u64| size.is_none_or(|size| size == size_is || answer.field("content-encoding").is_some());
    let Some((one, two)) = tag.split_once('-') else { return Some(Form::Other) };
    match (hex(one), hex(two), time) {
        (Some(one), Some(two), Some(time)) if one == time && fits(two) => Some(Form::TimeAndSize),
        // Apache adds `-gzip` behind what it compressed; then the second half is no number.
        (Some(one), Some(two), Some(time)) if two / 1_000_000 == time && fits(one) => Some(Form::SizeAndTime),
        _ => Some(Form::Other),
    }
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
pub(super) fn seconds(date: &str) -> Option<u64> {
    let words: Vec<&str> = date.split([' ', ':']).collect();
    let [_, day, month, year, hour, minute, second, _] = words[..] else { return None };
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|name| *name == month)? as i64 + 1;
    let [day, year, hour, minute, second] =
        [day, year, hour, minute, second].map(|text| text.parse::<i64>().ok());
    let (year, day) = (year?, day?);
    // Days from the civil calendar, years beginning in March.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    u64::try_from(days * 86_400 + hour? * 3_600 + minute? * 60 + second?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(fields: &[(&str, &str)]) -> Answer {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Answer { fields: fields.collect(), ..Answer::default() }
    }

    #[test]
    fn an_etag_is_held_against_time_and_size() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(seconds(date), Some(784_111_777));
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(seconds("yesterday"), None);
        for (tag, len, wanted) in [
            ("\"2ebc98a1-264\"", "612", Form::TimeAndSize),
            ("W/\"2ebc98a1-264\"", "612", Form::TimeAndSize),
            ("\"264-2c9253feeaa40\"", "612", Form::SizeAndTime),
            ("\"2ebc98a1-265\"", "612", Form::Other),
            ("\"9f86d081884c7d65\"", "612", Form::Other),
            ("\"x-y\"", "612", Form::Other),
        ] {
            let answer = answer(&[("etag", tag), ("content-length", len), ("last-modified", date)]);
            assert_eq!(form(&answer), Some(wanted), "{tag}");
        }
        assert_eq!(form(&answer(&[])), None);
    }
}
