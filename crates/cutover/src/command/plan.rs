//! plan: what `deploy` would do, without doing it.

use config::host::{Layout, Moment};
use deploy::host::lead::Lead;
use deploy::host::preview::preview;
use deploy::keep::{self, Rule};
use deploy::plan::{Aim, Plan};
use deploy::source::{self, Revision};
use deploy::stage::{self, Preview, Rules};
use deploy::{journal, step};
use serde_json::{Value, json};

use crate::answer::{Answer, Failure};
use crate::args::Lock;
use crate::opened::Opened;
use crate::who::who;
use crate::working::{deploying, take};

/// So many files of each kind are named.
const NAMED: usize = 20;

pub fn run(
    opened: &Opened,
    reference: Option<String>,
    lock: Lock,
    lead: Option<&Lead<'_>>,
) -> Result<Answer, Failure> {
    if opened.config.host.source.is_none() {
        let what = format!("{} has no [source] to deploy from", opened.config.host.file.display());
        return Err(Failure::usage(what).next("write [source] with one of dir, git, archive"));
    }
    let lock = take(opened, lock, "plan")?;
    let failed = |error: String| Failure::failed(error).still(opened.still());
    let who = who();
    let mut watch = |_: &_| {};
    let deploy = deploying(opened, &lock, &who, &mut watch);
    let aim = Aim::Deploy { reference, only_if_changed: false };
    let plan = Plan { aim, previous: deploy.live(), who: who.clone(), at_ms: journal::now_ms() };
    let mut source = step::wanted(&deploy, &plan).map_err(|error| failed(error.to_string()))?;
    let build = std::mem::take(&mut source.build);
    let rules = Rules::of(&opened.config.host).map_err(|error| failed(error.to_string()))?;
    let (revision, tree, preview) = match lead {
        Some(lead) => {
            let (revision, entries) = lead.list().map_err(|error| failed(error.to_string()))?;
            (revision, who.clone(), preview(&opened.app, &rules, &entries))
        }
        None => {
            let fetched = source::fetch(&source, &opened.app, &opened.app.work(), &mut |_| {})
                .map_err(|error| failed(error.to_string()))?;
            let preview =
                stage::look(&opened.app, &rules, &fetched.tree).map_err(|error| failed(error.to_string()))?;
            (fetched.revision, fetched.tree.display().to_string(), preview)
        }
    };
    let keys = &opened.config.host.app;
    let rule = Rule { keep: keys.keep, keep_for: keys.keep_for, slots: keys.layout == Layout::Slots };
    // Nothing was live yet, or the link is broken: then a deploy prunes nothing.
    let gone: Vec<String> =
        keep::after_next(&lock, rule).unwrap_or_default().iter().map(ToString::to_string).collect();

    let mut lines = vec![from(opened, &revision, &tree)];
    let mut commands = Vec::new();
    if !source.exclude.is_empty() {
        lines.push(format!("leaves out {}", source.exclude.join(", ")));
    }
    for command in opened.config.host.source.iter().flat_map(|_| &build) {
        commands.push(("build", command.clone()));
    }
    for moment in Moment::ALL {
        for command in opened.config.host.hooks.at(moment) {
            commands.push((moment.key(), command.run.clone()));
        }
    }
    lines.extend(files(&preview));
    if !build.is_empty() {
        lines.push("what the build commands make is not counted: they were not run".into());
    }
    lines.extend(commands.iter().map(|(when, command)| format!("runs {when}: {command}")));
    lines.extend(checks(opened));
    if keys.layout == Layout::Slots {
        lines.extend(turn(opened, keys.slots));
    }
    lines.push(match gone.is_empty() {
        true => "prunes nothing".into(),
        false => format!("prunes {}, unless in use", gone.join(", ")),
    });
    Ok(Answer::new(lines.join("\n"), object(opened, &preview, &commands, &gone)))
}

/// Which slot would be taken, and what stands there.
fn turn(opened: &Opened, slots: u32) -> Option<String> {
    let name = deploy::slot::turn::in_order(&opened.app, slots).ok()?.into_iter().next()?;
    let ids = release::slot::named(&opened.app, &name).unwrap_or_default();
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    Some(match ids.is_empty() {
        true => format!("takes slot {name}, unless it is in use"),
        false => {
            format!("takes slot {name}, unless it is in use; {} lives on in the store", ids.join(", "))
        }
    })
}

fn from(opened: &Opened, revision: &Revision, tree: &str) -> String {
    let name = &opened.config.host.app.name;
    match &revision.commit {
        Some(commit) if revision.dirty => {
            format!("{name}: commit {commit}, with changes that are not committed; {}", opened.still())
        }
        Some(commit) => format!("{name}: commit {commit}; {}", opened.still()),
        None => format!("{name}: from {tree}; {}", opened.still()),
    }
}

fn files(preview: &Preview) -> Vec<String> {
    let mut lines = Vec::new();
    for (what, changes) in
        [("adds", &preview.added), ("changes", &preview.changed), ("removes", &preview.removed)]
    {
        if changes.is_empty() {
            continue;
        }
        lines.push(format!("{what} {} files", changes.len()));
        lines.extend(changes.iter().take(NAMED).map(|change| format!("  {}", change.path.display())));
        if changes.len() > NAMED {
            lines.push(format!("  and {} more", changes.len() - NAMED));
        }
    }
    lines.push(format!("{} files stay as they are; {} new bytes", preview.same, preview.bytes_new));
    lines
}

fn checks(opened: &Opened) -> Vec<String> {
    let host = &opened.config.host;
    let mut lines = Vec::new();
    if host.php.is_some() && host.warm.compile {
        lines.push("compiles its PHP files into opcache before the flip".into());
    }
    for path in &host.warm.requests {
        lines.push(format!("warms with {path}"));
    }
    match &host.health {
        Some(health) => lines.push(format!(
            "checks {} for {} before the flip, and {} after it",
            health.path,
            health.expect,
            health.url.as_deref().unwrap_or("the live site")
        )),
        None => lines.push("checks nothing: there is no [health]".into()),
    }
    lines
}

fn object(opened: &Opened, preview: &Preview, commands: &[(&str, String)], gone: &[String]) -> Value {
    let list = |changes: &[stage::Change]| -> Value {
        changes
            .iter()
            .map(|change| json!({ "path": change.path.to_string_lossy(), "bytes": change.bytes }))
            .collect()
    };
    json!({
        "app": opened.config.host.app.name,
        "live": opened.live().ok().map(|live| live.id.to_string()),
        "added": list(&preview.added),
        "changed": list(&preview.changed),
        "removed": list(&preview.removed),
        "same": preview.same,
        "bytes_new": preview.bytes_new,
        "commands": commands.iter().map(|(when, run)| json!({ "when": when, "run": run })).collect::<Vec<_>>(),
        "prunes": gone,
    })
}
