//! Worker: one run of the command under `--follow`: its process group, and the hold on its release until that has ended.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::flags::ExecFlags;
use super::ground::Ground;
use super::group;
use super::notice::tell;
use super::unstarted;
use crate::answer::Failure;
use crate::when;

/// A worker. Its group bears the number of its first process.
#[derive(Debug)]
pub struct Worker {
    pid: Pid,
    ground: Ground,
    begun: Instant,
    first: First,
    asked: Asked,
}

/// Its first process: what the command line named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Runs,
    Ended {
        how: Ended,
        /// Nobody had asked it to.
        by_itself: bool,
        /// The rest of the group was asked to finish too.
        rest_told: bool,
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With this code.
    Code(i32),
    /// By this signal.
    By(Signal),
}

/// Whether it is to finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Not,
    /// It has until then.
    Until(Instant),
    Killed,
}

/// What a look at a worker found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tended {
    /// It is at work; nothing is to be done before its processes tell.
    AtWork,
    /// It is finishing: look again then.
    Until(Instant),
    /// Its group has ended, and its first process like this.
    Gone(Ended),
}

/// Between two looks at a group whose first process has ended: nobody tells when the rest has.
const AGAIN: Duration = Duration::from_millis(50);

impl Worker {
    /// Starts the command in a group of its own, so that what the terminal or the operator sends comes by us.
    pub fn start(mut ground: Ground, flags: &ExecFlags) -> Result<Worker, Failure> {
        let handed = ground.hand_on()?;
        let mut command = ground.command(&flags.command);
        command.process_group(0).stdin(Stdio::null());
        // These are said to this process, which systemd watches.
        for name in ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"] {
            command.env_remove(name);
        }
        let started = command.spawn();
        drop(handed);
        match started.and_then(|child| i32::try_from(child.id()).map_err(io::Error::other)) {
            Ok(pid) => {
                let (pid, begun) = (Pid::from_raw(pid), Instant::now());
                Ok(Worker { pid, ground, begun, first: First::Runs, asked: Asked::Not })
            }
            Err(why) => Err(unstarted(flags, &ground, &why)),
        }
    }

    /// Its first process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// What it stands on.
    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Since when it runs.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// Whether it is to go on.
    pub fn is_wanted(&self) -> bool {
        self.asked == Asked::Not
    }

    /// Whether it had to be killed.
    pub fn was_killed(&self) -> bool {
        self.asked == Asked::Killed
    }

    /// Whether its first process runs.
    pub fn runs(&self) -> bool {
        self.first == First::Runs
    }

    /// Whether its first process ended though nobody had asked it to.
    pub fn ended_by_itself(&self) -> bool {
        matches!(self.first, First::Ended { by_itself: true, .. })
    }

    /// `worker 12 on r1`.
    pub fn name(&self) -> String {
        format!("worker {} on {}", self.pid, self.ground.id())
    }

    /// Its first process was reaped.
    pub fn first_ended(&mut self, how: Ended) {
        self.first = First::Ended { how, by_itself: self.is_wanted(), rest_told: false };
    }

    /// Asks its first process to finish; it knows best what becomes of the others. Once is enough.
    pub fn ask(&mut self, flags: &ExecFlags, why: &str) {
        if !self.is_wanted() {
            return;
        }
        self.asked = Asked::Until(Instant::now() + flags.grace);
        let (name, grace) = (self.name(), when::took(flags.grace));
        tell(&format!("{why}: {name} is asked to finish by {}, and has {grace}", flags.signal));
        self.pass_on(flags.signal);
    }

    /// Sends its first process a signal.
    pub fn pass_on(&self, signal: Signal) {
        if self.runs() {
            // Until it is reaped the number is its own. One that became another user does not take it.
            if let Err(why) = kill(self.pid, signal) {
                tell(&format!("{} cannot be sent {signal}: {why}", self.name()));
            }
        }
    }

    /// Kills all of it.
    pub fn kill(&mut self, why: &str) {
        self.asked = Asked::Killed;
        tell(&format!("{} {why}: it is killed", self.name()));
        group::send(self.pid, Signal::SIGKILL);
    }

    /// Looks whether it has ended, or has to.
    pub fn tend(&mut self, flags: &ExecFlags) -> Tended {
        if let First::Ended { how, by_itself, rest_told } = self.first {
            if !group::runs(self.pid) {
                return Tended::Gone(how);
            }
            if !rest_told {
                self.first = First::Ended { how, by_itself, rest_told: true };
                if self.is_wanted() {
                    self.asked = Asked::Until(Instant::now() + flags.grace);
                }
                group::send(self.pid, flags.signal);
            }
        }
        match self.asked {
            Asked::Not => Tended::AtWork,
            Asked::Until(until) if Instant::now() >= until => {
                self.kill(&format!("has not finished within {}", when::took(flags.grace)));
                Tended::Until(Instant::now() + AGAIN)
            }
            Asked::Until(until) if self.runs() => Tended::Until(until),
            Asked::Until(until) => Tended::Until(until.min(Instant::now() + AGAIN)),
            Asked::Killed => Tended::Until(Instant::now() + AGAIN),
        }
    }
}

impl Ended {
    /// As shells tell it: of a signal 128 and its number.
    pub fn code(self) -> i32 {
        match self {
            Ended::Code(code) => code,
            Ended::By(signal) => 128 + signal as i32,
        }
    }

    /// Whether this is how somebody ends who was asked to by this signal.
    pub fn heeds(self, signal: Signal) -> bool {
        self == Ended::Code(0) || self.code() == 128 + signal as i32
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::Code(code) => write!(f, "with code {code}"),
            Ended::By(signal) => write!(f, "by {signal}"),
        }
    }
}
