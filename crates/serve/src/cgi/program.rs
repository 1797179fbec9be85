//! Program: one run of a CGI program, from its start to the head of its answer (RFC 3875, section 6).

use std::any::Any;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fastcgi::head::{Head, HeadError, HeadProgress, HeadReader};
use rustix::process::{Pid, Signal, kill_process_group};
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The most bytes of headers that are taken.
const HEAD_BYTES: usize = 64 << 10;
/// Bytes asked for at once.
const READ_BYTES: usize = 32 << 10;
/// The longest line of its standard error that is logged whole, in bytes.
const LINE_BYTES: usize = 8 << 10;
/// What is left in a pipe is read this long after the end.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What to run, and with what.
pub struct Job {
    /// The program: a canonical path in the pinned release.
    pub file: PathBuf,
    /// Its whole environment.
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    /// The request's body, from its first byte; `None`: there is none.
    pub stdin: Option<File>,
    /// User and group, where they are not ours.
    pub account: Option<(u32, u32)>,
    /// How long it may be waited for, in all. The time that the client takes does not count.
    pub timeout: Duration,
    /// One of so many places.
    pub place: OwnedSemaphorePermit,
    /// Where its standard error goes, line by line, and what is to be said about it.
    pub log: Log,
    /// Kept until the program is over: its release must not go while it runs.
    pub hold: Box<dyn Any + Send>,
}

/// Where lines about a program go.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// Why a program gave no answer.
#[derive(Debug, Error)]
pub enum ProgramError {
    /// It could not be started.
    #[error("cannot run {}: {source}", .file.display())]
    Start {
        /// The program.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its answer could not be read.
    #[error("cannot read the answer of {}: {source}", .file.display())]
    Read {
        /// The program.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its answer is none.
    #[error("{} gave an answer that cannot be used: {source}", .file.display())]
    Head {
        /// The program.
        file: PathBuf,
        /// What is wrong with it.
        source: HeadError,
    },
    /// It took too long and was killed.
    #[error("{} was killed: no answer within {} s", .file.display(), .after.as_secs_f32())]
    Late {
        /// The program.
        file: PathBuf,
        /// How long it was waited for.
        after: Duration,
    },
}

/// A running program. Dropped before its end it is killed, with all processes of its group: the client has left.
pub struct Run {
    file: PathBuf,
    child: Child,
    stdout: ChildStdout,
    buffer: BytesMut,
    left: Duration,
    timeout: Duration,
    log: Log,
    /// Dropped with the run: its standard error is read to the end then, and not longer.
    _over: oneshot::Sender<()>,
    _place: OwnedSemaphorePermit,
    _hold: Box<dyn Any + Send>,
}

/// Starts a program and reads the head of its answer. The body is what [`Run::read`] gives afterwards.
pub async fn run(job: Job) -> Result<(Head, Run), ProgramError> {
    let mut run = start(job)?;
    let mut reader = HeadReader::new(HEAD_BYTES);
    loop {
        let Some(piece) = run.read().await? else {
            return Err(ProgramError::Head { file: run.file.clone(), source: HeadError::CutShort });
        };
        match reader.feed(&piece) {
            Ok(HeadProgress::More) => {}
            Ok(HeadProgress::Done { head, used }) => {
                run.buffer = BytesMut::from(&piece[used..]);
                return Ok((head, run));
            }
            Err(source) => return Err(ProgramError::Head { file: run.file.clone(), source }),
        }
    }
}

fn start(job: Job) -> Result<Run, ProgramError> {
    let Job { file, env, stdin, account, timeout, place, log, hold } = job;
    let mut command = Command::new(&file);
    let text = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
    command.env_clear().envs(env.iter().map(|(name, value)| (text(name), text(value))));
    command.current_dir(file.parent().unwrap_or(Path::new("/")));
    // A group of its own, so that what it starts is killed with it, and Ctrl-C is left to us.
    command.stdin(stdin.map_or_else(Stdio::null, Stdio::from)).process_group(0);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some((uid, gid)) = account {
        command.uid(uid).gid(gid);
    }
    let failed = |source| ProgramError::Start { file: file.clone(), source };
    let mut child = command.spawn().map_err(failed)?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(failed(io::Error::other("it has no pipes")));
    };
    let (over, is_over) = oneshot::channel();
    tokio::spawn(listen(stderr, is_over, Arc::clone(&log)));
    let buffer = BytesMut::new();
    Ok(Run {
        file,
        child,
        stdout,
        buffer,
        left: timeout,
        timeout,
        log,
        _over: over,
        _place: place,
        _hold: hold,
    })
}

impl Run {
    /// The next bytes of the body; `None` at its end. What stops the program is logged by the caller.
    pub async fn read(&mut self) -> Result<Option<Bytes>, ProgramError> {
        if !self.buffer.is_empty() {
            return Ok(Some(self.buffer.split().freeze()));
        }
        let began = tokio::time::Instant::now();
        self.buffer.reserve(READ_BYTES);
        let read = timeout(self.left, self.stdout.read_buf(&mut self.buffer)).await;
        self.left = self.left.saturating_sub(began.elapsed());
        match read {
            Err(_elapsed) => Err(ProgramError::Late { file: self.file.clone(), after: self.timeout }),
            Ok(Err(source)) => Err(ProgramError::Read { file: self.file.clone(), source }),
            Ok(Ok(0)) => Ok(None),
            Ok(Ok(_)) => Ok(Some(self.buffer.split().freeze())),
        }
    }

    /// Waits for the end of a program that has closed its output, and keeps its place until then.
    pub async fn finish(mut self) {
        match timeout(self.left, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => {}
            Ok(Ok(status)) => (self.log)(&format!("{} ended with {status}", self.file.display())),
            Ok(Err(error)) => (self.log)(&format!("{} is lost: {error}", self.file.display())),
            Err(_elapsed) => (self.log)(&format!(
                "{} was killed: it went on for {} s after its answer",
                self.file.display(),
                self.timeout.as_secs_f32()
            )),
        }
    }

    /// Reads to the end and throws it away: the answer to HEAD, and such as have no body.
    pub async fn discard(mut self) {
        loop {
            match self.read().await {
                Ok(Some(_)) => {}
                Ok(None) => return self.finish().await,
                Err(error) => return (self.log)(&error.to_string()),
            }
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Absent once it was waited for; until then the id is its own, and no stranger is killed.
        let group = self.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(group) = group {
            kill_process_group(group, Signal::KILL).unwrap_or_default();
        }
    }
}

/// Logs its standard error line by line, up to the end of the run.
async fn listen(mut stderr: ChildStderr, mut is_over: oneshot::Receiver<()>, log: Log) {
    let (mut line, mut piece, mut last) = (Vec::new(), [0; 4096], false);
    loop {
        let reading = stderr.read(&mut piece);
        let count = if last {
            // What it started may hold the pipe for as long as it likes.
            timeout(LAST_WORDS, reading).await.unwrap_or(Ok(0))
        } else {
            tokio::select! {
                count = reading => count,
                _ = &mut is_over => {
                    last = true;
                    continue;
                }
            }
        };
        let Ok(count @ 1..) = count else { break };
        for &byte in &piece[..count] {
            if byte != b'\n' {
                line.push(byte);
            }
            if byte == b'\n' || line.len() == LINE_BYTES {
                log(String::from_utf8_lossy(&line).trim_end());
                line.clear();
            }
        }
    }
    if !line.is_empty() {
        log(String::from_utf8_lossy(&line).trim_end());
    }
}
