//! Spans of time: `500ms`, `30s`, `5m`, `1h`, `7d`.

use std::time::Duration;

/// Parses a duration with its unit; the error says what is wrong with it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("`{text}` is not a whole number with a unit"));
    }
    let per_unit_ms: u64 = match text[digits.len()..].trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" => return Err("it has no unit".into()),
        other => return Err(format!("`{other}` is not a unit of time")),
    };
    let number: Option<u64> = digits.parse().ok();
    let milliseconds = number.and_then(|number| number.checked_mul(per_unit_ms));
    // Beyond a century a deadline added to the clock may overflow; nobody means it.
    match milliseconds {
        Some(ms) if ms <= 100 * 365 * 86_400_000 => Ok(Duration::from_millis(ms)),
        Some(_) | None => Err("it is longer than a century".into()),
    }
}
