//! Show: a deploy as it goes: a step list on a terminal, plain lines elsewhere, one JSON object a line with --json.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use std::time::Duration;

use deploy::event::Event;
use deploy::host::link::Sender;
use deploy::host::message::Far;
use deploy::receipt::Step;
use indicatif::{ProgressBar, ProgressStyle};

use crate::when;

/// Where events go when this process is the far end of a connection.
static NEAR: OnceLock<Sender> = OnceLock::new();

/// From now on events are shown at the near end.
pub fn at_the_near_end(sender: &Sender) {
    NEAR.get_or_init(|| sender.clone());
}

/// Where events go.
pub enum Show {
    /// To the near end of a connection.
    Near(&'static Sender),
    /// Nowhere.
    Nothing,
    /// A line of JSON each, on stdout.
    Json,
    /// Lines on stdout.
    Plain,
    /// A line that moves, on stderr, and lines above it.
    Terminal(ProgressBar),
}

impl Show {
    /// The form that fits: `json` was asked for, or stderr is a terminal, or neither.
    pub fn new(json: bool) -> Show {
        if let Some(sender) = NEAR.get() {
            return Show::Near(sender);
        }
        if json {
            return Show::Json;
        }
        if !std::io::stderr().is_terminal() || !std::io::stdout().is_terminal() {
            return Show::Plain;
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Show::Terminal(bar)
    }

    /// Shows one event.
    pub fn event(&self, event: &Event) {
        match self {
            // Nobody may be there any more; the deploy goes on, or is undone, all the same.
            Show::Near(sender) => sender.say(&Far::Event(event.clone())).unwrap_or(()),
            Show::Nothing => {}
            Show::Json => {
                if let Ok(line) = serde_json::to_string(event) {
                    out(&line);
                }
            }
            Show::Plain => {
                if let Some(line) = line(event) {
                    out(&line);
                }
            }
            Show::Terminal(bar) => {
                if let Some(now) = now(event) {
                    bar.set_message(now);
                }
                if let Some(line) = line(event) {
                    bar.println(line);
                }
            }
        }
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        if let Show::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// What is told in a line of its own.
fn line(event: &Event) -> Option<String> {
    let step = |step: &Step| format!("{:<9}", step.name());
    Some(match event {
        // Steps that take no time would only be noise before they are done.
        Event::Begins { .. }
        | Event::Started { .. }
        | Event::Named { .. }
        | Event::Progress { .. }
        | Event::Ended { .. } => return None,
        Event::Recovers { release, how } => {
            format!("the deploy of {}: {how}", release.as_deref().unwrap_or("a release"))
        }
        Event::Command { step: at, command } => format!("{}$ {command}", step(at)),
        Event::Output { line, .. } => format!("         | {line}"),
        Event::Warning { step: at, text } => format!("{}warning: {text}", step(at)),
        Event::Done { step: at, took_ms, told } => {
            let took = when::took(Duration::from_millis(*took_ms));
            format!("{}{took:>9}  {told}", step(at)).trim_end().to_owned()
        }
        Event::Failed { step: at, why } => format!("{}failed: {why}", step(at)),
    })
}

/// What is told in the line that moves.
fn now(event: &Event) -> Option<String> {
    match event {
        Event::Started { step } => Some(step.name().to_owned()),
        Event::Progress { step, done, total: 0 } => Some(format!("{step} {done} files")),
        Event::Progress { step, done, total } => Some(format!("{step} {done} of {total} files")),
        Event::Command { step, command } => Some(format!("{step}: {command}")),
        Event::Begins { .. }
        | Event::Named { .. }
        | Event::Recovers { .. }
        | Event::Output { .. }
        | Event::Warning { .. }
        | Event::Done { .. }
        | Event::Failed { .. }
        | Event::Ended { .. } => None,
    }
}

fn out(line: &str) {
    // Whoever read us may be gone; the deploy goes on.
    writeln!(std::io::stdout(), "{line}").unwrap_or(());
}
