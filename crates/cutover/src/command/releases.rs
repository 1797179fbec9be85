//! releases: what there is, and what is known about each.

use std::time::SystemTime;

use release::history::{self, What};
use release::list::{self, Listed, Seal, Used};
use serde_json::{Value, json};

use crate::answer::{Answer, Failure};
use crate::opened::Opened;
use crate::when;

pub fn run(opened: &Opened) -> Result<Answer, Failure> {
    let events = history::read(&opened.app).map_err(|error| Failure::failed(error).still(opened.still()))?;
    let mut listed = all(opened, &events)?;
    // What was live last stands last, next to the prompt; what never was comes by name before it.
    listed.sort_by(|one, two| (one.live, one.live_since, &one.id).cmp(&(two.live, two.live_since, &two.id)));
    let json = json!({ "app": opened.config.host.app.name, "releases": listed.iter().map(object).collect::<Vec<_>>() });
    if listed.is_empty() {
        return Ok(Answer::new(format!("no releases in {}", opened.app.releases().display()), json));
    }
    Ok(Answer::new(table(&listed), json))
}

/// Everything in `releases/`.
pub fn all(opened: &Opened, events: &[history::Event]) -> Result<Vec<Listed>, Failure> {
    list::releases(&opened.app, events)
        .map_err(|error| Failure::failed(format!("cannot list {}: {error}", opened.app.releases().display())))
}

fn table(listed: &[Listed]) -> String {
    let head = ["release", "seal", "state", "last live", "in use"].map(String::from);
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(listed.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    let line = |row: &[String; 5]| {
        let [id, seal, state, since, used] = row;
        let [a, b, c, d] = widths;
        format!("{id:a$}  {seal:b$}  {state:c$}  {since:d$}  {used}").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(release: &Listed) -> [String; 5] {
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
    [release.id.to_string(), seal(&release.seal).into(), state(release).into(), since, used.into()]
}

fn seal(seal: &Seal) -> &'static str {
    match seal {
        Seal::Whole { .. } => "sealed",
        Seal::Unsealed => "-",
        Seal::Broken(_) => "broken",
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

fn object(release: &Listed) -> Value {
    let time = |time: Option<SystemTime>| time.map(when::stamp);
    json!({
        "id": release.id.to_string(),
        "dir": release.dir,
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
        "in_use": match release.used { Used::Leased => Some(true), Used::Free => Some(false), Used::Unknown => None },
    })
}
