//! When: points in time as programs and as people read them.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

/// RFC 3339 in UTC, to the second.
pub fn stamp(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_string()
}

/// How long ago, in its largest unit.
pub fn ago(time: SystemTime) -> String {
    format!("{} ago", length(time.elapsed().unwrap_or_default()))
}

/// A length of time in its largest unit: `3 days`, `1 hour`.
pub fn length(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let Some((size, unit)) = units.into_iter().find(|(size, _)| seconds >= *size) else {
        return "less than a second".into();
    };
    match seconds / size {
        1 => format!("1 {unit}"),
        count => format!("{count} {unit}s"),
    }
}

/// A short span of time with three digits or so: `480 us`, `1.2 ms`, `3.4 s`.
pub fn took(span: Duration) -> String {
    let micros = span.as_micros();
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{:.1} ms", span.as_secs_f64() * 1_000.0),
        1_000_000.. => format!("{:.1} s", span.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_told_in_their_largest_unit() {
        let table = [
            (0, "less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (7_199, "1 hour"),
            (86_400 * 3, "3 days"),
        ];
        for (seconds, told) in table {
            assert_eq!(length(Duration::from_secs(seconds)), told);
        }
        assert_eq!(took(Duration::from_micros(480)), "480 us");
        assert_eq!(took(Duration::from_micros(1_234)), "1.2 ms");
        assert_eq!(took(Duration::from_millis(3_449)), "3.4 s");
        assert_eq!(stamp(SystemTime::UNIX_EPOCH + Duration::from_millis(1_500)), "1970-01-01T00:00:01Z");
    }
}
