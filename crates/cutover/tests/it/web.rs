//! The probe application and its php-fpm, for a web server of other people's to serve; and the judge.

#![expect(clippy::disallowed_methods, reason = "tests flip as other tools do")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use prove::page::{Answer, Ask, Page};
use prove::probe::{self, pages};
use prove::scenario::{Load, Pace, Scenario};
use prove::{Flipper, Observations, Target, Verdicts, judge, report, run_blocking};
use tempfile::TempDir;

use crate::serve::client::{Reply, request};

pub const CUTOVER: &str = env!("CARGO_BIN_EXE_cutover");

/// An app, its pools, and what else was started for it.
pub struct Site {
    pub dir: TempDir,
    pub port: u16,
    running: Vec<Child>,
}

/// How much a proof is asked.
pub struct Much {
    pub requests: u64,
    pub flips: u64,
    pub pace: Pace,
}

pub fn ids() -> Vec<String> {
    ["r1", "r2"].map(str::to_owned).into()
}

/// Whether the promises are to be tried as they are worded; it takes minutes.
pub fn full() -> bool {
    std::env::var("CUTOVER_PROMISE").is_ok_and(|what| what == "full")
}

/// Flips spread over the load: 100,000 requests and 3,000 flips in full.
pub fn spread() -> Much {
    let (requests, flips) = if full() { (100_000, 3_000) } else { (12_000, 600) };
    Much { requests, flips, pace: Pace::Spread }
}

/// A flip each millisecond.
pub fn a_thousand_per_second() -> Much {
    let (requests, flips) = if full() { (100_000, 30_000) } else { (10_000, 3_000) };
    Much { requests, flips, pace: Pace::Each(Duration::from_millis(1)) }
}

impl Site {
    /// The probe application with so many pools. `more` is appended to its cutover.toml.
    pub fn lay(more: &str, pools: usize) -> Site {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        probe::scaffold(&dir.path().join("app"), &ids()).unwrap();
        let mut site = Site { port: free_port(), dir, running: Vec::new() };
        let sockets: Vec<PathBuf> = (0..pools).map(|n| site.path(&format!("fpm{n}.sock"))).collect();
        let fpm: Vec<String> = sockets.iter().map(|path| format!("\"unix:{}\"", path.display())).collect();
        let config = format!(
            "[app]\nname = \"probe\"\nroot = \".\"\n[php]\nfpm = [{}]\nfront = \"index.php\"\n\
             [serve]\nlisten = [\"127.0.0.1:{}\"]\n{more}",
            fpm.join(", "),
            site.port
        );
        fs::write(site.path("app/cutover.toml"), config).unwrap();
        ids().iter().for_each(|id| drop(site.cutover(&["seal", id])));
        site.fpm(&sockets);
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn fpm(&mut self, sockets: &[PathBuf]) {
        let conf = self.path("fpm.conf");
        let mut text = format!("[global]\nerror_log = {}\ndaemonize = no\n", self.path("fpm.log").display());
        for (number, socket) in sockets.iter().enumerate() {
            text += &format!(
                "[www{number}]\nlisten = {}\nlisten.mode = 0666\nuser = www-data\ngroup = www-data\npm = static\n\
                 pm.max_children = 4\nphp_admin_value[opcache.file_update_protection] = 0\n",
                socket.display()
            );
        }
        fs::write(&conf, text).unwrap();
        let mut command = Command::new("/usr/sbin/php-fpm8.2");
        command.args(["-F", "-y"]).arg(&conf);
        self.run(&mut command);
        self.until(|| sockets.iter().all(|socket| UnixStream::connect(socket).is_ok()));
    }

    /// Starts a server, which goes with the site.
    pub fn run(&mut self, command: &mut Command) {
        let log = fs::File::options().create(true).append(true).open(self.path("out.log")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        self.running.push(child.unwrap_or_else(|why| panic!("{command:?}: {why}: see scripts/setup")));
    }

    pub fn until(&self, there: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !there() {
            let said = || fs::read_to_string(self.path("out.log")).unwrap_or_default();
            assert!(Instant::now() < until, "it never came to that: {}", said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A script that says that it has begun, and goes on with this when the gate is open.
    pub fn at_the_gate(&self, then: &str) -> String {
        let begun = self.path("begun");
        fs::create_dir_all(&begun).unwrap();
        // PHP runs as another user than root.
        fs::set_permissions(&begun, fs::Permissions::from_mode(0o777)).unwrap();
        let (begun, gate) = (begun.display(), self.path("gate"));
        let wait =
            format!("while (!file_exists('{}')) {{ clearstatcache(); usleep(2000); }}", gate.display());
        format!("<?php touch('{begun}/php'); {wait} {then}")
    }

    /// Waits until a script is at the gate.
    pub fn until_begun(&self) {
        self.until(|| self.path("begun/php").exists());
    }

    pub fn open(&self) {
        fs::write(self.path("gate"), "").unwrap();
    }

    pub fn file(&self, release: &str, name: &str, text: &str) {
        let path = self.path("app/releases").join(release).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Puts another text into cutover.toml.
    pub fn change(&self, from: &str, to: &str) {
        let file = self.path("app/cutover.toml");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        fs::write(file, text.replace(from, to)).unwrap();
    }

    /// Flips as other tools do.
    pub fn flip(&self, text: &str) {
        let (link, fresh) = (self.path("app/current"), self.path("app/.fresh"));
        symlink(text, &fresh).unwrap();
        fs::rename(fresh, link).unwrap();
    }

    /// Runs a command on the app, which may fail.
    pub fn tries(&self, words: &[&str]) -> Output {
        Command::new(CUTOVER).arg("-C").arg(self.path("app")).args(words).output().unwrap()
    }

    /// Runs a command on the app; what it said.
    pub fn cutover(&self, words: &[&str]) -> String {
        let out = self.tries(words);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{words:?}: {said}{}", String::from_utf8_lossy(&out.stdout));
        String::from_utf8(out.stdout).unwrap()
    }

    pub fn get(&self, path: &str) -> Reply {
        self.get_with(path, "")
    }

    /// With more header lines, each with its line end.
    pub fn get_with(&self, path: &str, lines: &str) -> Reply {
        request(self.port, format!("GET {path} HTTP/1.0\r\nHost: probe.test\r\n{lines}\r\n"))
    }

    /// Floods the site's pages and these, while `by` flips.
    pub fn flood(&self, by: Flipper, much: &Much, more: Vec<Page>) -> (Observations, Verdicts) {
        let target = Target::parse(&format!("http://127.0.0.1:{}", self.port)).unwrap();
        let mut all = pages::pages(&ids(), pages::Kind::Php);
        all.extend(more);
        let mut scenario = Scenario::new(target, ids(), all, by);
        let at_most = Duration::from_secs(3600);
        scenario.load =
            Load { connections: 8, closing: 3, requests: much.requests, at_most, ..Load::default() };
        scenario.flips.count = much.flips;
        scenario.flips.pace = much.pace;
        let observed = run_blocking(scenario).unwrap();
        let verdicts = judge(&observed).unwrap();
        println!("{}", report::text(&observed, &verdicts));
        assert!(verdicts.by_page.iter().all(|page| page.ok > 0), "each page was asked");
        (observed, verdicts)
    }

    /// Floods it while another tool flips: nothing may be failed, mixed or stale.
    pub fn holds(&self, much: &Much, more: Vec<Page>) {
        let (_, verdicts) = self.flood(Flipper::link(self.path("app/current")), much, more);
        assert!(verdicts.holds(), "{:?}", verdicts.total);
        assert!(verdicts.total.ok >= much.requests, "{:?}", verdicts.total);
    }
}

/// A page that each release answers with this status and body, `{}` being its id.
pub fn page(path: &str, status: u16, body: &str) -> Page {
    let answers = ids().iter().map(|id| Answer::of(status, body.replace("{}", id))).collect();
    Page::exact(path, 10, Ask::get(path), answers)
}

impl Drop for Site {
    fn drop(&mut self) {
        for child in self.running.iter_mut().rev() {
            // SIGTERM, so that the masters take their workers with them.
            Command::new("/bin/kill").arg(child.id().to_string()).output().unwrap();
            child.wait().unwrap();
        }
    }
}

/// See [`crate::port`].
pub fn free_port() -> u16 {
    crate::port::free()
}
