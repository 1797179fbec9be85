//! diff: the files, and where they are known the commits, in which two releases differ.

use config::host::Origin;
use deploy::diff::{self, Change, What};
use deploy::record;
use deploy::source::{self, Commit, Revision};
use release::manifest::{self, Manifest, ManifestError};
use release::{ReleaseId, slot};
use serde_json::{Value, json};

use crate::answer::{Answer, Failure};
use crate::opened::Opened;

pub fn run(opened: &Opened, first: &ReleaseId, second: &ReleaseId) -> Result<Answer, Failure> {
    let diff = diff::diff(&load(opened, first)?, &load(opened, second)?);
    let made_of = [first, second].map(|id| record::read(&opened.app, id).map(|record| record.revision));
    let commits = between(opened, [made_of[0].as_ref(), made_of[1].as_ref()]);
    let mut lines: Vec<String> = Vec::new();
    for (id, revision) in [first, second].into_iter().zip(made_of.iter().flatten()) {
        if let Some(commit) = revision.short().filter(|_| revision.dirty) {
            lines.push(format!("{id} is {commit}: with changes that were not committed"));
        }
    }
    for commit in commits.iter().flatten() {
        let short = commit.commit.get(..10).unwrap_or(&commit.commit);
        lines.push(format!("* {short} {} ({})", commit.message, commit.author));
    }
    let lists = [("+", &diff.added), ("~", &diff.changed), ("-", &diff.removed)];
    for (sign, list) in lists {
        lines.extend(list.iter().map(|change| format!("{sign} {}{}", change.path.display(), told(change))));
    }
    let [added, changed, removed] = lists.map(|(_, list)| list.len());
    lines.push(format!(
        "{first} to {second}: {added} added, {changed} changed, {removed} removed, {} the same",
        diff.same
    ));
    let json = json!({
        "first": first.to_string(),
        "second": second.to_string(),
        "added": diff.added.iter().map(object).collect::<Vec<_>>(),
        "changed": diff.changed.iter().map(object).collect::<Vec<_>>(),
        "removed": diff.removed.iter().map(object).collect::<Vec<_>>(),
        "same": diff.same,
        "commits": commits,
        "made_of": made_of,
    });
    Ok(Answer::new(lines.join("\n"), json))
}

fn load(opened: &Opened, id: &ReleaseId) -> Result<Manifest, Failure> {
    let missing = || {
        Failure::failed(format!("there is no release {id}")).next("`cutover releases` lists what there is")
    };
    let Some(dir) = manifest::find(&opened.app, id) else {
        let stored = slot::stored(&opened.app).unwrap_or_default();
        return stored.into_iter().find(|manifest| manifest.id() == id).ok_or_else(missing);
    };
    match manifest::load_at(&opened.app, id, &dir) {
        Ok(Some(manifest)) => Ok(manifest),
        Ok(None) => Err(Failure::failed(ManifestError::Unsealed { id: id.clone() })
            .next(format!("if it is complete: cutover seal {id}"))),
        Err(error) => Err(Failure::failed(format!("the seal of {id} cannot be read: {error}"))),
    }
}

/// The commits between the two, if both releases say theirs and a repository that is here knows them.
fn between(opened: &Opened, made_of: [Option<&Revision>; 2]) -> Option<Vec<Commit>> {
    let [first, second] = made_of.map(|revision| revision?.commit.as_deref());
    let dir = match &opened.config.host.source.as_ref()?.origin {
        Origin::Dir(dir) => Some(dir.as_path()),
        Origin::Git { .. } | Origin::Archive(_) => None,
    };
    source::commits(&opened.app, dir, first?, second?)
}

fn told(change: &Change) -> String {
    match (change.what, change.before, change.after) {
        (What::Presence, _, Some(bytes)) | (What::Presence, Some(bytes), None) => format!(" ({bytes} bytes)"),
        (What::Content, Some(before), Some(after)) => format!(" ({before} to {after} bytes)"),
        (What::Mode, _, _) => " (mode)".into(),
        (What::Target, _, _) => " (leads elsewhere)".into(),
        (What::Kind, _, _) => " (a file in one, none in the other)".into(),
        (What::Presence | What::Content, _, _) => " (link)".into(),
    }
}

fn object(change: &Change) -> Value {
    json!({
        "path": change.path.to_string_lossy(),
        "before": change.before,
        "after": change.after,
        "what": match change.what {
            What::Presence => "presence",
            What::Content => "content",
            What::Mode => "mode",
            What::Target => "target",
            What::Kind => "kind",
        },
    })
}
