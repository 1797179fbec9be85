//! prune: deletes releases that are neither needed nor in use.

use config::host::Layout;
use deploy::keep::{self, PruneError, Pruned, Rule, Stays};
use deploy::opcache::collect;
use deploy::pinnable;
use release::list::Listed;
use serde_json::{Value, json};

use super::flip::history_unusable;
use super::running;
use crate::answer::{Answer, Failure};
use crate::args::Lock;
use crate::busy::busy;
use crate::history::catch_up;
use crate::opened::Opened;
use crate::pools::{masters, pools, workers};
use crate::when;
use crate::working::take;

pub fn run(opened: &Opened, keep: Option<u32>, dry_run: bool, lock: Lock) -> Result<Answer, Failure> {
    let keys = &opened.config.host.app;
    let lock = take(opened, lock, "prune")?;
    let events = catch_up(&lock).map_err(|error| history_unusable(opened, &error))?;
    let rule = Rule {
        keep: keep.unwrap_or(keys.keep),
        keep_for: keys.keep_for,
        slots: keys.layout == Layout::Slots,
    };
    let chosen = keep::look(&lock, rule).map_err(|error| unsure(opened, &error))?;
    let pruned = if dry_run {
        Pruned::default()
    } else {
        let _busy = busy("deleting");
        let masters = masters(opened);
        running::close_idle(opened);
        pinnable::sweep(&opened.app, keys.keep_for, &events)
            .map_err(|error| Failure::failed(error).still("nothing was deleted"))?;
        let mut pruned =
            keep::prune(&lock, rule, &workers(opened, &masters)).map_err(|error| unsure(opened, &error))?;
        if let Some(php) = opened.config.host.php.as_ref().filter(|_| !pruned.gone.is_empty()) {
            let pools = pools(opened, &masters);
            pruned.problems.extend(collect::everywhere(&opened.app, &php.path_map, &pools));
        }
        pruned
    };
    let mut lines = Vec::new();
    let mut rows = Vec::new();
    for (Listed { id, .. }, stays) in &chosen {
        let because = stays.map(|stays| told(stays, rule));
        let user = pruned.used.iter().find(|(used, _)| used == id).map(|(_, by)| by);
        let (text, result) = match (&because, user) {
            (Some(because), _) => (format!("{id}  stays: {because}"), "stays"),
            (None, _) if dry_run => (format!("{id}  would be deleted"), "would be deleted"),
            (None, Some(by)) => (format!("{id}  stays: release {id} is still in use ({by})"), "in use"),
            (None, None) if pruned.gone.contains(id) => (format!("{id}  deleted"), "deleted"),
            (None, None) => (format!("{id}  stays: see below"), "failed"),
        };
        lines.push(text);
        rows.push(json!({ "id": id.to_string(), "result": result, "because": because, "by": user }));
    }
    // What belongs to other users, say: it harms nobody, and the next prune tries again.
    lines.extend(pruned.problems.iter().map(|problem| format!("warning: {problem}")));
    Ok(Answer::new(
        lines.join("\n"),
        Value::from_iter([
            ("releases", Value::from(rows)),
            ("dry_run", dry_run.into()),
            ("warnings", pruned.problems.into()),
        ]),
    ))
}

fn unsure(opened: &Opened, error: &PruneError) -> Failure {
    match error {
        PruneError::Unsure(_) => Failure::refused(error).next("`cutover flip RELEASE` makes one live"),
        PruneError::History(_) | PruneError::List { .. } => Failure::failed(error).still(opened.still()),
    }
}

/// Why a release stays, in words.
pub fn told(stays: Stays, rule: Rule) -> String {
    match stays {
        Stays::Live => "it is live".into(),
        Stays::Rollback => "rollback would go to it".into(),
        Stays::Slot => "it stands in a slot, until another takes its turn there".into(),
        Stays::Recent => format!("it was live within {}", when::length(rule.keep_for)),
        Stays::Kept => "it is one of those to keep".into(),
        Stays::Failed => "it failed, and is one of the last that did".into(),
        Stays::Unfinished => "it was never sealed: it may be in the making".into(),
    }
}
