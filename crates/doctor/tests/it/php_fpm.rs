//! PHP-FPM: a private one with its own php.ini, in a temporary directory, for the doctor to look at.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use doctor::machine::Here;
use doctor::{Facts, Targets};
use fastcgi::blocking::{self, Limits};
use fastcgi::{Address, Params};

pub struct Fpm {
    master: Child,
    dir: tempfile::TempDir,
}

impl Fpm {
    /// With these lines in its php.ini, these in `[global]` and these in its pool `www`, which may begin further pools.
    /// `{root}` is its directory.
    pub fn start(ini: &str, global: &str, pool: &str) -> Fpm {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().display().to_string();
        let user = if rustix::process::geteuid().is_root() { "user = root\ngroup = root" } else { "" };
        let conf = format!(
            "[global]\nerror_log = {root}/fpm.log\ndaemonize = no\n{global}\n[www]\n{user}\nlisten = {root}/fpm.sock\n\
             pm = static\npm.max_children = 2\n{pool}\n"
        );
        let conf = conf.replace("{root}", &root).replace("{user}", user);
        std::fs::write(dir.path().join("php-fpm.conf"), conf).unwrap();
        let ini = format!("zend_extension=opcache.so\nextension=apcu.so\n{ini}\n").replace("{root}", &root);
        std::fs::write(dir.path().join("php.ini"), ini).unwrap();
        let mut command = Command::new("/usr/sbin/php-fpm8.2");
        command.args(["-F", "-R", "-y"]).arg(dir.path().join("php-fpm.conf"));
        command.arg("-c").arg(dir.path().join("php.ini")).env("PHP_INI_SCAN_DIR", "");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let master = command.spawn().expect("php-fpm is needed: apt-get install php8.2-fpm");
        let mut fpm = Fpm { master, dir };
        fpm.wait_until_ready();
        fpm
    }

    fn wait_until_ready(&mut self) {
        let began = Instant::now();
        while std::os::unix::net::UnixStream::connect(self.dir().join("fpm.sock")).is_err() {
            let ended = self.master.try_wait().unwrap();
            let log = std::fs::read_to_string(self.dir().join("fpm.log")).unwrap_or_default();
            let late = began.elapsed() > Duration::from_secs(60);
            assert!(ended.is_none() && !late, "php-fpm does not start: {log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its main file.
    pub fn conf(&self) -> PathBuf {
        self.dir().join("php-fpm.conf")
    }

    /// What the doctor sees of it, and of an app.
    pub fn facts(&self, apps: &[PathBuf]) -> Facts {
        self.facts_with(apps, &[])
    }

    /// What the doctor sees of it, of an app, and of configurations of nginx.
    pub fn facts_with(&self, apps: &[PathBuf], nginx: &[PathBuf]) -> Facts {
        let (apps, nginx) = (apps.to_vec(), nginx.to_vec());
        Facts::look(&Here, &Targets { apps, nginx, fpm: vec![self.conf()], ..Targets::default() })
    }

    /// A visitor's request that leads to this script; gives the answer.
    pub fn get(&self, script: &Path) -> String {
        let mut params = Params::new();
        params
            .push(b"SCRIPT_FILENAME", script.as_os_str().as_encoded_bytes())
            .push(b"REQUEST_METHOD", b"GET");
        let address = Address::Unix(self.dir().join("fpm.sock"));
        let answer = blocking::send(&address, &params, b"", Limits::default()).unwrap();
        String::from_utf8(answer.body).unwrap()
    }
}

impl Drop for Fpm {
    fn drop(&mut self) {
        // TERM to the master ends its workers too; KILL would leave them behind.
        let master = rustix::process::Pid::from_child(&self.master);
        rustix::process::kill_process(master, rustix::process::Signal::TERM).ok();
        self.master.wait().ok();
    }
}
