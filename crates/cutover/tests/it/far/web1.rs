//! web1: a host behind a real sshd, and a project here that is deployed to it.
//!
//! The sshd has no port: ssh starts it for each connection and speaks with it directly (ProxyCommand, `sshd -i`).

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::shop::Ran;

const SSHD: &str = "/usr/sbin/sshd";
const OURS: &str = env!("CARGO_BIN_EXE_cutover");

pub struct Web1 {
    dir: tempfile::TempDir,
}

impl Web1 {
    /// A project that is deployed to web1, where our program stands already.
    pub fn with(keys: &str) -> Web1 {
        let web1 = Web1::bare("");
        web1.configure(&format!("{keys}\n[[host]]\nssh = 'web1'\nprogram = '{OURS}'\n"));
        web1
    }

    /// The same, where our program has to be put. `sshd` are further lines of its configuration.
    pub fn bare(sshd: &str) -> Web1 {
        let dir = tempfile::tempdir().unwrap();
        let web1 = Web1 { dir };
        for dir in ["home", "cache", "near", "project/site/css", "srv"] {
            fs::create_dir_all(web1.path(dir)).unwrap();
        }
        web1.keys(sshd);
        web1.page("one");
        web1.write("project/site/css/main.css", "body {}");
        web1.configure("[[host]]\nssh = 'web1'\n");
        web1
    }

    fn keys(&self, sshd: &str) {
        for key in ["host", "mine"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", key, "-f"])
                .arg(self.path(key))
                .status()
                .expect("ssh-keygen is missing: scripts/setup installs openssh-client");
            assert!(made.success());
        }
        assert!(Path::new(SSHD).exists(), "{SSHD} is missing: scripts/setup installs openssh-server");
        if nix::unistd::geteuid().is_root() {
            // Debian's sshd wants it; its service would have made it.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        fs::copy(self.path("mine.pub"), self.path("authorized")).unwrap();
        let host = fs::read_to_string(self.path("host.pub")).unwrap();
        self.write("known", &format!("web1 {host}"));
        let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
        let at = |name: &str| self.path(name).display().to_string();
        self.write(
            "sshd_config",
            &format!(
                "HostKey {host}\nAuthorizedKeysFile {authorized}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
                 PasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\nPrintMotd no\n\
                 SetEnv HOME={home} XDG_CACHE_HOME={cache} LANG=C\n{sshd}\n",
                host = at("host"),
                authorized = at("authorized"),
                home = at("home"),
                cache = at("cache"),
            ),
        );
        self.write(
            "ssh_config",
            &format!(
                "Host web1\n  ProxyCommand {SSHD} -i -f {config}\n  User {me}\n  IdentityFile {mine}\n  IdentitiesOnly yes\n  \
                 IdentityAgent none\n  UserKnownHostsFile {known}\n  GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n\
                 Host nowhere\n  ProxyCommand false\nHost silent\n  ProxyCommand sh -c \"touch {called}; exec sleep 20\"\n",
                config = at("sshd_config"),
                mine = at("mine"),
                known = at("known"),
                called = at("called"),
            ),
        );
    }

    /// Writes the project's cutover.toml.
    pub fn configure(&self, keys: &str) {
        let text = format!(
            "[app]\nname = 'shop'\nroot = '{}'\n[source]\ndir = 'site'\n{keys}",
            self.root().display()
        );
        self.write("project/cutover.toml", &text);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), Permissions::from_mode(0o600)).unwrap();
    }

    pub fn page(&self, text: &str) {
        fs::write(self.path("project/site/index.html"), text).unwrap();
    }

    /// The app's root, on web1.
    pub fn root(&self) -> PathBuf {
        self.path("srv/shop")
    }

    pub fn live_page(&self) -> String {
        fs::read_to_string(self.root().join("current/index.html")).unwrap_or_else(|_| "nothing".into())
    }

    pub fn live(&self) -> String {
        let link = fs::read_link(self.root().join("current")).unwrap();
        link.file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// `cutover …` in the project.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(OURS);
        command.args(args).current_dir(self.path("project"));
        command.env("HOME", self.path("near")).env("XDG_CACHE_HOME", self.path("near"));
        command.env("CUTOVER_SSH_CONFIG", self.path("ssh_config")).env("SUDO_USER", "alice");
        command.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.ran(&mut self.command(args))
    }

    /// `cutover -C <root> …` as somebody who is logged in on web1 runs it.
    pub fn there(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(OURS);
        self.ran(command.arg("-C").arg(self.root()).args(args).env("SUDO_USER", "alice"))
    }

    fn ran(&self, command: &mut Command) -> Ran {
        let output = command.output().unwrap();
        let clean = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            text.trim_end().replace(self.dir.path().to_str().unwrap(), "")
        };
        Ran { code: output.status.code().unwrap(), out: clean(output.stdout), err: clean(output.stderr) }
    }

    /// Runs it and wants success.
    pub fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.out, ran.err);
        ran.out
    }

    /// Runs it and wants this exit code; gives what it said.
    pub fn fails(&self, code: i32, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.out, ran.err);
        ran.err
    }

    /// A deploy that goes on in the background.
    pub fn begin(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Waits for a file that a hook makes.
    pub fn wait_for(&self, name: &str) {
        wait(&format!("{name} is there"), || self.path(name).exists());
    }

    /// Waits until nobody works on the app any more.
    pub fn settled(&self) {
        let free = || {
            let file = fs::File::open(self.root().join(".cutover/lock")).unwrap();
            let taken = file.try_lock();
            taken.is_ok()
        };
        wait("the lock is free", free);
    }
}

/// The processes that a process has started.
pub fn children(pid: u32) -> Vec<u32> {
    let listed = Command::new("ps").args(["-o", "pid=", "--ppid", &pid.to_string()]).output().unwrap();
    String::from_utf8(listed.stdout).unwrap().split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

pub fn signal(pid: u32, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
}

pub fn wait(what: &str, done: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < until, "a minute went by, and never was it so that {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[allow(clippy::disallowed_methods, reason = "a test's own files, of which nobody needs to be told")]
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    fs::rename(from, to).unwrap();
}
