//! Operator: the server's side of the control sockets, one per app.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::control::{Answer, Command, LINE_BYTES};
use crate::event::Event;
use crate::ground::{Ground, app_of};
use crate::listen::{self, Bound};
use crate::log::ErrorLog;
use crate::privileges::Account;

/// A control socket, bound.
pub struct Socket {
    path: PathBuf,
    bound: Bound,
}

/// How many commands are answered at once.
const PLACES: u32 = 16;

/// Where commands go.
pub struct Operator {
    events: mpsc::Sender<Event>,
    places: Arc<Semaphore>,
}

/// Binds the control socket of each app. A site without one is served all the same, and the log says why.
/// `taking_over`: the old process still listens there; its socket gives way.
pub fn bind(ground: &Ground, taking_over: bool, account: Option<&Account>) -> Vec<Socket> {
    let mut sockets = Vec::new();
    for site in &ground.served.sites {
        let Ok(app) = app_of(&site.config) else { continue };
        let path = app.serve_socket();
        match bind_one(path.clone(), taking_over, account) {
            Ok(bound) => sockets.push(Socket { path, bound }),
            Err(why) => ground.log.warn(
                &site.config.host.app.name,
                format_args!("no control socket, so no `cutover reload`: {why}"),
            ),
        }
    }
    sockets
}

fn bind_one(path: PathBuf, taking_over: bool, account: Option<&Account>) -> io::Result<Bound> {
    let dir = path.parent().map(std::path::Path::to_owned).unwrap_or_default();
    std::fs::create_dir_all(&dir)?;
    if taking_over && path.exists() {
        std::fs::remove_file(&path)?;
    }
    let at = config::value::ListenAt::Unix(path.clone());
    let bound = listen::bind(&at).map_err(io::Error::other)?;
    if let Some(account) = account.filter(|_| nix::unistd::geteuid().is_root()) {
        for path in [&dir, &path] {
            nix::unistd::chown(path, Some(account.uid), Some(account.gid))?;
        }
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660))?;
    Ok(bound)
}

impl Operator {
    /// An operator that puts commands into the process's queue.
    pub fn new(events: mpsc::Sender<Event>) -> Self {
        Self { events, places: Arc::new(Semaphore::new(PLACES as usize)) }
    }

    /// Waits, a second at most, until the answers that were given are sent: the answer to the command that ended the
    /// process is one of them, and a process without connections ends at once.
    pub async fn answers_sent(&self) {
        let all = self.places.acquire_many(PLACES);
        // Who is slow to read must not hold the process.
        drop(tokio::time::timeout(Duration::from_secs(1), all).await);
    }

    /// Answers on a control socket for as long as the process runs.
    pub fn listen(&self, socket: Socket, log: &ErrorLog) {
        let Socket { path, bound } = socket;
        let listener = match bound.listen() {
            Ok(listen::Listener::Unix(listener)) => listener,
            Ok(listen::Listener::Tcp(_)) => return,
            Err(why) => {
                log.warn("serve", format_args!("no control socket at {}: {why}", path.display()));
                return;
            }
        };
        tokio::spawn(accept(listener, self.events.clone(), Arc::clone(&self.places)));
    }
}

async fn accept(listener: UnixListener, events: mpsc::Sender<Event>, places: Arc<Semaphore>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        // Only now, so that an idle socket holds none.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let events = events.clone();
        tokio::spawn(async move {
            // Who hangs up early wants no answer.
            drop(tokio::time::timeout(Duration::from_secs(120), converse(stream, events)).await);
            drop(place);
        });
    }
}

async fn converse(mut stream: UnixStream, events: mpsc::Sender<Event>) -> io::Result<()> {
    let mut line = String::new();
    {
        let (reader, _) = stream.split();
        BufReader::new(reader.take(LINE_BYTES)).read_line(&mut line).await?;
    }
    let answer = match serde_json::from_str::<Command>(&line) {
        Err(why) => Answer::Failed(format!("not understood: {why}")),
        Ok(command) => {
            let (answer, answered) = oneshot::channel();
            match events.send(Event::Command(command, answer)).await {
                Err(_ended) => Answer::Failed("the server is ending".into()),
                Ok(()) => {
                    answered.await.unwrap_or_else(|_| Answer::Failed("the server ended meanwhile".into()))
                }
            }
        }
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    stream.write_all(&line).await
}
