//! Accept: takes connections off a listening socket, as many as there are places for.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::connection::{self, Accepted};
use crate::door::Door;
use crate::listen::Listener;
use crate::server::Server;

/// How accepting ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Not yet.
    Accept,
    /// At once: another process accepts from the same socket.
    Leave,
    /// After those that already wait in the backlog, for nobody else will take them.
    Clear,
}

/// A running accept loop.
pub struct Accepting {
    order: watch::Sender<Order>,
    task: JoinHandle<()>,
}

impl Accepting {
    /// Begins to accept.
    pub fn start(server: Arc<Server>, door: Arc<Door>, listener: Listener) -> Self {
        let (order, orders) = watch::channel(Order::Accept);
        Self { order, task: tokio::spawn(accept(server, door, listener, orders)) }
    }

    /// Ends accepting, and waits until it has ended.
    pub async fn end(self, order: Order) {
        self.order.send_replace(order);
        // The task ends by itself; a panic in it was reported by the runtime.
        self.task.await.unwrap_or_default();
    }
}

async fn accept(
    server: Arc<Server>,
    door: Arc<Door>,
    listener: Listener,
    mut orders: watch::Receiver<Order>,
) {
    loop {
        // A place first: while there is none, clients wait in the backlog instead of being turned away.
        let place = tokio::select! {
            biased;
            _changed = orders.changed() => break,
            place = Arc::clone(&server.places).acquire_owned() => match place {
                Ok(place) => place,
                Err(_closed) => return,
            },
        };
        let accepted = tokio::select! {
            biased;
            _changed = orders.changed() => break,
            accepted = one(&listener) => accepted,
        };
        match accepted {
            Ok(accepted) => {
                tokio::spawn(connection::run(Arc::clone(&server), Arc::clone(&door), accepted, place));
            }
            Err(why) => pause(&server, &door, &why).await,
        }
    }
    if *orders.borrow() == Order::Clear {
        clear(&server, &door, &listener).await;
    }
}

async fn one(listener: &Listener) -> io::Result<Accepted> {
    match listener {
        Listener::Tcp(socket) => socket.accept().await.map(|(stream, peer)| Accepted::Tcp(stream, peer)),
        Listener::Unix(socket) => socket.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
    }
}

/// Takes what already waits; a backlog that is closed is reset, and its clients would see an error.
async fn clear(server: &Arc<Server>, door: &Arc<Door>, listener: &Listener) {
    let patience = Duration::from_millis(20);
    while let Ok(Ok(accepted)) = tokio::time::timeout(patience, one(listener)).await {
        if let Ok(place) = Arc::clone(&server.places).try_acquire_owned() {
            tokio::spawn(connection::run(Arc::clone(server), Arc::clone(door), accepted, place));
        }
    }
}

async fn pause(server: &Server, door: &Door, why: &io::Error) {
    // ECONNABORTED and the like concern one client; running out of descriptors or memory concerns all.
    if matches!(why.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    server.log.error("serve", format_args!("cannot accept on {}: {why}; trying again", door.at));
    tokio::time::sleep(Duration::from_millis(100)).await;
}
