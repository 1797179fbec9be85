//! Hook: a shell command of the project's: started as the right user, watched, killed when its time is over.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// One command, with all it needs.
#[derive(Debug)]
pub struct Shell<'a> {
    /// What `sh -c` gets.
    pub run: &'a str,
    /// Where.
    pub dir: &'a Path,
    /// As whom; `None`: as who runs the deploy.
    pub user: Option<&'a str>,
    /// Then it and all it started is killed.
    pub timeout: Duration,
    /// Added to the environment of the deploy.
    pub env: &'a [(&'static str, OsString)],
}

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// It could not be started.
    #[error("cannot run `{command}` in {}: {source}", dir.display())]
    Start {
        /// The command.
        command: String,
        /// Where.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It said that it failed.
    #[error("`{command}` failed ({how}){}", last_words(said))]
    Failed {
        /// The command.
        command: String,
        /// Its exit code or its signal.
        how: String,
        /// Its last lines.
        said: Vec<String>,
    },
    /// Its time was over.
    #[error("`{command}` took longer than {} s and was killed{}", after.as_secs(), last_words(said))]
    Timeout {
        /// The command.
        command: String,
        /// How long it was given.
        after: Duration,
        /// Its last lines.
        said: Vec<String>,
    },
    /// The deploy was told to stop.
    #[error("`{command}` was stopped, because the deploy was")]
    Stopped {
        /// The command.
        command: String,
    },
    /// There is no such user.
    #[error("`{command}` is to run as {user}, who does not exist on this machine")]
    NoUser {
        /// The command.
        command: String,
        /// The user.
        user: String,
    },
    /// Only root can be somebody else.
    #[error("`{command}` is to run as {user}, which only root can do")]
    NeedsRoot {
        /// The command.
        command: String,
        /// The user.
        user: String,
    },
}

/// How many of its last lines an error repeats.
const LAST_LINES: usize = 8;
/// A line longer than this is told in pieces, in bytes.
const LONG_LINE: u64 = 16 << 10;
/// How long the output is still read when the command is gone and a daemon that it started holds its end.
const LINGER: Duration = Duration::from_millis(300);

/// Runs it; each line that it prints, on either stream, goes to `line` and to the log. `noted` is called with the number
/// of its first process, and of its process group, before it does anything; who is killed in it leaves nothing running.
pub fn run(
    shell: &Shell<'_>,
    stop: &AtomicBool,
    noted: impl FnOnce(u32),
    mut log: impl Write,
    mut line: impl FnMut(&str),
) -> Result<(), HookError> {
    let command = || shell.run.to_owned();
    let start = |source| HookError::Start { command: command(), dir: shell.dir.to_owned(), source };
    let (mut child, lines) = spawn(shell)?;
    noted(child.id());
    if let Some(mut gate) = child.stdin.take() {
        // If it is gone already, how it ended tells why.
        gate.write_all(b"go\n").unwrap_or(());
    }
    let until = Instant::now() + shell.timeout;
    let mut last: Vec<String> = Vec::new();
    let mut take = |text: String| {
        // The deploy does not fail because its log cannot be written; what is shown is complete.
        writeln!(log, "{text}").unwrap_or(());
        line(&text);
        if last.len() == LAST_LINES {
            last.remove(0);
        }
        last.push(text);
    };
    let status = loop {
        match lines.recv_timeout(Duration::from_millis(20)) {
            Ok(text) => take(text),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(5)),
        }
        if let Some(status) = child.try_wait().map_err(start)? {
            break status;
        }
        if stop.load(Ordering::SeqCst) {
            end(&mut child);
            return Err(HookError::Stopped { command: command() });
        }
        if Instant::now() >= until {
            end(&mut child);
            return Err(HookError::Timeout { command: command(), after: shell.timeout, said: last });
        }
    };
    let until = Instant::now() + LINGER;
    while let Ok(text) = lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
        take(text);
    }
    match status.success() {
        true => Ok(()),
        false => Err(HookError::Failed { command: command(), how: how(status), said: last }),
    }
}

/// Waits for a line, which does not come if we are killed meanwhile, and then becomes what was asked for.
const GATE: &str = r#"read -r go || exit 125; exec /bin/sh -c "$1" < /dev/null"#;

/// Starts it in a process group of its own, so that all it starts can be killed with it; it waits to be let go.
fn spawn(shell: &Shell<'_>) -> Result<(Child, Receiver<String>), HookError> {
    let start = |source| HookError::Start { command: shell.run.into(), dir: shell.dir.to_owned(), source };
    let mut command = Command::new("/bin/sh");
    command.args(["-c", GATE, "sh", shell.run]);
    command.current_dir(shell.dir).stdin(Stdio::piped()).process_group(0);
    command.env_remove("CUTOVER_CRASH_AT");
    command.envs(shell.env.iter().map(|(name, value)| (name, value)));
    if let Some(user) = shell.user {
        become_user(&mut command, shell, user)?;
    }
    let (reader, writer) = std::io::pipe().map_err(start)?;
    command.stdout(writer.try_clone().map_err(start)?).stderr(writer);
    let child = command.spawn().map_err(start)?;
    // Its copies of the writing end would keep the reader waiting.
    drop(command);
    let (lines, received) = sync_channel(256);
    std::thread::spawn(move || read(reader, &lines));
    Ok((child, received))
}

/// As root sets user and group, and what a login would. The standard library drops the other groups.
fn become_user(command: &mut Command, shell: &Shell<'_>, user: &str) -> Result<(), HookError> {
    let unknown = || HookError::NoUser { command: shell.run.into(), user: user.into() };
    let account = nix::unistd::User::from_name(user).ok().flatten().ok_or_else(unknown)?;
    let me = nix::unistd::geteuid();
    if account.uid == me {
        return Ok(());
    }
    if !me.is_root() {
        return Err(HookError::NeedsRoot { command: shell.run.into(), user: user.into() });
    }
    command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
    command.env("HOME", &account.dir).env("USER", &account.name).env("LOGNAME", &account.name);
    Ok(())
}

fn read(reader: PipeReader, lines: &SyncSender<String>) {
    use std::io::Read;
    let mut reader = BufReader::new(reader);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match (&mut reader).take(LONG_LINE).read_until(b'\n', &mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&bytes);
        // Colours are kept; what would move the cursor or the terminal's title is not.
        let text = text.trim_end_matches(['\n', '\r']).replace(['\r', '\u{7}', '\u{8}'], " ");
        if lines.send(text).is_err() {
            return;
        }
    }
}

/// Asks the whole group to end, and kills it a moment later.
fn end(child: &mut Child) {
    let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return };
    // Either may find nobody left, which is what is wanted.
    kill_process_group(group, Signal::TERM).unwrap_or(());
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until && !matches!(child.try_wait(), Ok(Some(_))) {
        std::thread::sleep(Duration::from_millis(10));
    }
    kill_process_group(group, Signal::KILL).unwrap_or(());
    drop(child.wait());
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".into(),
    }
}

fn last_words(said: &[String]) -> String {
    said.iter().map(|line| format!("\n    {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(run: &str, timeout: Duration) -> (Result<(), HookError>, Vec<String>) {
        let (stop, mut lines) = (AtomicBool::new(false), Vec::new());
        let env = [("CUTOVER_APP", "shop".into())];
        let shell = Shell { run, dir: Path::new("/tmp"), user: None, timeout, env: &env };
        let done = super::run(&shell, &stop, drop, std::io::sink(), |line| lines.push(line.to_owned()));
        (done, lines)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_command_has_its_environment_and_both_its_streams_are_heard() {
        let (done, lines) = told("echo app $CUTOVER_APP; echo oh >&2; pwd", LONG);
        assert!(done.is_ok(), "{done:?}");
        assert_eq!(lines, ["app shop", "oh", "/tmp"]);
    }

    #[test]
    fn a_command_that_fails_is_told_with_its_code_and_its_last_words() {
        let (done, _) = told("echo one; echo two; exit 7", LONG);
        assert_eq!(
            done.unwrap_err().to_string(),
            "`echo one; echo two; exit 7` failed (exit code 7)\n    one\n    two"
        );
    }

    #[test]
    fn a_command_whose_time_is_over_is_killed_with_all_it_started() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let run = format!("sleep 600 & echo $! > {0}; sleep 600", file.path().display());
        // Long enough for a shell to start, however busy the machine.
        let (done, _) = told(&run, Duration::from_secs(2));
        assert!(matches!(done, Err(HookError::Timeout { .. })), "{done:?}");
        let started = std::fs::read_to_string(file.path()).unwrap();
        let stat = format!("/proc/{}/stat", started.trim().parse::<u32>().unwrap());
        // A zombie is dead, whoever should have waited for it; and a signal takes a moment.
        let lives = || {
            let stat = std::fs::read_to_string(&stat).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
        };
        let until = Instant::now() + LONG;
        while lives() {
            assert!(Instant::now() < until, "what it started lives on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_daemon_that_a_command_leaves_behind_is_not_waited_for() {
        let began = Instant::now();
        let (done, lines) = told("sleep 30 & echo started", LONG);
        assert!(done.is_ok(), "{done:?}");
        assert_eq!(lines, ["started"]);
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}
