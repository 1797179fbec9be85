//! Lines: what the texts for all web servers are put together with.

use std::fmt::Write;

use config::says::Says;

/// Statuses that web servers answer with by themselves, by the first digit, for "4xx" and "5xx".
const STATUSES: [u16; 13] = [400, 401, 403, 404, 405, 413, 414, 416, 429, 500, 502, 503, 504];

/// Adds a line.
pub fn put(out: &mut String, line: &str) {
    // Writing to a String cannot fail.
    writeln!(out, "{line}").unwrap_or_default();
}

/// Four blanks before each line that has something.
pub fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".into() } else { format!("    {line}\n") }).collect()
}

/// Which page is shown for which status, but for that of maintenance where it has a page of its own.
pub fn error_pages(says: &Says) -> Vec<(u16, &str)> {
    let taken = |status: u16| says.maintenance.page.is_some() && status == says.maintenance.status;
    let shown = STATUSES.iter().filter(|status| !taken(**status));
    shown.filter_map(|status| Some((*status, says.errors.page(*status)?))).collect()
}
