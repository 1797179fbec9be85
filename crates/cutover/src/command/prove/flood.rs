//! Flood: the preflight, the announcement, the load with its progress line, and what happens at Ctrl-C.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use prove::preflight::preflight;
use prove::progress::Progress;
use prove::run::RunError;
use prove::{Observations, Scenario};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::answer::Failure;
use serve::log::with_reasons;

/// How long what is under way may take to end after Ctrl-C.
const GRACE: Duration = Duration::from_secs(2);

const STOPPING: &str = "stopping: what was observed is judged (once more: what is under way is given up)";

/// Asks each page once, says what it will do, and does it.
pub fn flood(scenario: Scenario, json: bool) -> Result<Observations, Failure> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(async {
        let began = jiff::Timestamp::now();
        preflight(&scenario).await.map_err(|error| {
            Failure::usage(with_reasons(&error)).still("nothing was flooded, nothing was flipped")
        })?;
        announce(&scenario, json)?;
        let progress = Arc::clone(&scenario.progress);
        let flooding = prove::run(scenario);
        let observed = tokio::select! {
            observed = flooding => observed,
            never = watch(&progress) => match never {},
        };
        let mut observed = observed.map_err(|error| match &error {
            RunError::Nothing | RunError::Page(_) => Failure::usage(with_reasons(&error)),
            RunError::First { .. } => {
                Failure::usage(with_reasons(&error)).still("nothing was flooded").next("correct how it flips")
            }
            RunError::Broken(_) | RunError::Runtime(_) => Failure::failed(with_reasons(&error)),
        })?;
        observed.began = began.to_string();
        Ok(observed)
    })
}

/// To whom, how much: before it begins, so that whoever sees a mistake can stop it.
fn announce(scenario: &Scenario, json: bool) -> Result<(), Failure> {
    let line = format!("flooding {}: {}", scenario.target, scenario.describe());
    // On stderr where stdout is for a program.
    let written =
        if json { writeln!(std::io::stderr(), "{line}") } else { writeln!(std::io::stdout(), "{line}") };
    written.map_err(|error| Failure::failed(format!("cannot say what is flooded: {error}")))
}

enum Never {}

/// Shows the progress, and ends the load at a signal; at the second, or when nothing comes to an end, at once.
async fn watch(progress: &Progress) -> Never {
    let bar = ProgressBar::new_spinner().with_finish(ProgressFinish::AndClear);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt()).ok(), signal(SignalKind::terminate()).ok());
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    let (mut last, mut asked) = ((Instant::now(), 0), None::<Instant>);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = heard(&mut interrupt, &mut terminate) => {
                if asked.is_some() {
                    progress.abandon();
                }
                progress.stop();
                asked.get_or_insert_with(Instant::now);
                let told = bar.suspend(|| writeln!(std::io::stderr(), "{STOPPING}"));
                // Nobody reads it: it stops all the same.
                told.unwrap_or_default();
            }
        }
        if asked.is_some_and(|asked| asked.elapsed() > GRACE) {
            progress.abandon();
        }
        let (now, answered) = (Instant::now(), progress.answered());
        let seconds = now.duration_since(last.0).as_secs_f64();
        let rate = if seconds > 0.01 { (answered - last.1) as f64 / seconds } else { 0.0 };
        last = (now, answered);
        bar.set_message(format!(
            "{answered} answers ({rate:.0}/s) on {} connections, {} flips, {} suspect",
            progress.connections(),
            progress.flipped(),
            progress.suspect()
        ));
        bar.tick();
    }
}

async fn heard(interrupt: &mut Option<Signal>, terminate: &mut Option<Signal>) {
    tokio::select! {
        () = one(interrupt) => {}
        () = one(terminate) => {}
    }
}

/// A signal that cannot be listened for ends the process, as it always does.
async fn one(signal: &mut Option<Signal>) {
    let came = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if came.is_none() {
        std::future::pending().await
    }
}
