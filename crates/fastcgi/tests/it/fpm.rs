//! Fpm: a private PHP-FPM in a temporary directory.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fastcgi::{Address, Params};

pub struct Fpm {
    master: Child,
    dir: tempfile::TempDir,
    address: Address,
}

impl Fpm {
    /// A static pool of so many workers on a Unix socket.
    pub fn start(workers: usize) -> Fpm {
        Fpm::start_with(workers, "", false)
    }

    /// The same with further lines for the pool, perhaps on TCP.
    pub fn start_with(workers: usize, more: &str, tcp: bool) -> Fpm {
        loop {
            match Fpm::try_start(workers, more, tcp) {
                Ok(fpm) => return fpm,
                // A port was free when we looked, and somebody else has it now.
                Err(log) => assert!(log.contains("Address already in use"), "php-fpm does not start: {log}"),
            }
        }
    }

    fn try_start(workers: usize, more: &str, tcp: bool) -> Result<Fpm, String> {
        let dir = tempfile::tempdir().unwrap();
        let (listen, address) = match tcp {
            false => {
                let path = dir.path().join("fpm.sock");
                (path.display().to_string(), Address::Unix(path))
            }
            true => {
                let port = crate::port::free();
                (format!("127.0.0.1:{port}"), Address::Tcp { host: "127.0.0.1".into(), port })
            }
        };
        let root = dir.path().display();
        let user = if rustix::process::geteuid().is_root() { "user = root\ngroup = root" } else { "" };
        let config = format!(
            "[global]\nerror_log = {root}/fpm.log\ndaemonize = no\n[www]\n{user}\nlisten = {listen}\n\
             pm = static\npm.max_children = {workers}\ncatch_workers_output = no\nclear_env = yes\n\
             php_admin_value[post_max_size] = 4G\nphp_admin_value[upload_max_filesize] = 4G\n\
             php_admin_value[upload_tmp_dir] = {root}\nphp_admin_flag[log_errors] = on\n{more}\n"
        );
        fs::write(dir.path().join("fpm.conf"), config).unwrap();
        let mut command = Command::new(binary());
        // Without the machine's php.ini: no output buffering, no opcache, the same everywhere.
        command.arg("-n").arg("-F").arg("-R").arg("-y").arg(dir.path().join("fpm.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let master = command.spawn().expect("php-fpm must start");
        let mut fpm = Fpm { master, dir, address };
        fpm.wait_until_ready().map(|()| fpm)
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let ready = match &self.address {
                Address::Unix(path) => std::os::unix::net::UnixStream::connect(path).is_ok(),
                Address::Tcp { host, port } => std::net::TcpStream::connect((host.as_str(), *port)).is_ok(),
            };
            // Looked at last, so that it was not somebody else who answered.
            match self.master.try_wait().unwrap() {
                Some(_) => return Err(self.log()),
                None if ready => return Ok(()),
                None => assert!(
                    began.elapsed() < Duration::from_secs(60),
                    "php-fpm does not start: {}",
                    self.log()
                ),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("fpm.log")).unwrap_or_default()
    }

    pub fn address(&self) -> Address {
        self.address.clone()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a script and gives the parameters of a GET of it.
    pub fn script(&self, name: &str, code: &str) -> Params {
        let path = self.path(name);
        fs::write(&path, format!("<?php {code}")).unwrap();
        get(&path)
    }

    /// PHP that waits until the gate is open.
    pub fn until_open(&self, gate: &str) -> String {
        let path = self.path(gate);
        format!("while (!file_exists('{}')) {{ clearstatcache(); usleep(2000); }}", path.display())
    }

    pub fn open(&self, gate: &str) {
        fs::write(self.path(gate), "").unwrap();
    }

    pub fn master(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.master)
    }
}

impl Drop for Fpm {
    fn drop(&mut self) {
        // TERM to the master ends its workers too; KILL would leave them behind.
        rustix::process::kill_process(self.master(), rustix::process::Signal::TERM).ok();
        self.master.wait().ok();
    }
}

fn binary() -> PathBuf {
    let known = ["/usr/sbin/php-fpm8.2", "/usr/sbin/php-fpm8.4", "/usr/sbin/php-fpm8.3", "/usr/sbin/php-fpm"];
    let found = known.iter().map(Path::new).find(|path| path.exists());
    found.expect("php-fpm is needed: apt-get install php8.2-fpm").to_owned()
}

pub fn get(script: &Path) -> Params {
    request(script, "GET", 0)
}

pub fn post(script: &Path, length: usize) -> Params {
    request(script, "POST", length)
}

fn request(script: &Path, method: &str, length: usize) -> Params {
    let mut params = Params::new();
    params.push(b"SCRIPT_FILENAME", script.as_os_str().as_encoded_bytes());
    params.push(b"REQUEST_METHOD", method.as_bytes());
    params.push(b"CONTENT_TYPE", b"application/octet-stream");
    params.push(b"CONTENT_LENGTH", length.to_string().as_bytes());
    params.push(b"REQUEST_URI", b"/").push(b"QUERY_STRING", b"");
    params
}
