//! Web: a web server with a configuration of a test's, in a temporary directory, for the doctor to look at.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use doctor::machine::Here;
use doctor::{Facts, Report, Targets};

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Apache,
    Caddy,
    Lighttpd,
    Nginx,
}

/// A directory with a shop in it, and a server's configuration.
pub struct Stand {
    kind: Kind,
    dir: tempfile::TempDir,
    port: u16,
}

/// A running server.
pub struct Web<'a> {
    stand: &'a Stand,
    child: Child,
}

impl Stand {
    /// In the configuration `{dir}` is the directory, `{port}` a free port, `{user}` who serves.
    pub fn new(kind: Kind, conf: &str) -> Stand {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let port = port();
        let stand = Stand { kind, dir, port };
        stand.file("shop/releases/r1/public/index.php", "<?php echo 'r1';");
        stand.file("shop/releases/r1/public/app.css", "r1");
        stand.file("shop/releases/r2/public/app.css", "r2");
        stand.link("shop/current", "releases/r1");
        stand.file("run/keep", "");
        // A server that has given its rights up still writes its log there.
        std::fs::set_permissions(stand.path("run"), std::fs::Permissions::from_mode(0o777)).unwrap();
        std::fs::write(stand.conf(), stand.filled(conf)).unwrap();
        stand
    }

    pub fn filled(&self, text: &str) -> String {
        let root = rustix::process::geteuid().is_root();
        let user = if root { "www-data".to_owned() } else { std::env::var("USER").unwrap_or_default() };
        text.replace("{dir}", self.dir.path().to_str().unwrap())
            .replace("{port}", &self.port.to_string())
            .replace("{user}", &user)
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    pub fn file(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[allow(clippy::disallowed_methods, reason = "what other tools do, and where nothing was before")]
    pub fn link(&self, path: &str, to: &str) {
        std::os::unix::fs::symlink(to, self.path(path)).unwrap();
    }

    /// As `ln -s` and `mv -T` do it.
    #[allow(clippy::disallowed_methods, reason = "as other tools flip")]
    pub fn flip(&self, to: &str) {
        self.link("shop/next", to);
        std::fs::rename(self.path("shop/next"), self.path("shop/current")).unwrap();
    }

    pub fn conf(&self) -> PathBuf {
        self.path(match self.kind {
            Kind::Apache => "apache2.conf",
            Kind::Caddy => "Caddyfile",
            Kind::Lighttpd => "lighttpd.conf",
            Kind::Nginx => "nginx.conf",
        })
    }

    pub fn targets(&self) -> Targets {
        let conf = vec![self.conf()];
        match self.kind {
            Kind::Apache => Targets { apache: conf, ..Targets::default() },
            Kind::Caddy => Targets { caddy: conf, ..Targets::default() },
            Kind::Lighttpd => Targets { lighttpd: conf, ..Targets::default() },
            Kind::Nginx => Targets { nginx: conf, ..Targets::default() },
        }
    }

    /// What the doctor says of it.
    pub fn report(&self) -> Report {
        Report::of(&Facts::look(&Here, &self.targets()))
    }

    /// The ids of what it finds, each once.
    pub fn found(&self) -> Vec<&'static str> {
        let report = self.report();
        let mut ids: Vec<_> = report.findings().map(|(check, _)| check.id).collect();
        ids.dedup();
        ids
    }

    /// Starts the server, and waits until it listens.
    pub fn start(&self) -> Web<'_> {
        let conf = self.conf();
        let (program, switches): (&str, Vec<&str>) = match self.kind {
            Kind::Apache => ("/usr/sbin/apache2", vec!["-D", "FOREGROUND", "-f"]),
            Kind::Caddy => ("/usr/bin/caddy", vec!["run", "--adapter", "caddyfile", "--config"]),
            Kind::Lighttpd => ("/usr/sbin/lighttpd", vec!["-D", "-f"]),
            Kind::Nginx => ("/usr/sbin/nginx", vec!["-g", "daemon off;", "-c"]),
        };
        let log = std::fs::File::create(self.path("run/said")).unwrap();
        let mut command = Command::new(program);
        command.args(switches).arg(&conf).current_dir("/").env("HOME", self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        let child = command.spawn().unwrap_or_else(|e| panic!("{program} is needed (scripts/setup): {e}"));
        let mut web = Web { stand: self, child };
        web.wait_until_ready();
        web
    }
}

impl Web<'_> {
    fn wait_until_ready(&mut self) {
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.stand.port)).is_err() {
            let ended = self.child.try_wait().unwrap();
            let said = std::fs::read_to_string(self.stand.path("run/said")).unwrap_or_default();
            let late = began.elapsed() > Duration::from_secs(60);
            assert!(ended.is_none() && !late, "{:?} does not start: {said}", self.stand.kind);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Status and body of an answer.
    pub fn get(&self, url: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.stand.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(stream, "GET {url} HTTP/1.0\r\nHost: shop.example.com\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

impl Drop for Web<'_> {
    fn drop(&mut self) {
        let child = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(child, rustix::process::Signal::TERM).ok();
        self.child.wait().ok();
    }
}

/// A port that nobody listens on, below those that connections are made from, and each time another one.
fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = std::process::id() as u16;
    let tries =
        (0..12_000).map(|_| 20_000 + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000);
    let mut free = tries.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().expect("a free port below 32000")
}

/// Says that a test is left out, and why.
pub fn skipped(name: &str, why: &str) {
    eprintln!("skipped: {name}: {why}");
}

/// Why a package's configuration is not as Debian ships it, if it is not.
pub fn altered(package: &str, dir: &Path) -> Option<String> {
    if !dir.exists() {
        return Some(format!("{} is not there", dir.display()));
    }
    let said = Command::new("dpkg").args(["--verify", package]).output().ok()?.stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    said.lines().find(|line| line.contains(" c ")).map(|line| format!("it is not as Debian ships it: {line}"))
}
