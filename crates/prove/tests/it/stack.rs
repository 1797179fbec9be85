//! Stack: a private web server and php-fpm in a temporary directory, over the probe application.

use crate::peer::{Peer, Place, Template};
use prove::Target;
use prove::probe;
use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub struct Stack {
    dir: TempDir,
    target: Target,
    running: Vec<Child>,
}

impl Stack {
    pub fn start(ids: &[String], peer: Peer) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // The servers give up root's rights where we have them.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        probe::scaffold(&dir.path().join("app"), ids).unwrap();
        let mut stack = Self { target: Target::unix(dir.path().join("peer.sock")), dir, running: Vec::new() };
        let fpm = stack.run(Template::PHP_FPM, 0);
        let socket = stack.dir.path().join("fpm.sock");
        assert!(stack.answers(fpm, || UnixStream::connect(&socket).is_ok()), "{}", stack.said());
        let socket = stack.dir.path().join("peer.sock");
        if peer.template().takes_unix_socket() {
            let server = stack.run(peer.template(), 0);
            assert!(stack.answers(server, || UnixStream::connect(&socket).is_ok()), "{}", stack.said());
            return stack;
        }
        // Between finding a free port and listening on it somebody else may take it: then another.
        for _ in 0..5 {
            let port = crate::port::free();
            let server = stack.run(peer.template(), port);
            let address = ([127, 0, 0, 1], port).into();
            if stack.answers(server, || TcpStream::connect(address).is_ok()) {
                stack.target = Target::tcp(address);
                return stack;
            }
        }
        panic!("{peer:?} never came: {}", stack.said());
    }

    pub fn target(&self) -> Target {
        self.target.clone()
    }

    pub fn link(&self) -> PathBuf {
        self.dir.path().join("app/current")
    }

    /// Starts what a template describes; gives its number among the running.
    fn run(&mut self, template: Template, port: u16) -> usize {
        let link = self.link();
        let place = Place { dir: self.dir.path(), link: &link, port };
        let package = template.package();
        let conf = self.dir.path().join(format!("{package}.conf"));
        fs::write(&conf, template.conf(&place)).unwrap();
        let words = template.run(&place, &conf);
        let out = File::create(self.dir.path().join(format!("{package}.out"))).unwrap();
        let child = Command::new(&words[0])
            .args(&words[1..])
            // Caddy keeps its state below the home directory.
            .env("HOME", self.dir.path())
            // Apache ends by a signal to its whole group, which must not be ours.
            .process_group(0)
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap_or_else(|why| panic!("cannot run {} ({why}): install the package {package}", words[0]));
        self.running.push(child);
        self.running.len() - 1
    }

    /// Waits until the server answers; `false` if it ended instead.
    fn answers(&mut self, server: usize, answers: impl Fn() -> bool) -> bool {
        let began = Instant::now();
        while !answers() {
            if self.running[server].try_wait().unwrap().is_some() {
                return false;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "a server never came: {}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    fn said(&self) -> String {
        let is_log = |path: &Path| path.extension().is_some_and(|end| end == "log" || end == "out");
        let paths = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| is_log(path)).map(|path| fs::read_to_string(path).unwrap_or_default()).collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for child in self.running.iter_mut().rev() {
            // SIGTERM, so that the masters take their workers with them; a kill would leave those behind.
            Command::new("/bin/kill").arg(child.id().to_string()).output().unwrap();
            child.wait().unwrap();
        }
    }
}
