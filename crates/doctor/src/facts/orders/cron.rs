//! Cron: /etc/crontab, /etc/cron.d and the tables of users (crontab(5)).

use std::path::{Path, PathBuf};

use super::{By, Order};
use crate::facts::glob;
use crate::finding::Blind;
use crate::machine::Machine;
use crate::source::Sources;

/// Tables, and whether a user stands before each command.
const TABLES: [(&str, bool); 4] = [
    ("/etc/crontab", true),
    ("/etc/cron.d/*", true),
    ("/var/spool/cron/crontabs/*", false),
    ("/var/spool/cron/*", false),
];

pub(super) fn look(
    machine: &dyn Machine,
    sources: &mut Sources,
    orders: &mut Vec<Order>,
    blind: &mut Vec<Blind>,
) {
    for (pattern, with_user) in TABLES {
        match glob::expand(machine, Path::new(pattern)) {
            Ok(paths) => {
                paths.into_iter().for_each(|path| table(machine, sources, path, with_user, orders, blind))
            }
            Err(absent) if absent.is_absent() => {}
            Err(why) => blind.push(why.into()),
        }
    }
}

fn table(
    machine: &dyn Machine,
    sources: &mut Sources,
    path: PathBuf,
    with_user: bool,
    orders: &mut Vec<Order>,
    blind: &mut Vec<Blind>,
) {
    let source = match sources.read(machine, &path) {
        Ok(source) => source,
        Err(why) => {
            if !why.is_absent() && !why.is_no_file() {
                blind.push(why.into());
            }
            return;
        }
    };
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
            let key = skipped[..times.min(skipped.len())].join(" ");
            orders.push(Order {
                by: By::Cron,
                key,
                text: rest.to_owned(),
                at: source.line(number + 1),
                lives: false,
            });
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
