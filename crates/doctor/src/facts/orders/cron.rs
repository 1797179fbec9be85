//! Cron: /etc/crontab, /etc/cron.d and the tables of users (crontab(5)).

use super::{By, Links, Looking, Order};
use crate::source::Source;

/// Tables in which a user stands before each command.
const WITH_USER: [&str; 2] = ["/etc/crontab", "/etc/cron.d/*"];

/// Tables that are one user's each: Debian, Red Hat.
const OF_USERS: [&str; 2] = ["/var/spool/cron/crontabs/*", "/var/spool/cron/*"];

pub(super) fn look(looking: &mut Looking<'_>) {
    for (tables, with_user) in [(WITH_USER, true), (OF_USERS, false)] {
        for source in looking.files(&tables, Links::Followed) {
            table(&source, with_user, looking);
        }
    }
}

fn table(source: &Source, with_user: bool, looking: &mut Looking<'_>) {
    for (number, line) in source.text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') || is_variable(trimmed) {
            continue;
        }
        let times = if trimmed.starts_with('@') { 1 } else { 5 };
        let mut rest = trimmed;
        let mut skipped = Vec::new();
        for _ in 0..times + usize::from(with_user) {
            let (word, more) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            skipped.push(word);
            rest = more.trim_start();
        }
        if !rest.is_empty() {
            let key = skipped.join(" ");
            let at = source.line(number + 1);
            looking.found(Order { by: By::Cron, key, text: rest.to_owned(), at, lives: false });
        }
    }
}

/// `PATH=/usr/bin`: a name, then `=`.
fn is_variable(line: &str) -> bool {
    let Some((name, _)) = line.split_once('=') else { return false };
    let name = name.trim();
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.as_bytes()[0].is_ascii_digit()
}
