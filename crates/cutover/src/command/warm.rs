//! warm: compiles a release into opcache, and asks it for its pages, whether it is live or not.

use deploy::engine::Deploy;
use deploy::event::Event;
use deploy::step::{self, StepError};
use deploy::warm::{WarmError, Warmed};
use release::ReleaseId;
use serde_json::json;

use crate::answer::{Answer, Failure};
use crate::args::Lock;
use crate::busy::busy;
use crate::opened::Opened;
use crate::who::who;
use crate::working::{deploying, take};

pub fn run(opened: &Opened, release: Option<ReleaseId>, lock: Lock) -> Result<Answer, Failure> {
    if opened.config.host.php.is_none() {
        let what = format!("{} has no [php]: there is nothing to warm", opened.config.host.file.display());
        return Err(Failure::usage(what).next("write [php] with fpm = \"…\""));
    }
    // Held so that nothing prunes what is being compiled.
    let lock = take(opened, lock, "warm")?;
    let id = match release {
        Some(id) => id,
        None => opened.live().map_err(|error| Failure::failed(error).next("cutover warm RELEASE"))?.id,
    };
    let (who, mut watch) = (who(), |_: &Event| {});
    // Into the pool that runs already: a fresh one is for what is about to be flipped to.
    let deploy = Deploy { fresh_pool: None, ..deploying(opened, &lock, &who, &mut watch) };
    if deploy.pools.is_empty() {
        return Err(Failure::failed("no PHP pool runs").still(opened.still()).next("cutover serve"));
    }
    let shown = busy(format!("warming {id}"));
    let warmed = step::warmed(&deploy, &id, &mut |_, _| {});
    drop(shown);
    let Warmed { compiled, requests, warnings } = warmed.map_err(|error| failed(opened, &error))?;
    let some = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let mut lines = vec![format!(
        "{id} is warm: {} in opcache, {} answered",
        some(compiled, "file"),
        some(requests, "request")
    )];
    lines.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
    let json = json!({
        "release": id.to_string(), "compiled": compiled, "requests": requests, "warnings": warnings
    });
    // Asked for nothing but this, it has not done it.
    let bad = compiled == 0 && !warnings.is_empty();
    Ok(Answer { bad, ..Answer::new(lines.join("\n"), json) })
}

fn failed(opened: &Opened, error: &StepError) -> Failure {
    if let StepError::Warm(WarmError::Unsealed(id)) = error {
        return Failure::refused(error).next(format!("if it is complete: cutover seal {id}"));
    }
    Failure::failed(error).still(opened.still())
}
