//! Pool: a php-fpm that is not ours, as an administrator sets one up.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Pool {
    pub socket: PathBuf,
    child: Child,
}

impl Pool {
    /// Starts one with its files in `dir`; `directives` are more of its pool's section. It is there when this returns.
    pub fn start(dir: &Path, directives: &str) -> Pool {
        let [socket, conf, log] = ["fpm.sock", "fpm.conf", "fpm.log"].map(|name| dir.join(name));
        let text = format!(
            "[global]\nerror_log = {}\ndaemonize = no\n[shop]\nlisten = {}\nlisten.mode = 0666\nuser = www-data\n\
             group = www-data\npm = static\npm.max_children = 6\nphp_admin_value[opcache.file_update_protection] = 0\n{directives}",
            log.display(),
            socket.display()
        );
        fs::write(&conf, text).unwrap();
        let mut command = Command::new("/usr/sbin/php-fpm8.2");
        command.args(["-F", "-y"]).arg(&conf);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut pool = Pool { socket, child: child.expect("php-fpm (scripts/setup)") };
        let until = Instant::now() + Duration::from_secs(60);
        while UnixStream::connect(&pool.socket).is_err() {
            let ended = pool.child.try_wait().unwrap();
            let said = || fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < until, "php-fpm does not answer: {}", said());
            std::thread::sleep(Duration::from_millis(10));
        }
        pool
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SIGTERM, so that it takes its workers with it.
        Command::new("/bin/kill").arg(self.child.id().to_string()).output().unwrap();
        self.child.wait().unwrap();
    }
}
