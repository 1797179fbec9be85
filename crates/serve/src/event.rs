//! Event: what a process is told while it serves, by its operators and by signals.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::control::{Answer, Command};

/// Something that a process is told.
pub enum Event {
    /// A command, and where its answer goes.
    Command(Command, oneshot::Sender<Answer>),
    /// To end.
    Terminate,
    /// To read its configuration again.
    Hangup,
    /// To open its logs anew.
    Reopen,
}

/// Passes signals on.
pub fn watch_signals(events: &mpsc::Sender<Event>) -> io::Result<()> {
    let kinds: [(SignalKind, fn() -> Event); 4] = [
        (SignalKind::terminate(), || Event::Terminate),
        (SignalKind::interrupt(), || Event::Terminate),
        (SignalKind::hangup(), || Event::Hangup),
        (SignalKind::user_defined1(), || Event::Reopen),
    ];
    for (kind, event) in kinds {
        let mut signals = signal(kind)?;
        let events = events.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if events.send(event()).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}
