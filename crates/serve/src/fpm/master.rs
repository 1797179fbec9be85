//! Master: one running php-fpm, as its keeper sees it.

use std::ffi::OsString;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};

use nix::sys::signal::SigSet;
use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, getppid, kill_process, kill_process_group, pidfd_open,
    set_parent_process_death_signal,
};

use super::orders::Orders;
use super::sockets::Sockets;

/// The longest line kept; a longer one is cut.
const LONGEST_LINE: usize = 16 << 10;
/// So many lines of what it says while it starts are kept for the error.
const MOST_SAID: usize = 200;

/// A running php-fpm with its workers, in a process group of its own.
#[derive(Debug)]
pub(crate) struct Master {
    child: Child,
    pid: Pid,
    /// Readable once the process ended (pidfd_open(2)).
    pub(crate) pidfd: OwnedFd,
    /// Its log and its workers' standard error; `None` after end-of-file.
    pub(crate) stderr: Option<PipeReader>,
    line: Vec<u8>,
    /// What it says until it answers goes into the error, if it never does; afterwards, to the log at once.
    starting: Option<Vec<String>>,
}

impl Master {
    /// Starts php-fpm on these sockets.
    pub(crate) fn start(orders: &Orders, sockets: &Sockets) -> io::Result<Master> {
        let (stderr, theirs) = io::pipe()?;
        sockets.lend(true)?;
        let child = Command::new("/proc/self/exe")
            .arg0("cutover")
            .args(["fpm-keeper", "exec"])
            .arg(getpid().as_raw_pid().to_string())
            .arg(&orders.binary)
            .args(["-F", "-O", "-y"])
            .arg(orders.place.conf())
            .args(orders.as_root.then_some("-R"))
            .env("FPM_SOCKETS", sockets.inherited())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(theirs)
            .process_group(0)
            .spawn();
        sockets.lend(false)?;
        let child = child?;
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        Ok(Master { child, pid, pidfd, stderr: Some(stderr), line: Vec::new(), starting: Some(Vec::new()) })
    }

    /// Its process id, which is that of its group too.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Signals the master alone; it tells its workers.
    pub(crate) fn signal(&self, signal: Signal) {
        // It has not been waited for, so the id is still its own; a dead one needs no signal.
        kill_process(self.pid, signal).unwrap_or_default();
    }

    /// Signals the master and all its workers.
    pub(crate) fn signal_group(&self, signal: Signal) {
        kill_process_group(self.pid, signal).unwrap_or_default();
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Passes on what it said, up to what is there now; waits if nothing is.
    pub(crate) fn listen(&mut self, app: &str) {
        let mut bytes = [0; 8192];
        let read = match &mut self.stderr {
            Some(stderr) => stderr.read(&mut bytes),
            None => return,
        };
        match read {
            Ok(0) => self.stderr = None,
            Ok(count) => self.hear(&bytes[..count], app),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.stderr = None,
        }
        if self.stderr.is_none() && !self.line.is_empty() {
            self.hear(b"\n", app);
        }
    }

    /// Gives each line it said until now, the first time this is called.
    pub(crate) fn said_on_starting(&mut self, say: impl FnMut(&str)) {
        self.starting.take().iter().flatten().map(String::as_str).for_each(say);
    }

    fn hear(&mut self, bytes: &[u8], app: &str) {
        for &byte in bytes {
            if byte != b'\n' {
                if self.line.len() < LONGEST_LINE {
                    self.line.push(byte);
                }
                continue;
            }
            let line = String::from_utf8_lossy(&self.line);
            let line = without_time(&line);
            match &mut self.starting {
                Some(lines) if lines.len() < MOST_SAID => lines.push(line.to_owned()),
                Some(_) | None => say(app, line),
            }
            self.line.clear();
        }
    }
}

/// Says a line in the log.
pub(crate) fn say(app: &str, line: &str) {
    complain(&format!("php-fpm of {app}: {line}"));
}

/// Writes a line to standard error. Nobody may read that any more: the pool goes on all the same.
pub(crate) fn complain(line: &str) {
    io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap_or_default();
}

/// How a process ended, in words.
pub(crate) fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was killed by signal {signal}"),
        (None, Some(code)) => format!("ended with status {code}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Becomes php-fpm: `args` are the keeper's process id, php-fpm and its arguments. In between it asks to be told to
/// end when the keeper dies; the keeper has one thread, so that is never too early. Returns only on failure.
pub(crate) fn become_fpm(args: &[OsString]) -> ExitCode {
    let [keeper, binary, rest @ ..] = args else {
        return ExitCode::from(2);
    };
    let failed = |what: &str| {
        complain(&format!("cannot start {}: {what}", binary.display()));
        ExitCode::from(127)
    };
    // The keeper holds its signals back, and a held back signal stays so across exec.
    if let Err(error) = SigSet::all().thread_unblock() {
        return failed(&error.to_string());
    }
    if let Err(error) = set_parent_process_death_signal(Some(Signal::QUIT)) {
        return failed(&error.to_string());
    }
    let parent = getppid().map(|pid| pid.as_raw_pid().to_string());
    if keeper.to_str() != parent.as_deref() {
        return failed("its keeper has died");
    }
    failed(&Command::new(binary).args(rest).exec().to_string())
}

/// `[22-Nov-2026 17:53:25] ERROR: x` as `ERROR: x`: the log has its own time.
fn without_time(line: &str) -> &str {
    match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((time, rest)) if time.len() >= 20 && time.starts_with(|c: char| c.is_ascii_digit()) => rest,
        Some(_) | None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_before_a_line_is_left_out_and_nothing_else() {
        let cases = [
            ("[22-Nov-2026 17:53:25] ERROR: [pool shop] no", "ERROR: [pool shop] no"),
            ("[pool shop] x] y", "[pool shop] x] y"),
            ("PHP message: x", "PHP message: x"),
            ("[]", "[]"),
        ];
        for (line, expected) in cases {
            assert_eq!(without_time(line), expected);
        }
    }
}
