//! Stand: an app behind the gateway, with a web server in front of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serve::control::{self, Answer, Status};

use super::front::{Front, Kind};
use crate::serve::client::{Reply, request};
use crate::serve::server::{App, Server};
use crate::web::ids;

/// The gateway, over TCP and a Unix socket; php-fpm is embedded.
pub const CONFIG: &str = "[serve]\nlisten = [\"fcgi:127.0.0.1:0\", \"fcgi:unix:/ROOT/fcgi.sock\"]\n\
                          [php]\nfpm = \"embedded\"\nfront = \"index.php\"\nworkers = 4\n\
                          [php.ini]\n\"opcache.file_update_protection\" = \"0\"\n";

/// Serves it by the gateway.
pub fn serve(app: App) -> Server {
    let text = app.config().replace("/ROOT", &app.root().display().to_string());
    serve_as(app, &text)
}

/// The same with this configuration.
pub fn serve_as(app: App, text: &str) -> Server {
    app.write_config(text);
    // Neither php-fpm's workers nor the web server's are root.
    fs::set_permissions(app.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let server = app.serve();
    let socket = server.app.root().join("fcgi.sock");
    fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).unwrap();
    server
}

/// Lays the probe application, and gives the configuration that serves it: its releases are their docroots.
pub fn probe(app: &App) -> String {
    let work = app.root().join("probe");
    prove::probe::scaffold(&work, &ids()).unwrap();
    for name in ["releases", "current"] {
        fs::rename(work.join(name), app.root().join(name)).unwrap();
    }
    let text = app.config().replace("/ROOT", &app.root().display().to_string());
    text.replace("docroot = \"public\"", "docroot = \"\"")
}

/// What the server says of itself, when its operator asks.
pub fn status(server: &Server) -> Status {
    let socket = server.app.root().join(".cutover/run/serve.sock");
    let answer = control::ask(&socket, &control::Command::Status, Duration::from_secs(60)).unwrap();
    let Answer::Status(status) = answer else { panic!("{answer:?}") };
    status
}

/// Waits, a minute at most, until it is so.
pub fn until(what: &str, server: &Server, mut is: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < until, "it never came to that: {what}\n{}", server.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A web server before the gateway.
pub struct Stand {
    // Ended first.
    pub front: Front,
    pub server: Server,
    pub dir: tempfile::TempDir,
}

impl Stand {
    /// Puts a web server in front; the docroot lies at `docroot` below the link.
    pub fn of(server: Server, kind: Kind, docroot: &str) -> Stand {
        let port = server.port();
        Stand::of_passed(server, kind, docroot, port)
    }

    /// The same where the gateway's port is not its own.
    pub fn of_passed(server: Server, kind: Kind, docroot: &str, port: u16) -> Stand {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let front = kind.start(dir.path(), server.app.root(), docroot, port);
        Stand { front, server, dir }
    }

    /// What web server and gateway logged.
    pub fn said(&self) -> String {
        format!("{}\n{}", self.front.said(self.dir.path()), self.server.log())
    }

    pub fn get(&self, path: &str) -> Reply {
        // HTTP/1.0, so that no web server sends it in chunks.
        self.ask(format!("GET {path} HTTP/1.0\r\nHost: shop.example.com\r\n\r\n"))
    }

    pub fn ask(&self, bytes: impl AsRef<[u8]>) -> Reply {
        request(self.front.port, bytes)
    }
}
