//! Fpm: a private PHP-FPM with opcache, in a temporary directory.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fastcgi::blocking::{self, Limits};
use fastcgi::{Address, Params};

pub struct Fpm {
    master: Child,
    dir: tempfile::TempDir,
}

impl Fpm {
    /// A pool of two workers on a Unix socket, with opcache as production has it.
    pub fn start() -> Fpm {
        Fpm::with(&["zend_extension=opcache", "opcache.validate_timestamps=0"], "")
    }

    /// The same with an opcache of so many megabytes.
    pub fn small(megabytes: u32) -> Fpm {
        let memory = format!("opcache.memory_consumption={megabytes}");
        Fpm::with(&["zend_extension=opcache", "opcache.interned_strings_buffer=1", &memory], "")
    }

    /// With these php.ini values and these lines in its pool, which may begin further pools.
    pub fn with(ini: &[&str], pool: &str) -> Fpm {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().display();
        let user = if rustix::process::geteuid().is_root() { "user = root\ngroup = root" } else { "" };
        let conf = format!(
            "[global]\nerror_log = {root}/fpm.log\ndaemonize = no\n[www]\n{user}\nlisten = {root}/fpm.sock\n\
             pm = static\npm.max_children = 2\npm.status_path = /fpm-status\ncatch_workers_output = no\n\
             php_admin_flag[log_errors] = on\nphp_admin_flag[display_errors] = off\n{}\n",
            pool.replace("{root}", &root.to_string()).replace("{user}", user)
        );
        std::fs::write(dir.path().join("fpm.conf"), conf).unwrap();
        let mut command = Command::new(binary());
        // Without the machine's php.ini.
        command.args(["-n", "-F", "-R", "-y"]).arg(dir.path().join("fpm.conf"));
        command.args(ini.iter().flat_map(|value| ["-d", value]));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut fpm = Fpm { master: command.spawn().expect("php-fpm must start"), dir };
        fpm.wait_until_ready();
        fpm
    }

    fn wait_until_ready(&mut self) {
        let began = Instant::now();
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            let ended = self.master.try_wait().unwrap();
            let log = std::fs::read_to_string(self.dir.path().join("fpm.log")).unwrap_or_default();
            assert!(
                ended.is_none() && began.elapsed() < Duration::from_secs(60),
                "php-fpm does not start: {log}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("fpm.sock")
    }

    pub fn address(&self) -> Address {
        Address::Unix(self.socket())
    }

    /// A visitor's request that leads to this script; gives the answer.
    pub fn get(&self, script: &Path) -> String {
        let mut params = Params::new();
        params
            .push(b"SCRIPT_FILENAME", script.as_os_str().as_encoded_bytes())
            .push(b"REQUEST_METHOD", b"GET");
        let answer = blocking::send(&self.address(), &params, b"", Limits::default()).unwrap();
        String::from_utf8(answer.body).unwrap()
    }

    /// PHP that says that it has begun, and goes on when the gate is open.
    pub fn until_open(&self) -> String {
        let dir = self.dir.path().display();
        format!(
            "touch('{dir}/begun'); while (!file_exists('{dir}/gate')) {{ clearstatcache(); usleep(2000); }}"
        )
    }

    /// Waits until a script is at the gate.
    pub fn until_begun(&self) {
        let began = Instant::now();
        while !self.dir.path().join("begun").exists() {
            assert!(began.elapsed() < Duration::from_secs(60), "no script came to the gate");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn open(&self) {
        std::fs::write(self.dir.path().join("gate"), "").unwrap();
    }

    /// What cutover.toml says of it.
    pub fn keys(&self) -> String {
        format!(
            "[php]\nfpm = 'unix:{}'\nstatus = '/fpm-status'\nfront = 'index.php'\n",
            self.socket().display()
        )
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

fn binary() -> PathBuf {
    let known = ["/usr/sbin/php-fpm8.2", "/usr/sbin/php-fpm8.4", "/usr/sbin/php-fpm8.3", "/usr/sbin/php-fpm"];
    let found = known.iter().map(Path::new).find(|path| path.exists());
    found.expect("php-fpm is needed: apt-get install php8.2-fpm").to_owned()
}
