//! Server: an app in a directory of its own, and a `cutover serve` for it, ended with the test.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::client::{Reply, request};

/// An app on disk.
pub struct App {
    dir: TempDir,
    config: String,
}

/// An app that is served.
pub struct Server {
    pub app: App,
    pub child: Child,
    /// Ports, in the order of `listen`.
    pub ports: Vec<u16>,
}

/// Longer than anything takes on a busy machine: who waits so long waits for ever.
pub const LONG: Duration = Duration::from_secs(60);

pub const CUTOVER: &str = env!("CARGO_BIN_EXE_cutover");

impl App {
    /// An app whose docroot is `public`, listening on a free port. `config` is appended to its cutover.toml; a
    /// `[serve]` in it replaces ours.
    pub fn new(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut text = String::from("[app]\nname = \"shop\"\ndocroot = \"public\"\n");
        if !config.contains("[serve]") {
            text += "[serve]\nlisten = [\"127.0.0.1:0\"]\n";
        }
        text += config;
        let app = Self { dir, config: text };
        app.write_config(&app.config);
        app
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn config(&self) -> &str {
        &self.config
    }

    pub fn write_config(&self, text: &str) {
        fs::write(self.root().join("cutover.toml"), text).unwrap();
    }

    /// Adds files to a release; paths are relative to the release.
    pub fn release(self, id: &str, files: &[(&str, &str)]) -> Self {
        for (path, text) in files {
            let path = self.root().join("releases").join(id).join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        self
    }

    /// Seals a release.
    pub fn sealed(self, id: &str) -> Self {
        self.cutover(&["seal", id]);
        self
    }

    /// Makes a release live, as another tool would.
    pub fn live(self, id: &str) -> Self {
        self.link(&format!("releases/{id}"));
        self
    }

    /// Points the link at `target`, atomically.
    pub fn link(&self, target: &str) {
        let temp = self.root().join(".current.new");
        symlink(target, &temp).unwrap();
        fs::rename(&temp, self.root().join("current")).unwrap();
    }

    /// Runs a command of ours on the app; it must succeed.
    pub fn cutover(&self, args: &[&str]) -> String {
        let out = Command::new(CUTOVER).arg("-C").arg(self.root()).args(args).output().unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(out.status.success(), "cutover {args:?}: {}{}", said(&out.stdout), said(&out.stderr));
        said(&out.stdout)
    }

    /// Serves it.
    pub fn serve(self) -> Server {
        let mut command = Command::new(CUTOVER);
        command.arg("serve").arg(self.root());
        self.serve_by(command)
    }

    /// Serves it by this command.
    pub fn serve_by(self, mut command: Command) -> Server {
        let child = self.spawn(&mut command);
        let mut server = Server { app: self, child, ports: Vec::new() };
        server.await_ports();
        server
    }

    fn spawn(&self, command: &mut Command) -> Child {
        let log = fs::File::create(self.log()).unwrap();
        command.stdin(Stdio::null()).stderr(log).stdout(Stdio::null()).spawn().unwrap()
    }

    fn log(&self) -> PathBuf {
        self.root().join("serve.log")
    }
}

impl Server {
    fn await_ports(&mut self) {
        let sockets = self.app.config.matches("127.0.0.1:0").count();
        self.wait_for("the first line", |log| log.matches("listening on").count() >= sockets);
        self.ports = self.listening();
    }

    /// kill -9, and another server for the same app.
    pub fn kill_and_start_again(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = self.app.spawn(Command::new(CUTOVER).arg("serve").arg(self.app.root()));
        self.await_ports();
    }

    /// What the server logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.app.log()).unwrap()
    }

    /// Waits until the log satisfies `when`.
    pub fn wait_for(&self, what: &str, when: impl Fn(&str) -> bool) {
        let until = Instant::now() + LONG;
        while !when(&self.log()) {
            assert!(Instant::now() < until, "{what} did not come; the log says:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The ports the log names, in order, each once.
    pub fn listening(&self) -> Vec<u16> {
        let mut ports = Vec::new();
        for line in self.log().lines().filter(|line| line.contains("listening on")) {
            if let Some(port) = line.rsplit(':').next().and_then(|port| port.parse().ok())
                && !ports.contains(&port)
            {
                ports.push(port);
            }
        }
        ports
    }

    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    /// GET, on a connection of its own.
    pub fn get(&self, path: &str) -> Reply {
        request(self.port(), format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"))
    }

    /// GET with more header lines, each ended by CRLF.
    pub fn get_with(&self, path: &str, headers: &str) -> Reply {
        let head = format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n{headers}\r\n");
        request(self.port(), &head)
    }

    /// Sends a signal to the server.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits until the server's process has ended.
    pub fn ends(&mut self) -> bool {
        self.ends_within(LONG)
    }

    /// The same, at most so long.
    pub fn ends_within(&mut self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if self.child.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

pub fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.signal("TERM");
            if !self.ends_within(Duration::from_secs(3)) {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
            }
        }
    }
}
