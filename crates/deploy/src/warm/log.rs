//! Log: the pages that visitors wanted most, by an access log, asked of the release before it is live.
//!
//! Understood: the combined format of nginx and Apache, with whatever stands before or behind it, and both formats of
//! `cutover serve`, of whose lines only this app's count.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use config::host::LoggedRequests;
use fastcgi::Address;
use serde::Deserialize;

use super::Warmed;
use crate::health::{self, Subject};

/// So much of the end of a log is read: some hundred thousand lines.
const TAIL: u64 = 32 << 20;
/// What was asked for less often says nothing about the next visitor.
const OFTEN: u64 = 2;

/// Asks each pool for them. What goes wrong is a warning: a log says what visitors asked, not what is right.
pub fn replay(subject: &Subject<'_, '_>, pools: &[Address], warmed: &mut Warmed) {
    let host = &subject.deploy.config.host;
    let Some(LoggedRequests { log, top }) = &host.warm.logged else { return };
    let lines = match tail(log) {
        Ok(lines) => lines,
        Err(error) => {
            warmed.warnings.push(format!("no pages were asked for by {}: {error}", log.display()));
            return;
        }
    };
    let wanted = most_wanted(&String::from_utf8_lossy(&lines), &host.app.name);
    let scripts = wanted.into_iter().filter(|path| health::runs_script(subject, path));
    let pages: Vec<String> = scripts.take(*top).collect();
    let mut failed = Vec::new();
    for pool in pools {
        for page in &pages {
            match health::warm_up(subject, page, Some(pool)) {
                Ok(answered) => warmed.requests += answered,
                Err(error) => failed.push(error.to_string()),
            }
        }
    }
    if let Some(first) = failed.first() {
        let count = failed.len();
        warmed.warnings.push(format!("{count} of the pages that visitors want most: {first}"));
    }
}

/// The end of a file, from the beginning of a line on.
fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    file.take(TAIL).read_to_end(&mut text)?;
    if length > TAIL {
        let line = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1);
        text.drain(..line);
    }
    Ok(text)
}

/// The targets of GET requests that were answered well, most frequent first; those of other apps left out.
fn most_wanted(lines: &str, app: &str) -> Vec<String> {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    let mut of_json: HashMap<String, u64> = HashMap::new();
    for line in lines.lines() {
        if line.starts_with('{') {
            if let Some(target) = json(line, app) {
                *of_json.entry(target).or_default() += 1;
            }
        } else if let Some(target) = combined(line, app) {
            *counts.entry(target).or_default() += 1;
        }
    }
    let plain = counts.into_iter().map(|(target, count)| (target.to_owned(), count));
    let mut all: Vec<(String, u64)> = plain.chain(of_json).filter(|(_, count)| *count >= OFTEN).collect();
    all.sort_by(|one, two| two.1.cmp(&one.1).then_with(|| one.0.cmp(&two.0)));
    all.into_iter().map(|(target, _)| target).collect()
}

/// `… "GET /a?b HTTP/1.1" 200 …`; of `cutover serve`'s lines the site stands behind the two next quoted fields.
fn combined<'l>(line: &'l str, app: &str) -> Option<&'l str> {
    let mut quoted = line.split('"');
    let (request, after) = (quoted.nth(1)?, quoted.next()?);
    let (method, rest) = request.split_once(' ')?;
    let target = rest.split(' ').next()?;
    let status: u16 = after.split_whitespace().next()?.parse().ok()?;
    // Referer, a space, User-Agent, then ours: ` shop r2 0.001500`.
    let ours: Vec<&str> = quoted.nth(3).unwrap_or_default().split_whitespace().collect();
    let other_site = match ours.as_slice() {
        [site, _, seconds, ..] => seconds.parse::<f64>().is_ok() && *site != app,
        [..] => false,
    };
    (method == "GET" && well(status) && asks(target) && !other_site).then_some(target)
}

fn json(line: &str, app: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Line {
        site: Option<String>,
        method: String,
        target: String,
        status: u16,
    }
    let line: Line = serde_json::from_str(line).ok()?;
    let ours = line.site.is_none_or(|site| site == app);
    (line.method == "GET" && well(line.status) && asks(&line.target) && ours).then_some(line.target)
}

/// A page, or what a browser has of it already, or the way to it.
fn well(status: u16) -> bool {
    (200..400).contains(&status)
}

/// A path that can be asked again as it stands; an escape of the log's own was no plain character.
fn asks(target: &str) -> bool {
    target.starts_with('/') && !target.contains('\\') && target.chars().all(|c| c.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_pages_come_first_in_every_format() {
        let lines = r#"192.0.2.1 - - [22/Nov/2026:10:15:00 +0000] "GET / HTTP/1.1" 200 12 "-" "curl/8 (x)"
192.0.2.1 - - [22/Nov/2026:10:15:00 +0000] "GET / HTTP/1.1" 304 0 "-" "curl"
192.0.2.1 - - [22/Nov/2026:10:15:00 +0000] "GET /list?page=2 HTTP/2.0" 200 12 "http://x/" "curl" shop r2 0.001500
192.0.2.1 - - [22/Nov/2026:10:15:00 +0000] "GET /list?page=2 HTTP/2.0" 200 12 "-" "curl" shop r2 0.001500
192.0.2.1 - - [22/Nov/2026:10:15:00 +0000] "GET /list?page=2 HTTP/2.0" 200 12 "-" "curl" shop r2 0.001500 cut
192.0.2.1 - - [22/Nov/2026:10:15:00 +0000] "GET /blog HTTP/2.0" 200 12 "-" "curl" blog r2 0.001500
192.0.2.1 - - [22/Nov/2026:10:15:00 +0000] "GET /blog HTTP/2.0" 200 12 "-" "curl" blog r2 0.001500
{"time":"2026-11-22T10:15:00Z","site":"shop","method":"GET","target":"/api","status":200}
{"time":"2026-11-22T10:15:00Z","site":"shop","method":"GET","target":"/api","status":200}
{"time":"2026-11-22T10:15:00Z","site":"blog","method":"GET","target":"/other","status":200}
{"time":"2026-11-22T10:15:00Z","site":"blog","method":"GET","target":"/other","status":200}
192.0.2.1 - - [x] "POST /cart HTTP/1.1" 200 12 "-" "-"
192.0.2.1 - - [x] "POST /cart HTTP/1.1" 200 12 "-" "-"
192.0.2.1 - - [x] "GET /wp-login.php HTTP/1.1" 404 12 "-" "-"
192.0.2.1 - - [x] "GET /wp-login.php HTTP/1.1" 404 12 "-" "-"
192.0.2.1 - - [x] "GET /once?token=8f2 HTTP/1.1" 200 12 "-" "-"
192.0.2.1 - - [x] "GET /\x22 HTTP/1.1" 200 12 "-" "-"
192.0.2.1 - - [x] "GET /\x22 HTTP/1.1" 200 12 "-" "-"
192.0.2.1 - - [x] "\x16\x03\x01" 400 0 "-" "-"
no log line
"#;
        assert_eq!(most_wanted(lines, "shop"), ["/list?page=2", "/", "/api"]);
    }

    #[test]
    fn only_the_end_of_a_long_log_is_read_and_no_torn_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let file = File::create(&path).unwrap();
        file.set_len(TAIL).unwrap();
        drop(file);
        let mut text = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        io::Write::write_all(&mut text, b"\nGET /last\n").unwrap();
        assert_eq!(tail(&path).unwrap(), b"GET /last\n");
    }
}
