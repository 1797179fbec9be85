//! Drain: how a process ends: it takes no more, finishes what is in hand, and lets go of its pools.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc};

use crate::accept::Order;
use crate::control::{Answer, Command};
use crate::event::Event;
use crate::obey::status;
use crate::process::Process;
use crate::server::Server;

/// How often it is looked whether the time is over.
const TICK: Duration = Duration::from_millis(250);

/// Stops accepting, and waits until what is in hand is finished, `patience` at most.
pub async fn drain(
    server: &Arc<Server>,
    process: &Mutex<Process>,
    order: Order,
    patience: Duration,
    asked: &mut mpsc::Receiver<Event>,
) {
    let deadline = Instant::now() + patience;
    process.lock().await.close_doors(order).await;
    server.drain();
    server.log.info(
        "serve",
        format_args!("draining: {} connections, {} s at most", server.open(), patience.as_secs()),
    );
    while server.open() > 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            server.log.warn(
                "serve",
                format_args!("{} connections are cut: the drain's time is over", server.open()),
            );
            return;
        }
        tokio::select! {
            () = server.changed.notified() => {}
            () = tokio::time::sleep(left.min(TICK)) => {}
            event = asked.recv() => match event {
                Some(Event::Terminate) => {
                    server.log.warn("serve", format_args!("told twice to end: {} connections are cut", server.open()));
                    return;
                }
                Some(Event::Command(Command::Status, answer)) => {
                    let now = status(&*process.lock().await, server);
                    answer.send(Answer::Status(now)).unwrap_or_default();
                }
                Some(Event::Command(_, answer)) => {
                    answer.send(Answer::Failed("this server is draining".into())).unwrap_or_default();
                }
                Some(Event::Hangup | Event::Reopen) | None => {}
            },
        }
    }
}

/// Ends the pools, where no other process has taken them over.
pub async fn end(process: Arc<Mutex<Process>>, order: Order) {
    let pools = {
        let process = process.lock().await;
        process.flush_logs();
        // A worker does not end while it waits on a kept connection.
        process
            .sites()
            .iter()
            .filter_map(|site| site.masters.as_ref())
            .for_each(|masters| masters.close_idle());
        process.pools()
    };
    drop(process);
    if order == Order::Leave {
        return;
    }
    let stopping = tokio::task::spawn_blocking(move || {
        // All at once, whoever still holds them; then each is waited for.
        pools.iter().for_each(|pool| pool.end());
        for pool in pools {
            // What does not end in time is ended by its keeper.
            pool.stop(Duration::from_secs(5)).unwrap_or_default();
        }
    });
    stopping.await.unwrap_or_default();
}
