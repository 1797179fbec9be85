//! D10: a deploy rsyncs the link itself, or into it.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::app::App;
use crate::facts::orders::By;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "D10",
    severity: Severity::Error,
    title: "rsync carries the link, or writes through it",
    visitor: "The other machine flips before the files are there, or its live release is overwritten.",
    page: include_str!("../../../../../docs/doctor/D10.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.orders.iter().filter(|order| order.deploys() || order.by == By::Cron).filter_map(|order| {
        let (app, what) = facts.apps.iter().find_map(|app| Some((app, order.commands().find_map(|words| wrong(&words, app))?)))?;
        let fix = format!(
            "rsync the release alone (releases/NAME/ to releases/NAME/), then flip {} there; or [[host]] in cutover.toml",
            told(&app.current.path)
        );
        Some(Finding::at(&order.at, what, fix))
    });
    found.collect()
}

/// What is wrong with an rsync, if a command is one and concerns the app's link.
fn wrong(words: &[&str], app: &App) -> Option<String> {
    let at = words.iter().position(|word| word.rsplit('/').next() == Some("rsync"))?;
    let name = app.current.path.file_name()?.to_str()?;
    let excludes = words[at..]
        .iter()
        .any(|word| word.strip_prefix("--exclude=").unwrap_or(word).trim_matches(['"', '\'', '/']) == name);
    let paths: Vec<&str> = words[at + 1..].iter().copied().filter(|word| !word.starts_with('-')).collect();
    let (to, from) = paths.split_last()?;
    let (root, link) = (told(&app.root), told(&app.current.path));
    let local =
        |path: &str| path.rsplit_once(':').map_or(path, |(_, path)| path).trim_end_matches('/').to_owned();
    if local(to) == link || local(to).starts_with(&format!("{link}/")) {
        return Some(format!(
            "this writes into the live release, through {link}: while it runs visitors get parts of both"
        ));
    }
    let link_itself = from.iter().any(|path| **path == link);
    let all_of_it = from.iter().any(|path| local(path) == root) && !excludes;
    (link_itself || all_of_it).then(|| {
        format!("this carries {link} itself: it may lead to the new release before its files have arrived, for `{name}` comes before `releases`")
    })
}
