//! fsck: whether blobs and releases are what they should be; with --repair, mending them.

use deploy::fsck::{self, Finding, How, Outcome};
use release::ReleaseId;
use serde_json::{Value, json};

use crate::answer::{Answer, Failure};
use crate::args::Lock;
use crate::busy::busy;
use crate::opened::Opened;
use crate::working::take;

pub fn run(opened: &Opened, releases: &[ReleaseId], repair: bool, lock: Lock) -> Result<Answer, Failure> {
    let lock = repair.then(|| take(opened, lock, "fsck")).transpose()?;
    let how = lock.as_ref().map_or(How::Look, How::Mend);
    let busy = busy("reading blobs and releases");
    let report = fsck::fsck(&opened.app, releases, &opened.config.host.app.writable, how, &mut |_| {});
    drop(busy);
    let report = report.map_err(|error| {
        Failure::failed(format!("cannot look at everything: {error}")).still(opened.still())
    })?;
    let looked = format!("{} releases with {} files, {} blobs", report.releases, report.files, report.blobs);
    let json = json!({
        "releases": report.releases,
        "files": report.files,
        "blobs": report.blobs,
        "findings": report.findings.iter().map(object).collect::<Vec<_>>(),
    });
    let lines: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    if report.still_wrong().next().is_none() {
        let verdict =
            if report.findings.is_empty() { "all is as it should be" } else { "nothing is left to mend" };
        let text = [lines, vec![format!("{looked}: {verdict}")]].concat().join("\n");
        return Ok(Answer::new(text, json));
    }
    let wrong = report.still_wrong().count();
    let next = match repair {
        true => "deploy again: what nobody has any more cannot be mended",
        false => "mend what can be mended: cutover fsck --repair",
    };
    let error = format!("{looked}: {wrong} wrong\n{}", lines.join("\n"));
    Err(Failure::failed(error).still(opened.still()).next(next))
}

fn object(finding: &Finding) -> Value {
    json!({
        "release": finding.release.as_ref().map(ToString::to_string),
        "path": finding.path.to_string_lossy(),
        "told": finding.to_string(),
        "mended": finding.outcome == Outcome::Mended,
    })
}
