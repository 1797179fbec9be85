//! Notice: what `exec` says beside its command: to stderr, and to systemd where that listens.

use std::io::Write;

use sd_notify::NotifyState;

/// To stderr; nobody may be there to read it.
pub fn say(text: &str) {
    writeln!(std::io::stderr(), "cutover: {text}").unwrap_or(());
}

/// To stderr, and as the unit's status.
pub fn tell(text: &str) {
    say(text);
    notify(&[NotifyState::Status(text)]);
}

/// The first worker runs.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// No other worker will be started.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Without systemd there is nobody to tell; with it, what it does not take it will miss by itself.
fn notify(states: &[NotifyState<'_>]) {
    drop(sd_notify::notify(states));
}
