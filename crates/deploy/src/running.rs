//! Running: the command that a deploy runs at this moment, noted so that no other runs beside one that outlived it.
//!
//! A deploy that is killed with -9 cannot take its hook's shell with it, and a parent-death signal would fire when the
//! thread ends that started it (prctl(2)). So the shell's process group is noted before the shell is let go, with when
//! it began, which tells it from a later process of the same number. Not synced: after a power cut nothing runs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use release::{App, atomic};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// One command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// As it was written, without what is secret.
    pub command: String,
    /// Its process group, which is the number of its first process.
    pub group: i32,
    /// When that began, in clock ticks since the machine started (proc_pid_stat(5)).
    since: u64,
    /// Which start of the machine that was.
    boot: String,
}

/// It was asked and forced to end, and runs still.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a command of a deploy that was killed runs still and could not be ended: `{command}` (process group {group})"
)]
pub struct StillRuns {
    /// As it was written.
    pub command: String,
    /// Its process group.
    pub group: i32,
}

/// How long what is asked to end may take to, and what is forced to.
const PATIENCE: Duration = Duration::from_secs(2);

/// Notes a command whose first process waits to be let go.
pub(crate) fn note(app: &App, first: u32, command: String) -> std::io::Result<()> {
    let gone = || std::io::Error::other("its first process is gone");
    let process = Process::of(first).ok_or_else(gone)?;
    let running = Running { command, group: process.pid, since: process.since, boot: boot() };
    atomic::effect();
    std::fs::write(app.running(), serde_json::to_string(&running)?)
}

/// The command that was noted last is over.
pub(crate) fn forget(app: &App) {
    atomic::effect();
    // One that cannot be removed names processes that are gone, which is seen.
    std::fs::remove_file(app.running()).unwrap_or(());
}

/// Ends what a killed deploy left running; gives what that was. Whoever calls this holds the deploy lock.
pub fn end_left(app: &App) -> Result<Option<Running>, StillRuns> {
    let Ok(text) = std::fs::read_to_string(app.running()) else { return Ok(None) };
    // A note that was not written to its end is of a command that was never let go.
    let noted = serde_json::from_str::<Running>(&text).ok();
    let Some(running) = noted.filter(|running| running.boot == boot() && !running.members(app).is_empty())
    else {
        forget(app);
        return Ok(None);
    };
    for signal in [Signal::TERM, Signal::KILL] {
        for pid in running.members(app).into_iter().filter_map(Pid::from_raw) {
            // It may have ended by itself; who may not be signalled is found alive below.
            kill_process(pid, signal).unwrap_or(());
        }
        let until = Instant::now() + PATIENCE;
        while !running.members(app).is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    if !running.members(app).is_empty() {
        return Err(StillRuns { command: running.command, group: running.group });
    }
    forget(app);
    Ok(Some(running))
}

impl Running {
    /// The processes of it that still run.
    fn members(&self, app: &App) -> Vec<i32> {
        let first = Process::of(self.group.unsigned_abs());
        let all = match &first {
            Some(first) if first.since == self.since => true,
            // The number was given anew, which the kernel does only when nobody of the group is left.
            Some(_) => return Vec::new(),
            None => false,
        };
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let members = pids.filter_map(Process::of).filter(|process| {
            let ours = process.group == self.group && !process.dead;
            ours && (all || process.since >= self.since && process.works_for(app.root()))
        });
        members.map(|process| process.pid).collect()
    }
}

/// What the kernel says of one process.
struct Process {
    pid: i32,
    group: i32,
    since: u64,
    /// It ended, and nobody has asked how.
    dead: bool,
}

impl Process {
    fn of(pid: u32) -> Option<Process> {
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let stat = std::fs::read(dir.join("stat")).ok()?;
        // The name before may contain anything, blanks and brackets too.
        let rest = stat.get(stat.iter().rposition(|byte| *byte == b')')? + 2..)?;
        let fields: Vec<&str> = std::str::from_utf8(rest).ok()?.split(' ').collect();
        Some(Process {
            pid: i32::try_from(pid).ok()?,
            group: fields.get(2)?.parse().ok()?,
            since: fields.get(19)?.parse().ok()?,
            dead: matches!(fields.first(), Some(&("Z" | "X"))),
        })
    }

    /// Whether it was started with the environment of this app's commands.
    fn works_for(&self, root: &Path) -> bool {
        use std::os::unix::ffi::OsStrExt;
        let wanted = [b"CUTOVER_ROOT=", root.as_os_str().as_bytes()].concat();
        let env = std::fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default();
        env.split(|byte| *byte == 0).any(|variable| variable == wanted)
    }
}

fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
