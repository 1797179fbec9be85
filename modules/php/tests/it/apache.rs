//! Apache: a private one with mod_php and the extension.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::http;
use crate::php::extension;
use crate::shop::until;

pub struct Apache {
    parent: Child,
    dir: tempfile::TempDir,
    port: u16,
}

impl Apache {
    /// With these lines; `{port}` in them is its port. So many children, no more and no fewer.
    pub fn start(children: usize, lines: &str) -> Apache {
        let dir = tempfile::tempdir().unwrap();
        let port = crate::port::free();
        let root = dir.path().display();
        let ini = format!(
            "extension={}\nlog_errors=1\nerror_log={root}/php.log\ndisplay_errors=0\n",
            extension().display()
        );
        fs::write(dir.path().join("php.ini"), ini).unwrap();
        // Its children are another user's where it is started by root.
        fs::write(dir.path().join("php.log"), "").unwrap();
        open_to_all(dir.path(), 0o755);
        open_to_all(&dir.path().join("php.log"), 0o666);
        let modules: String = [
            ("mpm_prefork", "mod_mpm_prefork"),
            ("authz_core", "mod_authz_core"),
            ("env", "mod_env"),
            ("php", "libphp8.2"),
        ]
        .iter()
        .map(|(name, file)| format!("LoadModule {name}_module /usr/lib/apache2/modules/{file}.so\n"))
        .collect();
        let config = format!(
            "ServerRoot {root}\nPidFile {root}/pid\nErrorLog {root}/error.log\nServerName localhost\nListen 127.0.0.1:{port}\n{modules}\
             User www-data\nGroup www-data\nStartServers {children}\nMinSpareServers 1\nMaxSpareServers {children}\nMaxRequestWorkers {children}\n\
             PHPINIDir {root}\n<FilesMatch \\.php$>\nSetHandler application/x-httpd-php\n</FilesMatch>\n\
             <Directory />\nAllowOverride All\nRequire all granted\n</Directory>\n{}\n",
            lines.replace("{port}", &port.to_string())
        );
        fs::write(dir.path().join("apache.conf"), config).unwrap();
        let mut command = Command::new("/usr/sbin/apache2");
        command.arg("-f").arg(dir.path().join("apache.conf")).arg("-DFOREGROUND").env("PHP_INI_SCAN_DIR", "");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let parent = command.spawn().expect("apache2 is needed: apt-get install libapache2-mod-php8.2");
        let mut apache = Apache { parent, dir, port };
        until("Apache takes connections", || {
            assert!(apache.parent.try_wait().unwrap().is_none(), "Apache ends: {}", apache.said());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        apache
    }

    /// Status and body of a path, asked for by this host's name.
    pub fn get(&self, host: &str, path: &str) -> (u16, String) {
        self.get_saying(host, path, "")
    }

    /// The same with further header lines.
    pub fn get_saying(&self, host: &str, path: &str, lines: &str) -> (u16, String) {
        http::get(self.port, host, path, lines)
    }

    /// Starts its children anew while they serve.
    pub fn restart_gracefully(&self) {
        kill_process(Pid::from_child(&self.parent), Signal::USR1).unwrap();
    }

    /// What was logged.
    pub fn said(&self) -> String {
        let read = |name| fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        read("php.log") + &read("error.log")
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn pid(&self) -> PathBuf {
        self.dir.path().join("pid")
    }
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

impl Drop for Apache {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.parent), Signal::TERM).ok();
        self.parent.wait().ok();
    }
}
