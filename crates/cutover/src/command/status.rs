//! status: what is live, since when, and whether all is well.

mod opcache;
mod users;

use std::time::{Duration, SystemTime};

use deploy::freeze;
use deploy::journal::{self, Ending, InHand, Last};
use release::ReleaseId;
use release::history;
use release::list::{Listed, Seal, Stands, Used};
use serde_json::json;

use serve::control::{ControlError, Status};
use serve::log::with_reasons;

use super::releases::all;
use super::running;
use crate::answer::{Answer, Failure};
use crate::opened::Opened;
use crate::when;
use crate::working;

pub fn run(opened: &Opened) -> Result<Answer, Failure> {
    let name = &opened.config.host.app.name;
    let events = history::read(&opened.app).map_err(|error| Failure::failed(error).still(opened.still()))?;
    let live = opened.live().map_err(|error| {
        let still = match history::last_live(&events) {
            Some(id) => {
                format!("{id} was live last; a running `cutover serve` goes on with its last good release")
            }
            None => "no release was ever live".into(),
        };
        Failure::failed(format!("{name}: {error}")).still(still).next("`cutover flip RELEASE` makes one live")
    })?;
    let listed = all(opened, &events)?;
    let this = listed.iter().find(|listed| listed.live);
    let noted = history::last_live(&events) == Some(&live.id);
    let event = events.iter().rev().find(|event| event.what == history::What::Live && event.id == live.id);
    let event = event.filter(|_| noted);
    let since = match event {
        Some(event) => {
            format!("since {} ({}), by {}", when::stamp(event.time), when::ago(event.time), event.who)
        }
        None => "flipped by another tool, not noted yet".into(),
    };
    let back = history::last_good_before(&events, &live.id);
    let mut lines = vec![format!("{name}: {} is live, {since}", live.id)];
    lines.push(format!("  dir      {}", live.dir.display()));
    lines.push(format!("  seal     {}", this.map_or("not in releases/".into(), seal)));
    lines.push(format!("  in use   {}", this.map_or("unknown".into(), used)));
    let stored = |id: &ReleaseId| listed.iter().any(|one| one.id == *id && one.stands == Stands::Store);
    lines.push(match &back {
        Some(id) if stored(id) => format!("  rollback to {id}, brought back from the store first"),
        Some(id) => format!("  rollback to {id}"),
        None => "  rollback none".into(),
    });
    lines.push(format!("  releases {}", listed.len()));
    let frozen = freeze::frozen(&opened.app).ok().flatten();
    lines.extend(frozen.as_ref().map(|frozen| format!("  frozen   {}", working::told(frozen))));
    let drained = std::fs::read_to_string(opened.app.drained()).ok();
    lines.extend(drained.as_deref().map(|why| {
        format!("  drained  out of its load balancer {}; the end of the next deploy puts it back", why.trim())
    }));
    let in_hand = in_hand(opened);
    lines.extend(in_hand.iter().cloned());
    let failed = failed(opened);
    lines.extend(failed.iter().cloned());
    let server = running::status(opened);
    lines.extend(told(&server, name, live.id.as_ref()));
    let running = server.as_ref().ok().and_then(Option::as_ref);
    let users = users::users(opened, &live, running);
    lines.extend(users.lines);
    let caches = opcache::caches(opened, &live, back.as_ref());
    lines.extend(caches.iter().flat_map(|cache| cache.lines.iter().cloned()));
    let json = json!({
        "app": name,
        "root": opened.app.root(),
        "live": live.id.to_string(),
        "dir": live.dir,
        "link": live.text,
        "since": event.map(|event| when::stamp(event.time)),
        "by": event.map(|event| event.who.clone()),
        "sealed": this.map(|this| matches!(this.seal, Seal::Whole { .. })),
        "in_use": this.map(|this| this.used == Used::Leased),
        "rollback": back.map(|id| id.to_string()),
        "releases": listed.len(),
        "frozen": frozen,
        "drained": drained.is_some(),
        "in_hand": in_hand,
        "failed": failed,
        "users": users.json,
        "opcache": caches.into_iter().map(|cache| cache.json).collect::<Vec<_>>(),
        "server": server.as_ref().ok().and_then(Option::as_ref),
    });
    Ok(Answer::new(lines.join("\n"), json))
}

/// What became of the last deploy, if it failed: who led it from elsewhere may not have seen how it ended.
fn failed(opened: &Opened) -> Option<String> {
    let Last { plan, ending, failure, at_ms, .. } = journal::last(&opened.app).ok().flatten()?;
    let became = match ending {
        Ending::Live | Ending::Unchanged => return None,
        Ending::Undone => "was undone",
        Ending::FlippedBack => "was flipped back",
        Ending::Unhealthy => "is not healthy",
    };
    let what = if plan.is_rollback() { "rollback" } else { "deploy" };
    let why = failure.map_or_else(String::new, |(step, why)| format!(" at {step}: {why}"));
    let first = why.lines().next().unwrap_or_default();
    let when = when::ago(SystemTime::UNIX_EPOCH + Duration::from_millis(at_ms));
    Some(format!("  last     the {what} by {} failed{first}; it {became}, {when}", plan.who))
}

/// The deploy that runs at this moment, or that a killed command left.
fn in_hand(opened: &Opened) -> Option<String> {
    match journal::look(&opened.app) {
        Ok(None) => None,
        Ok(Some(InHand { plan, release, step })) => {
            let release = release.map_or("a new release".into(), |id| id.to_string());
            let step = step.map_or("its beginning".into(), |step| step.to_string());
            Some(format!(
                "  deploy   of {release} by {} is at {step}; if it was killed, the next command finishes or undoes it",
                plan.who
            ))
        }
        Err(error) => Some(format!("  deploy   {error}")),
    }
}

/// What the running server says of itself, and whether it sees what we see.
fn told(server: &Result<Option<Status>, ControlError>, name: &str, live: &str) -> Vec<String> {
    let status = match server {
        Ok(None) => return vec!["  server   none is running".into()],
        Err(error) => return vec![format!("  server   {}", with_reasons(error))],
        Ok(Some(status)) => status,
    };
    let Status { pid, version, up_seconds, connections, draining, listen, sites, .. } = status;
    let up = when::length(Duration::from_secs(*up_seconds));
    let doing = if *draining { "draining" } else { "up" };
    let mut lines = vec![
        format!("  server   process {pid}, version {version}, {doing} for {up}, {connections} connections"),
        format!("  listens  {}", listen.join(", ")),
    ];
    let Some(site) = sites.iter().find(|site| site.name == name) else {
        lines.push(format!(
            "  serves   {}, but not {name}",
            sites.iter().map(|site| site.name.as_str()).collect::<Vec<_>>().join(", ")
        ));
        return lines;
    };
    let release = site.release.as_deref().unwrap_or("nothing");
    // An idle server looks a few times a second; a flip of this moment may not have reached it.
    let differs = if release == live { "" } else { " (it looks again with the next request)" };
    lines.push(format!("  serves   {release}{differs}, {} requests in flight", site.in_flight));
    if site.maintenance {
        lines.push("  maintenance is on: visitors get the page".into());
    }
    if let Some(why) = &site.link_error {
        lines.push(format!("  the server says: {why}; it goes on with its last good release"));
    }
    lines
}

fn seal(listed: &Listed) -> String {
    match &listed.seal {
        Seal::Whole { entries: 1 } => "sealed, empty".into(),
        Seal::Whole { entries } => format!("sealed, {entries} entries"),
        Seal::Unsealed => "not sealed: served with a look at each file on each request".into(),
        Seal::Broken(why) => format!("broken: {why}"),
    }
}

fn used(listed: &Listed) -> String {
    match listed.used {
        Used::Leased => "a process holds it".into(),
        Used::Free => "no process holds it".into(),
        Used::Unknown => "cannot be told by this user".into(),
    }
}
