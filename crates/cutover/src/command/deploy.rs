//! deploy: from the source to a release that is live and verified.

use std::time::Duration;

use config::Config;
use config::host::Layout;
use deploy::engine::{self, Deploy, Outcome};
use deploy::event::Event;
use deploy::host::lead::Lead;
use deploy::journal::{Ending, Journal, now_ms};
use deploy::notify;
use deploy::plan::{Aim, Plan};
use deploy::receipt::Step;
use serde_json::{Value, json};

use super::running;
use crate::answer::{Answer, Failure};
use crate::args::Lock;
use crate::opened::Opened;
use crate::show::Show;
use crate::stop::told_to_stop;
use crate::when;
use crate::who::who;
use crate::working::{deploying, not_frozen, stuck, take_watched};

pub fn run(
    opened: &Opened,
    reference: Option<String>,
    only_if_changed: bool,
    lock: Lock,
    json: bool,
    lead: Option<&Lead<'_>>,
) -> Result<Answer, Failure> {
    possible(&opened.config, reference.as_deref())?;
    if opened.config.host.app.layout == Layout::Slots && opened.app.adopted().exists() {
        let what = "the app is adopted, and the tool it came from takes what is in releases/ for directories";
        return Err(Failure::refused(what)
            .still(opened.still())
            .next("keep layout = \"releases\" as long as that tool may be used again"));
    }
    not_frozen(opened)?;
    let show = Show::new(json);
    let mut watch = |event: &Event| show.event(event);
    let lock = take_watched(opened, lock, "deploy", &mut watch)?;
    // Frozen while we waited for the lock, perhaps.
    not_frozen(opened)?;
    let aim = Aim::Deploy { reference, only_if_changed };
    let who = who();
    let stop = match lead {
        Some(lead) => lead.stop(),
        None => told_to_stop(),
    };
    if let Some(text) = opened.keep_sent()? {
        watch(&Event::Warning { step: Step::Build, text });
    }
    let deploy = Deploy { stop, lead, ..deploying(opened, &lock, &who, &mut watch) };
    let outcome = go(opened, &deploy, aim)?;
    drop(deploy);
    drop(show);
    told(opened, &outcome)
}

/// Begins what `aim` says and runs it to its end.
pub fn go(opened: &Opened, deploy: &Deploy<'_>, aim: Aim) -> Result<Outcome, Failure> {
    let plan = Plan { aim, previous: deploy.live(), who: deploy.who.to_owned(), at_ms: now_ms() };
    let journal = Journal::begin(deploy.lock, plan.clone()).map_err(|error| stuck(opened, &error.into()))?;
    deploy.tell(Event::Begins {
        app: opened.config.host.app.name.clone(),
        live: plan.previous.as_ref().map(ToString::to_string),
        rollback: plan.is_rollback(),
        who: plan.who,
    });
    for text in notify::begins(deploy, &journal) {
        deploy.tell(Event::Warning { step: Step::Build, text });
    }
    let outcome = engine::run(deploy, journal).map_err(|error| stuck(opened, &error))?;
    if outcome.ending == Ending::Undone && deploy.fresh.get().is_some() {
        running::discard(opened, outcome.release.as_ref().map(|id| id.as_str()));
    }
    Ok(outcome)
}

/// Says what is live now; in failures, what is still true and what to do.
fn told(opened: &Opened, outcome: &Outcome) -> Result<Answer, Failure> {
    let name = &opened.config.host.app.name;
    let release = outcome.release.as_ref().map_or("the release".into(), ToString::to_string);
    let failed = || match &outcome.failure {
        Some((step, why)) if outcome.refused => Failure::refused(format!("{step} was refused: {why}")),
        Some((step, why)) => Failure::failed(format!("the deploy failed at {step}: {why}")),
        None => Failure::failed("the deploy failed"),
    };
    let logs = || {
        let dir = outcome.release.as_ref().map(|id| opened.app.logs(id.as_str()));
        match dir.filter(|dir| dir.is_dir()) {
            Some(dir) => format!("what its commands printed is in {}", dir.display()),
            None => "correct it and deploy again".into(),
        }
    };
    match outcome.ending {
        Ending::Live => {}
        Ending::Unchanged => {
            let text = format!("{name}: nothing changed, {}", opened.still());
            return Ok(Answer::new(text, object(opened, outcome)));
        }
        Ending::Undone if outcome.refused => {
            let next =
                "try again when it is over; app.slot_wait waits longer, app.slots gives more to choose from";
            return Err(failed().still(opened.still()).next(next));
        }
        Ending::Undone => return Err(failed().still(opened.still()).next(logs())),
        Ending::FlippedBack => {
            let live = opened.live().map_or("nothing".into(), |live| live.id.to_string());
            return Err(failed()
                .still(format!("{live} is live again; {release} is marked bad"))
                .next(logs()));
        }
        Ending::Unhealthy => {
            let still = format!("{release} is live, and there was nothing to flip back to");
            return Err(failed().still(still).next("correct it and deploy again"));
        }
    }
    let total: u64 = outcome.took_ms.iter().map(|(_, took)| took).sum();
    let took = |ms: u64| when::took(Duration::from_millis(ms));
    let steps: Vec<String> =
        outcome.took_ms.iter().map(|(step, ms)| format!("{step} {}", took(*ms))).collect();
    let was = outcome.left.as_ref().map_or("nothing was before".into(), |left| format!("{left} was"));
    let text = format!("{name}: {release} is live, {was}; {} ({})", took(total), steps.join(", "));
    let after: Vec<&String> = outcome.problems.iter().filter(|text| is_hook(text)).collect();
    if let Some(first) = after.first() {
        // Not flipped back, for the site is healthy; but CI has to know that a queue was not restarted.
        return Err(Failure::failed(first).still(format!("{release} is live and healthy")).next(logs()));
    }
    Ok(Answer::new(text, object(opened, outcome)))
}

fn is_hook(problem: &str) -> bool {
    ["undrain: ", "after_flip: ", "on_rollback: "].iter().any(|name| problem.starts_with(name))
}

/// The outcome for programs.
pub fn object(opened: &Opened, outcome: &Outcome) -> Value {
    json!({
        "app": opened.config.host.app.name,
        "ending": outcome.ending,
        "release": outcome.release.as_ref().map(ToString::to_string),
        "live": opened.live().ok().map(|live| live.id.to_string()),
        "was": outcome.left.as_ref().map(ToString::to_string),
        "took_us": outcome.flip_us,
        "took_ms": outcome.took_ms.iter().map(|(step, ms)| (step.name().to_owned(), json!(ms))).collect::<serde_json::Map<_, _>>(),
        "warnings": outcome.problems,
    })
}

/// Whether a deploy can be begun at all.
pub fn possible(config: &Config, reference: Option<&str>) -> Result<(), Failure> {
    let Some(source) = &config.host.source else {
        let what = format!("{} has no [source] to deploy from", config.host.file.display());
        return Err(Failure::usage(what).next("write [source] with one of dir, git, archive"));
    };
    let git = matches!(source.origin, config::host::Origin::Git { .. });
    if reference.is_some() && !git {
        return Err(Failure::usage("--ref only has a meaning with source.git").next("leave it out"));
    }
    if reference.is_some_and(|reference| reference.is_empty() || reference.starts_with('-')) {
        return Err(Failure::usage("--ref wants a branch, tag or commit").next("cutover deploy --help"));
    }
    Ok(())
}
