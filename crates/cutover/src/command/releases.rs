//! releases: what there is, and what is known about each.

use std::time::SystemTime;

use deploy::record::{self, Record};
use release::history::{self, What};
use release::list::{self, Listed, Seal, Stands, Used};
use serde_json::{Value, json};

use crate::answer::{Answer, Failure};
use crate::opened::Opened;
use crate::when;

pub fn run(opened: &Opened) -> Result<Answer, Failure> {
    let events = history::read(&opened.app).map_err(|error| Failure::failed(error).still(opened.still()))?;
    let mut listed = all(opened, &events)?;
    // What was live last stands last, next to the prompt; what never was comes by name before it.
    listed.sort_by(|one, two| (one.live, one.live_since, &one.id).cmp(&(two.live, two.live_since, &two.id)));
    let rows = listed.iter().map(|release| object(release, record::read(&opened.app, &release.id).as_ref()));
    let json = json!({ "app": opened.config.host.app.name, "releases": rows.collect::<Vec<_>>() });
    if listed.is_empty() {
        return Ok(Answer::new(format!("no releases in {}", opened.app.releases().display()), json));
    }
    let made_of: Vec<String> =
        listed.iter().map(|release| made_of(record::read(&opened.app, &release.id).as_ref())).collect();
    Ok(Answer::new(table(&listed, &made_of), json))
}

/// Everything in `releases/`.
pub fn all(opened: &Opened, events: &[history::Event]) -> Result<Vec<Listed>, Failure> {
    list::releases(&opened.app, events)
        .map_err(|error| Failure::failed(format!("cannot list {}: {error}", opened.app.releases().display())))
}

fn table(listed: &[Listed], made_of: &[String]) -> String {
    // Releases that other hands made have no record, and then no column for it.
    let last = if made_of.iter().all(String::is_empty) { "" } else { "made of" };
    let head = ["release", "seal", "state", "last live", "in use", last].map(String::from);
    let rows = listed.iter().zip(made_of).map(|(release, made_of)| row(release, made_of));
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3, 4].map(width);
    let line = |row: &[String; 6]| {
        let [id, seal, state, since, used, made_of] = row;
        let [a, b, c, d, e] = widths;
        format!("{id:a$}  {seal:b$}  {state:c$}  {since:d$}  {used:e$}  {made_of}").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What a release is made of, in a few words: its commit, its branch and the first line of its message.
fn made_of(record: Option<&Record>) -> String {
    let Some(Record { revision, builder, .. }) = record else { return String::new() };
    let commit = revision.short();
    let parts = [commit.as_deref(), revision.branch.as_deref(), revision.message.as_deref()];
    let said: Vec<&str> = parts.into_iter().flatten().collect();
    if said.is_empty() { format!("by {builder}") } else { format!("{}, by {builder}", said.join(" ")) }
}

fn row(release: &Listed, made_of: &str) -> [String; 6] {
    let since = match (release.live, release.live_since, release.left) {
        (true, Some(since), _) => format!("since {}", when::length(since.elapsed().unwrap_or_default())),
        (true, None, _) => "now".into(),
        (false, Some(_), Some(left)) => when::ago(left),
        (false, Some(since), None) => when::ago(since),
        (false, None, _) => "never".into(),
    };
    let used = match release.used {
        Used::Leased => "yes",
        Used::Free => "no",
        Used::Unknown => "?",
    };
    [release.id.to_string(), seal(release), state(release).into(), since, used.into(), made_of.into()]
}

fn seal(release: &Listed) -> String {
    let seal = match release.seal {
        Seal::Whole { .. } => "sealed",
        Seal::Unsealed => "-",
        Seal::Broken(_) => "broken",
    };
    match &release.stands {
        Stands::Own => seal.into(),
        Stands::Slot(name) => format!("{seal}, slot {name}"),
        Stands::Store => format!("{seal}, in store"),
    }
}

fn state(release: &Listed) -> &'static str {
    match release.verdict {
        Some(What::Bad) if release.live => "live, bad",
        _ if release.live => "live",
        Some(What::Bad) => "bad",
        Some(What::Good) => "good",
        Some(What::Live) | None => "-",
    }
}

fn object(release: &Listed, record: Option<&Record>) -> Value {
    let time = |time: Option<SystemTime>| time.map(when::stamp);
    json!({
        "id": release.id.to_string(),
        "dir": release.dir,
        "stands": match &release.stands { Stands::Own => "own", Stands::Slot(_) => "slot", Stands::Store => "store" },
        "slot": match &release.stands { Stands::Slot(name) => Some(name.as_str()), Stands::Own | Stands::Store => None },
        "sealed": matches!(release.seal, Seal::Whole { .. }),
        "seal": match &release.seal {
            Seal::Whole { entries } => json!({ "entries": entries }),
            Seal::Unsealed => Value::Null,
            Seal::Broken(why) => json!({ "broken": why.to_string() }),
        },
        "live": release.live,
        "verdict": release.verdict.map(|what| what.to_string()),
        "live_since": time(release.live_since),
        "left": time(release.left),
        "record": record,
        "in_use": match release.used { Used::Leased => Some(true), Used::Free => Some(false), Used::Unknown => None },
    })
}
