//! Follow: nginx in reload mode is told of a flip, so that no request is lost and none is stale.
//!
//! ```text
//! prepare   nginx -T; a note that nginx is being told; the included file, renamed into place; nginx -s reload;
//!           wait until new workers take connections and no old one does; the note removed
//! flip      the link is renamed
//! follow    the mark is made
//! ```
//! The master keeps the listening sockets all the while. Old workers go on with the requests that they have. Killed in
//! between, the link and the file tell the next command what is to be done still.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use config::host::{Layout, NginxMode};
use deploy::follower::Follower;
use release::{ReleaseId, atomic, live};

use super::of_app;
use super::turn::{Place, Turn};
use super::workers::{self, Workers};
use crate::opened::Opened;
use crate::webserver::{Kind, Reload, WebServer};

/// How often is looked whether the new workers have taken over.
const PAUSE: Duration = Duration::from_millis(2);
/// Marks stay for workers that are long at work; none is as long as this.
const MARKS_STAY: Duration = Duration::from_secs(24 * 3600);
/// What the names of marks begin with; milliseconds since 1970 follow.
const MARK: &str = "turned-";

/// The nginx of an app in reload mode.
pub struct Following<'a>(&'a Opened);

/// The nginx that has to be told of flips, if the app has one.
pub fn following(opened: &Opened) -> Option<Following<'_>> {
    let host = &opened.config.host;
    let wanted = host.nginx.mode == NginxMode::Reload && host.app.layout == Layout::Releases;
    wanted.then_some(Following(opened))
}

impl Following<'_> {
    /// Writes the included file if it is not there or not what cutover.toml makes of it; says whether it did.
    pub fn write(&self) -> Result<bool, String> {
        let text = match self.turn() {
            Some(turn) => of_app(self.0, NginxMode::Reload).turn(&turn)?,
            None => {
                let live = self.live()?;
                of_app(self.0, NginxMode::Reload).turn(&Turn {
                    mark: new_mark(None),
                    before: live.clone(),
                    after: live,
                })?
            }
        };
        let file = included(self.0);
        if std::fs::read(&file).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(false);
        }
        self.make_room()?;
        atomic::replace(&file, text.as_bytes()).map(|()| true).map_err(|error| error.to_string())
    }

    /// Has nginx know both what it serves now and `next`.
    fn introduce(&self, next: Place) -> Result<(), String> {
        let (opened, note) = (self.0, self.note());
        let turn = self.turn();
        let serves = turn.as_ref().map(|turn| self.serves(turn));
        let known = turn.as_ref().is_some_and(|turn| turn.after == next) || serves == Some(&next);
        if known && !note.exists() {
            return Ok(());
        }
        let mark = new_mark(turn.as_ref());
        let before = serves.cloned().or_else(|| self.live().ok()).unwrap_or_else(|| next.clone());
        let text = of_app(opened, NginxMode::Reload).turn(&Turn { mark, before, after: next })?;
        let server = server(&opened.config.host.nginx.command);
        // What `nginx -t` says, and the configuration.
        let printed =
            server.call(&["-T"]).map_err(|said| format!("nginx would refuse to be reloaded:\n{said}"))?;
        let master = workers::master(&printed);
        let before = Workers::look(master);
        self.make_room()?;
        atomic::replace(&note, b"\n")
            .and_then(|()| atomic::replace(&included(opened), text.as_bytes()))
            .map_err(|error| error.to_string())?;
        match server.reload() {
            Err(said) => return Err(format!("nginx cannot be reloaded:\n{said}")),
            Ok(Reload::DoesNotRun) => {}
            Ok(Reload::Told) => self.wait(&before, master)?,
        }
        atomic::remove(&note).map_err(|error| error.to_string())
    }

    fn wait(&self, before: &Workers, master: Option<u32>) -> Result<(), String> {
        let takeover = self.0.config.host.nginx.takeover;
        let until = Instant::now() + takeover;
        while !Workers::look(master).took_over(before) {
            if Instant::now() >= until {
                let why = match before.is_empty() {
                    true => "its processes cannot be seen from here, so nobody knows when it has taken over",
                    false => "its new workers have not taken over",
                };
                return Err(format!(
                    "nginx was reloaded, but {why} (waited {takeover:?}, nginx.takeover; its error log may say more)"
                ));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// What nginx knows, by the included file.
    fn turn(&self) -> Option<Turn> {
        Turn::parse(&std::fs::read_to_string(included(self.0)).ok()?)
    }

    fn serves<'t>(&self, turn: &'t Turn) -> &'t Place {
        if self.mark(&turn.mark).exists() { &turn.after } else { &turn.before }
    }

    fn live(&self) -> Result<Place, String> {
        let live = live::read(&self.0.app).map_err(|error| error.to_string())?;
        Ok(Place { id: live.id.to_string(), dir: live.dir.join(&live.below) })
    }

    /// Where a release will be when the link leads to it.
    fn place(&self, id: &ReleaseId) -> Result<Place, String> {
        let dir =
            self.0.app.release_dir(id).map_err(|error| format!("release {id} cannot be found: {error}"))?;
        let below = live::read(&self.0.app).map(|live| live.below).unwrap_or_default();
        Ok(Place { id: id.to_string(), dir: dir.join(below) })
    }

    /// There while nginx is being told.
    fn note(&self) -> PathBuf {
        self.0.app.nginx().join("told")
    }

    fn mark(&self, name: &str) -> PathBuf {
        included(self.0).with_file_name(name)
    }

    /// Makes the directories, and removes the marks that nobody looks for any more.
    fn make_room(&self) -> Result<(), String> {
        let dir = included(self.0).parent().map_or_else(|| self.0.app.nginx(), PathBuf::from);
        [&dir, &self.0.app.nginx()]
            .into_iter()
            .try_for_each(|dir| atomic::make_dir(dir))
            .map_err(|error| error.to_string())?;
        let now = now_ms();
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let made = name.to_str().and_then(made_at);
            let current = self.turn().is_some_and(|turn| name == *turn.mark);
            if made.is_some_and(|made| made + MARKS_STAY.as_millis() < now) && !current {
                atomic::remove(&entry.path()).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }
}

impl Follower for Following<'_> {
    fn prepare(&self, next: &ReleaseId) -> Result<(), String> {
        self.introduce(self.place(next)?)
    }

    fn follow(&self) -> Result<(), String> {
        let live = self.live().map_err(|why| format!("nginx was told nothing: {why}"))?;
        let failed = |why: String| {
            format!("{} is live by the link, but nginx may serve another release still: {why}", live.id)
        };
        if self.turn().is_some_and(|turn| *self.serves(&turn) == live) {
            return Ok(());
        }
        self.introduce(live.clone()).map_err(failed)?;
        let turn = self.turn().ok_or_else(|| failed(format!("{} is gone", included(self.0).display())))?;
        atomic::replace(&self.mark(&turn.mark), b"").map_err(|error| failed(error.to_string()))
    }
}

/// The file that each flip rewrites.
pub fn included(opened: &Opened) -> PathBuf {
    match &opened.config.host.nginx.include {
        Some(file) => opened.app.root().join(file),
        None => opened.app.nginx().join("releases.conf"),
    }
}

/// How nginx is called.
pub fn server(command: &str) -> WebServer<'_> {
    WebServer { kind: Kind::Nginx, command }
}

/// The name of a mark that nobody has made yet.
fn new_mark(last: Option<&Turn>) -> String {
    let last = last.and_then(|turn| made_at(&turn.mark)).unwrap_or(0);
    format!("{MARK}{}", now_ms().max(last + 1))
}

/// When a mark got its name.
fn made_at(name: &str) -> Option<u128> {
    name.strip_prefix(MARK)?.parse().ok()
}

fn now_ms() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis()
}
