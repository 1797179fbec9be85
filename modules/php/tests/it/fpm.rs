//! Fpm: a private php-fpm with the extension.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fastcgi::blocking::{self, BlockingError, Limits};
use fastcgi::{Address, Params};
use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::php::extension;
use crate::shop::{Shop, until_within};

const BINARY: &str = "/usr/sbin/php-fpm8.2";

pub struct Fpm {
    master: Child,
    dir: tempfile::TempDir,
}

/// What a request was answered with.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    pub retry_after: Option<String>,
}

impl Fpm {
    /// So many workers, with the usual settings for the shop.
    pub fn start(shop: &Shop, workers: usize) -> Fpm {
        Fpm::start_with(shop, workers, extension(), &usual(shop), &[])
    }

    /// The same with further lines for the pool.
    pub fn start_saying(shop: &Shop, workers: usize, pool: &str) -> Fpm {
        Fpm::start_with(shop, workers, extension(), &(usual(shop) + pool), &[])
    }

    /// With this extension, these lines for the pool, and these arguments for the master.
    pub fn start_with(
        shop: &Shop,
        workers: usize,
        extension: &Path,
        pool: &str,
        arguments: &[String],
    ) -> Fpm {
        Fpm::start_by(shop, Command::new(BINARY), workers, extension, pool, arguments)
    }

    /// One worker, run by this command: valgrind.
    pub fn start_watched(shop: &Shop, mut by: Command) -> Fpm {
        by.arg(BINARY);
        Fpm::start_by(shop, by, 1, extension(), &usual(shop), &[])
    }

    fn start_by(
        _: &Shop,
        mut command: Command,
        workers: usize,
        extension: &Path,
        pool: &str,
        arguments: &[String],
    ) -> Fpm {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().display();
        let user = if geteuid().is_root() { "user = root\ngroup = root" } else { "" };
        let config = format!(
            "[global]\nerror_log = {root}/fpm.log\ndaemonize = no\n[www]\n{user}\nlisten = {root}/fpm.sock\npm = static\n\
             pm.max_children = {workers}\ncatch_workers_output = no\nclear_env = yes\nphp_admin_flag[log_errors] = on\nphp_admin_flag[display_errors] = off\n\
             php_admin_value[error_log] = {root}/php.log\n{pool}\n"
        );
        fs::write(dir.path().join("fpm.conf"), config).unwrap();
        // Workers may be another user's.
        fs::write(dir.path().join("php.log"), "").unwrap();
        for (path, mode) in [(dir.path(), 0o755), (&dir.path().join("php.log"), 0o666)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        command
            .args(["-n", "-F", "-R", "-d"])
            .arg(format!("extension={}", extension.display()))
            .args(arguments);
        command.arg("-y").arg(dir.path().join("fpm.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let master = command.spawn().expect("php-fpm is needed: apt-get install php8.2-fpm");
        let mut fpm = Fpm { master, dir };
        // Valgrind takes its time.
        until_within(120, "php-fpm takes connections", || {
            assert!(fpm.master.try_wait().unwrap().is_none(), "php-fpm ends: {}", fpm.said());
            UnixStream::connect(fpm.socket()).is_ok()
        });
        fpm
    }

    /// Asks for a script.
    pub fn get(&self, script: &Path) -> Answer {
        self.get_with(script, &[])
    }

    /// Asks for a script, with further variables.
    pub fn get_with(&self, script: &Path, variables: &[(&str, &str)]) -> Answer {
        self.send(script, variables).unwrap()
    }

    /// Asks for a script, of a worker that may not live to answer.
    pub fn try_get(&self, script: &Path) -> Result<Answer, BlockingError> {
        self.send(script, &[])
    }

    fn send(&self, script: &Path, variables: &[(&str, &str)]) -> Result<Answer, BlockingError> {
        let mut params = Params::new();
        params.push(b"SCRIPT_FILENAME", script.as_os_str().as_encoded_bytes());
        params.push(b"REQUEST_METHOD", b"GET").push(b"REQUEST_URI", b"/").push(b"QUERY_STRING", b"");
        for (name, value) in variables {
            params.push(name.as_bytes(), value.as_bytes());
        }
        let address = Address::Unix(self.socket());
        let response = blocking::send(&address, &params, b"", Limits::default())?;
        let retry_after =
            response.head.field("Retry-After").map(|value| String::from_utf8_lossy(value).into_owned());
        let body = String::from_utf8_lossy(&response.body).into_owned();
        Ok(Answer { status: response.head.status, body, retry_after })
    }

    /// The body of a good answer.
    pub fn body(&self, script: &Path) -> String {
        let answer = self.get(script);
        assert_eq!(answer.status, 200, "{answer:?}\n{}", self.said());
        answer.body
    }

    /// What its workers wrote to their log, and the master to its own.
    pub fn said(&self) -> String {
        let read = |name| fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        read("php.log") + &read("fpm.log")
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("fpm.sock")
    }

    pub fn master(&self) -> Pid {
        Pid::from_child(&self.master)
    }
}

/// The settings of a pool that serves the shop.
pub fn usual(shop: &Shop) -> String {
    format!(
        "php_admin_value[cutover.link] = {}\nphp_value[include_path] = {}\n",
        shop.app.link().display(),
        shop.include_path()
    )
}

impl Drop for Fpm {
    fn drop(&mut self) {
        // TERM to the master ends its workers too; KILL would leave them behind.
        kill_process(self.master(), Signal::TERM).ok();
        self.master.wait().ok();
    }
}
