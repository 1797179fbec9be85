//! D02: a deploy makes the link with `ln -sf` without `-n`, or removes it first.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::app::App;
use crate::facts::orders::Order;
use crate::finding::{Finding, told};
use std::path::Path;

/// The check.
pub const CHECK: Check = Check {
    id: "D02",
    severity: Severity::Error,
    title: "the link is not replaced in one step",
    visitor: "Visitors get errors for a moment, or a deploy goes into the old release.",
    page: include_str!("../../../../../docs/doctor/D02.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.orders.iter().filter(|order| order.deploys()).filter_map(|order| {
        let app = facts.apps.iter().find(|app| concerns(order, app))?;
        let link = told(&app.current.path);
        let what = order.commands().find_map(|words| wrong(&words, app))?;
        let fix = format!("ln -s RELEASE {link}.new && mv -T {link}.new {link}; or cutover flip RELEASE");
        Some(Finding::at(&order.at, format!("{what} ({link})"), fix))
    });
    found.collect()
}

/// Whether an order may be about an app: a script lies in it, or its link is named.
fn concerns(order: &Order, app: &App) -> bool {
    order.at.file.starts_with(&app.root) || order.names(&app.current.path)
}

/// What is wrong with how a command makes the app's link.
fn wrong(words: &[&str], app: &App) -> Option<&'static str> {
    let name = app.current.path.file_name()?.to_str()?;
    let means = |word: &str| Path::new(word).file_name().is_some_and(|file| file == name);
    let at = words.iter().position(|word| matches!(*word, "ln" | "/bin/ln" | "rm" | "unlink"))?;
    let (command, rest) = (words[at], &words[at + 1..]);
    let (flags, paths): (Vec<&str>, Vec<&str>) = rest.iter().copied().partition(|word| word.starts_with('-'));
    let has = |short: char, long: &str| {
        flags.iter().any(|flag| *flag == long || (!flag.starts_with("--") && flag.contains(short)))
    };
    match command {
        "rm" | "unlink" if paths.iter().any(|path| means(path)) && !has('r', "--recursive") => {
            Some("until the next line makes it anew there is no link, and visitors get errors")
        }
        "rm" | "unlink" => None,
        _ if !has('s', "--symbolic") || !paths.last().is_some_and(|path| means(path)) => None,
        _ if has('n', "--no-dereference") || has('T', "--no-target-directory") => None,
        _ => Some(
            "without -n or -T the new link is made inside of the release that the old one leads to, and nothing is flipped",
        ),
    }
}
