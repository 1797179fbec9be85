//! Fpm: a private php-fpm in the directory of a shop.

use crate::shop::Shop;
use std::fs;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

pub struct Fpm {
    child: Child,
    pub socket: PathBuf,
}

impl Fpm {
    /// Starts one, and waits until it listens.
    pub fn start(shop: &Shop) -> Fpm {
        let dir = shop.beside();
        let socket = dir.join("fpm.sock");
        let user =
            if rustix::process::geteuid().is_root() { "user = www-data\ngroup = www-data\n" } else { "" };
        let file = dir.join("fpm.conf");
        let conf = format!(
            "[global]\nerror_log = {0}/fpm.log\ndaemonize = no\n[shop]\n{user}listen = {1}\nlisten.mode = 0666\n\
             pm = static\npm.max_children = 4\nphp_admin_value[opcache.file_update_protection] = 0\n",
            dir.display(),
            socket.display()
        );
        fs::write(&file, conf).unwrap();
        let child = Command::new("/usr/sbin/php-fpm8.2")
            .args(["-F", "-R", "-y"])
            .arg(&file)
            .process_group(0)
            .stderr(fs::File::create(dir.join("fpm.out")).unwrap())
            .spawn()
            .expect("cannot run php-fpm8.2: install the package");
        let fpm = Fpm { child, socket };
        let began = Instant::now();
        while UnixStream::connect(&fpm.socket).is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "php-fpm never came");
            std::thread::sleep(Duration::from_millis(10));
        }
        fpm
    }
}

impl Drop for Fpm {
    fn drop(&mut self) {
        Command::new("/bin/kill").arg(self.child.id().to_string()).status().unwrap();
        self.child.wait().unwrap();
    }
}
