//! Follower: a real `cutover exec --follow`, its words, and a worker that keeps a diary.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::until;
use crate::shop::Shop;

/// A supervisor that is killed with the test.
pub struct Follower {
    child: Child,
    said: PathBuf,
}

/// Writes `begin RELEASE PID WHAT-IT-READ DIRECTORY` and `end RELEASE PID` into the diary, which stands beside releases/.
pub const DIARIST: &str = r#"trap 'echo "end $CUTOVER_RELEASE $$" >> "$DIARY"; exit 0' TERM
echo "begin $CUTOVER_RELEASE $$ $(cat index.html) $(basename "$(pwd -P)")" >> "$DIARY"
while :; do sleep 0.02; done"#;

impl Follower {
    /// Starts `cutover exec --follow FLAGS -- WORDS`.
    pub fn start(shop: &Shop, flags: &[&str], words: &[&str]) -> Follower {
        let said = shop.path("said");
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.arg("-C").arg(shop.root()).args(["exec", "--follow"]).args(flags).arg("--").args(words);
        command.stdin(Stdio::null()).stderr(File::create(&said).unwrap()).env("DIARY", shop.path("diary"));
        Follower { child: command.spawn().unwrap(), said }
    }

    /// With the diarist as its worker.
    pub fn of_diarist(shop: &Shop, flags: &[&str]) -> Follower {
        Follower::start(shop, flags, &["sh", "-c", DIARIST])
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    /// Waits until it has said this.
    pub fn says(&self, words: &str) {
        until(&format!("{words:?} in {}", self.said()), || self.said().contains(words));
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("the end of the supervisor", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Has it stop its worker and end.
    pub fn stopped(mut self) -> (Option<i32>, String) {
        self.signal(Signal::SIGTERM);
        let code = self.ended().code();
        (code, self.said())
    }

    /// The children that it has now, zombies too: `12 sleep S`.
    pub fn children(&self) -> Vec<String> {
        let out = Command::new("ps")
            .args(["--no-headers", "-o", "pid,comm,state", "--ppid", &self.pid().to_string()])
            .output()
            .unwrap();
        String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // As the kernel would: the worker goes with SIGTERM where it heeds that.
        if self.child.try_wait().unwrap().is_none() {
            self.signal(Signal::SIGINT);
            self.signal(Signal::SIGINT);
            self.child.wait().unwrap();
        }
    }
}

/// One line of the diary.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub begins: bool,
    pub release: String,
    pub pid: i32,
}

/// The diary so far; each beginning is checked to be of one release.
pub fn diary(shop: &Shop) -> Vec<Line> {
    let text = fs::read_to_string(shop.path("diary")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let (begins, release) = (words[0] == "begin", words[1].to_owned());
        if begins {
            assert!(words[3..].iter().all(|told| *told == release), "parts of two releases: {line}");
        }
        Line { begins, release, pid: words[2].parse().unwrap() }
    };
    whole.lines().map(line).collect()
}

/// Waits until the last line of the diary is the beginning of a worker on this release; gives its process.
pub fn runs_on(shop: &Shop, id: &str) -> i32 {
    let is = |line: &Line| line.begins && line.release == id;
    until(&format!("a worker on {id}: {:?}", diary(shop)), || diary(shop).last().is_some_and(is));
    diary(shop).last().unwrap().pid
}

/// Flips as another tool would.
pub fn link(shop: &Shop, id: &str) {
    let new = shop.path("new");
    std::os::unix::fs::symlink(format!("releases/{id}"), &new).unwrap();
    fs::rename(&new, shop.path("current")).unwrap();
}
