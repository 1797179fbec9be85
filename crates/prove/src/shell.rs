//! Shell: a flip by a line for the shell, that may fail, hang, or be given up.

use crate::flipper::FlipError;
use crate::progress::Progress;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How much of what it says to stderr is kept.
const SAID_MAX: usize = 2_000;

/// A line for `/bin/sh`.
#[derive(Clone, Debug)]
pub struct Shell {
    line: String,
    limit: Duration,
    watched: Option<Arc<Progress>>,
}

impl Shell {
    /// Each `{release}` in the line is filled in, quoted for the shell. It may take so long.
    #[must_use]
    pub fn new(line: impl Into<String>, limit: Duration) -> Self {
        Self { line: line.into(), limit, watched: None }
    }

    /// Ends with this run if that is given up.
    pub(crate) fn watch(&mut self, progress: Arc<Progress>) {
        self.watched = Some(progress);
    }

    /// The line as it was given.
    pub(crate) fn line(&self) -> &str {
        &self.line
    }

    pub(crate) fn run(&self, release: &str) -> Result<(), FlipError> {
        let command = self.line.replace("{release}", &quoted(release));
        let start = |source| FlipError::Start { program: command.clone(), source };
        let mut child = Command::new("/bin/sh")
            .args(["-c", &command])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A group of its own, so that all it started can be ended with it.
            .process_group(0)
            .spawn()
            .map_err(start)?;
        let (said, silent) = listen(&mut child);
        let limit = self.limit;
        let killed = self.wait_or_kill(&child).map_err(start)?;
        let status = child.wait().map_err(start)?;
        if !killed && status.success() {
            return Ok(());
        }
        // What a daemon holds open that the command left behind is not waited for.
        match silent.recv_timeout(Duration::from_millis(100)) {
            Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        let said = String::from_utf8_lossy(&said.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
        let said = match said.trim().lines().last() {
            Some(last) => last.to_owned(),
            None => "nothing".to_owned(),
        };
        if killed {
            return Err(FlipError::Hung { command, after: limit, said });
        }
        Err(FlipError::Status { command, status: status.to_string(), said })
    }

    /// Waits without reaping, so that the group's number cannot be another's when it is killed; says whether it was.
    fn wait_or_kill(&self, child: &Child) -> std::io::Result<bool> {
        let pid = Pid::from_child(child);
        let (ended, end) = channel::<()>();
        let (watched, until) = (self.watched.clone(), Instant::now() + self.limit);
        let watchdog = std::thread::spawn(move || bite(pid, &end, until, watched.as_deref()));
        let waited = loop {
            match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Err(rustix::io::Errno::INTR) => {}
                waited => break waited,
            }
        };
        drop(ended);
        let killed = watchdog.join().unwrap_or(false);
        waited?;
        Ok(killed)
    }
}

/// Kills the group unless the end comes in time; says whether it did.
fn bite(pid: Pid, end: &Receiver<()>, until: Instant, watched: Option<&Progress>) -> bool {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match end.recv_timeout(left.min(Duration::from_millis(50))) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if left.is_zero() || watched.is_some_and(Progress::is_abandoned) {
            // Gone already: then there is nothing to kill.
            return kill_process_group(pid, Signal::KILL).is_ok();
        }
    }
}

/// Reads its stderr on a thread; the receiver hears of the end.
fn listen(child: &mut Child) -> (Arc<Mutex<Vec<u8>>>, Receiver<()>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let (over, silent) = channel();
    if let Some(mut stderr) = child.stderr.take() {
        let said = Arc::clone(&said);
        std::thread::spawn(move || {
            let mut bytes = [0; 1_024];
            while let Ok(count) = stderr.read(&mut bytes) {
                if count == 0 {
                    break;
                }
                let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                said.extend_from_slice(bytes.get(..count).unwrap_or_default());
                let more = said.len().saturating_sub(SAID_MAX);
                said.drain(..more);
            }
            drop(over);
        });
    }
    (said, silent)
}

/// As one word of the shell.
fn quoted(release: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-/:@%=,".contains(&byte);
    if !release.is_empty() && release.bytes().all(plain) {
        return release.to_owned();
    }
    format!("'{}'", release.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str, limit: Duration) -> Result<(), String> {
        Shell::new(line, limit).run("r 1").map_err(|why| why.to_string())
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_line_gets_the_release_as_one_word() {
        assert_eq!(run("set -- {release}; test \"$1\" = 'r 1' && test $# = 1", LONG), Ok(()));
        assert_eq!(quoted("r1"), "r1");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn a_line_that_fails_is_quoted_with_what_it_said() {
        let said = run("echo first >&2; echo the disk is full >&2; exit 3", LONG).unwrap_err();
        assert!(said.ends_with("ended with exit status: 3: the disk is full"), "{said}");
    }

    #[test]
    fn a_line_that_hangs_is_ended_with_all_it_started() {
        let said =
            run("echo still here >&2; sleep 1000 | sleep 1000", Duration::from_millis(200)).unwrap_err();
        assert!(said.contains("hung") && said.ends_with("still here"), "{said}");
    }

    #[test]
    fn a_daemon_that_keeps_stderr_open_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let line = format!("sleep 1000 & echo $! > {}", pid.display());
        assert_eq!(run(&line, LONG), Ok(()));
        let pid: i32 = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
        rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    }

    #[test]
    fn a_run_that_is_given_up_ends_the_line() {
        let progress = Arc::new(Progress::default());
        progress.abandon();
        let mut shell = Shell::new("sleep 1000", LONG);
        shell.watch(progress);
        assert!(shell.run("r1").unwrap_err().to_string().contains("hung"));
    }
}
