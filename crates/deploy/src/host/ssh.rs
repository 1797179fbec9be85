//! Ssh: reaches a host by the `ssh` that the user has, and starts our program there, which is put there if need be.
//!
//! One connection, one command, one process on each side:
//!
//! ```text
//!   ssh user@host  exec sh -c '…'
//!   <── "cutover-host 1 found"                        the program stands there already, and becomes the process
//!   <── "cutover-host 1 missing Linux x86_64"         it does not:
//!   ──> its bytes                                     written beside its place, counted, renamed
//!   <── "cutover-host 1 put"                          and becomes the process
//!   <── frames ──>
//! ```
//! Plain `ssh`, and no master of ours: what the user's own configuration says of keys, jump hosts and shared
//! connections holds, and nothing stays behind when we are killed. The script is one line without a backslash or a
//! quote that ends it, for login shells are not always sh.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::link::{Link, LinkError, Patience};
use super::message::{Far, Near, PROTOCOL};
use super::program::Program;
use super::script::{MARK, here, script};

/// Which host, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What ssh(1) takes: `user@host`, or an alias.
    pub host: String,
    /// The file for `ssh -F`; `None`: the user's.
    pub config: Option<PathBuf>,
    /// A program that stands there; `None`: ours is put there.
    pub program: Option<PathBuf>,
}

/// A host that answered: its far end waits for an order.
#[derive(Debug)]
pub struct Ssh {
    /// The connection.
    pub link: Link,
    said: Said,
    child: Child,
    done: bool,
}

/// Why there is no far end.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// There is no ssh here.
    #[error("cannot start ssh: {0}; it is the client of OpenSSH")]
    NoSsh(std::io::Error),
    /// ssh did not get there, or was not let in.
    #[error("cannot reach {host}{}", words(said))]
    Unreachable {
        /// The host.
        host: String,
        /// What ssh said.
        said: Vec<String>,
    },
    /// What answered is no shell that does as it is told.
    #[error("{host} did not answer as it should; it printed {printed:?}{}", words(said))]
    Noise {
        /// The host.
        host: String,
        /// What came instead.
        printed: String,
        /// What it said besides.
        said: Vec<String>,
    },
    /// Our program cannot run there.
    #[error("{host} is {there}, and this cutover is for {here}")]
    Foreign {
        /// The host.
        host: String,
        /// What it says of itself.
        there: String,
        /// What ours is made for.
        here: String,
    },
    /// Our program could not be put there.
    #[error("cannot put cutover onto {host}{}", words(said))]
    NotPut {
        /// The host.
        host: String,
        /// What it said.
        said: Vec<String>,
    },
    /// The program stands there and does not run.
    #[error("cutover does not run on {host}{}", words(said))]
    NotRun {
        /// The host.
        host: String,
        /// What it said.
        said: Vec<String>,
    },
    /// It is another one, though it was just put there.
    #[error("what runs on {host} is not what was put there: its disk or its shell changes it")]
    Changed {
        /// The host.
        host: String,
    },
    /// It speaks another protocol.
    #[error("{version} on {host} speaks protocol {protocol}, and this one {PROTOCOL}")]
    Protocol {
        /// The host.
        host: String,
        /// What it calls itself.
        version: String,
        /// What it speaks.
        protocol: u32,
    },
    /// It went away.
    #[error("{host}: {why}")]
    Lost {
        /// The host.
        host: String,
        /// How.
        why: String,
    },
    /// It was told to stop before it got there.
    #[error("stopped before {0} answered")]
    Stopped(String),
    /// Our own program cannot be read.
    #[error("cannot read the running program: {0}")]
    Own(std::io::Error),
}

/// What the near end wants to know while it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Putting {
    /// Our program is put there; so many bytes.
    Begins(u64),
    /// It is there.
    Done,
}

/// What a login may print before our mark.
const NOISE: usize = 64 << 10;
/// So many lines of what ssh says are kept.
const LINES: usize = 20;

type Said = Arc<Mutex<Vec<String>>>;

/// A host that was called and has not answered yet.
#[derive(Debug)]
pub struct Dialled<'p> {
    target: Target,
    program: &'p Program,
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    said: Said,
    answered: Arc<AtomicBool>,
}

/// Calls a host; what can be done meanwhile may be done before [`Dialled::answer`]. `stop` hangs up.
pub fn dial<'p>(
    target: &Target,
    program: &'p Program,
    stop: &Arc<AtomicBool>,
) -> Result<Dialled<'p>, SshError> {
    call(target, program, stop, false)
}

fn call<'p>(
    target: &Target,
    program: &'p Program,
    stop: &Arc<AtomicBool>,
    anew: bool,
) -> Result<Dialled<'p>, SshError> {
    let mut child = command(target, &script(target, program, anew)).spawn().map_err(SshError::NoSsh)?;
    let missing = || SshError::NoSsh(std::io::Error::other("its streams are missing"));
    let (to, from) = (child.stdin.take().ok_or_else(missing)?, child.stdout.take().ok_or_else(missing)?);
    let said = Said::default();
    let answered = Arc::new(AtomicBool::new(false));
    if let Some(stderr) = child.stderr.take() {
        let (said, answered) = (Arc::clone(&said), Arc::clone(&answered));
        std::thread::spawn(move || listen(stderr, &said, &answered));
    }
    let pid = child.id();
    let (stop, waiting) = (Arc::clone(stop), Arc::clone(&answered));
    std::thread::spawn(move || {
        while !waiting.load(Ordering::SeqCst) {
            if stop.load(Ordering::SeqCst) {
                hang_up(pid);
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let from = BufReader::new(from);
    Ok(Dialled { target: target.clone(), program, child, to, from, said, answered })
}

impl Dialled<'_> {
    /// Waits for the far end, and puts our program there if it is missing. One that stands there and is damaged is
    /// put there anew.
    pub fn answer(
        self,
        who: &str,
        stop: &Arc<AtomicBool>,
        told: &mut dyn FnMut(Putting),
    ) -> Result<Ssh, SshError> {
        let (target, program) = (self.target.clone(), self.program);
        let mut put = false;
        let first = self.once(who, stop, &mut |putting| {
            put = true;
            told(putting);
        });
        match first {
            Err(SshError::Changed { .. } | SshError::NotRun { .. }) if !put && target.program.is_none() => {
                call(&target, program, stop, true)?.once(who, stop, told)
            }
            answered => answered,
        }
    }

    /// Gives up.
    pub fn hang_up(mut self) {
        self.answered.store(true, Ordering::SeqCst);
        hang_up(self.child.id());
        drop(self.child.wait());
    }

    fn once(
        mut self,
        who: &str,
        stop: &Arc<AtomicBool>,
        told: &mut dyn FnMut(Putting),
    ) -> Result<Ssh, SshError> {
        let met = self.meet(told);
        self.answered.store(true, Ordering::SeqCst);
        match met {
            Ok(()) => {}
            Err(_) if stop.load(Ordering::SeqCst) => return Err(SshError::Stopped(self.target.host.clone())),
            Err(error) => return Err(error),
        }
        let Dialled { target, program, child, to, from, said, .. } = self;
        let link = Link::over(from, to, Patience::default(), Arc::default());
        let mut ssh = Ssh { link, said, child, done: false };
        let host = target.host.clone();
        let far = match ssh.link.hear::<Far>(&|| stop.load(Ordering::SeqCst)) {
            Ok(far) => far,
            Err(LinkError::Stopped) => return Err(SshError::Stopped(host)),
            Err(LinkError::Lost(_)) => return Err(SshError::NotRun { host, said: ssh.last_words() }),
            Err(LinkError::Nonsense(why)) => return Err(SshError::Lost { host, why }),
        };
        let Far::Hello { protocol, program: theirs, version } = far else {
            return Err(SshError::Lost { host, why: "it did not begin with a hello".into() });
        };
        if target.program.is_none() && theirs != program.hash() {
            return Err(SshError::Changed { host });
        }
        if protocol != PROTOCOL {
            return Err(SshError::Protocol { host, version, protocol });
        }
        let hello = Near::Hello { protocol: PROTOCOL, who: who.to_owned() };
        ssh.link.sender().say(&hello).map_err(|error| SshError::Lost { host, why: error.to_string() })?;
        Ok(ssh)
    }

    /// Until our program is the process at the far end.
    fn meet(&mut self, told: &mut dyn FnMut(Putting)) -> Result<(), SshError> {
        let found = self.mark()?;
        let Some(there) = found.strip_prefix("missing ") else { return Ok(()) };
        let here = here();
        if there != here {
            let host = self.target.host.clone();
            return Err(SshError::Foreign { host, there: there.into(), here });
        }
        told(Putting::Begins(self.program.bytes()));
        let mut content = self.program.content().map_err(SshError::Own)?;
        // The far end may have ended already, for want of room: then what it said says more than our broken pipe.
        let sent = std::io::copy(&mut content, &mut self.to).and_then(|_| self.to.flush());
        match self.mark() {
            Ok(put) if put == "put" => {
                told(Putting::Done);
                Ok(())
            }
            Ok(_) => Err(SshError::NotPut { host: self.target.host.clone(), said: self.last_words() }),
            Err(error) => match sent {
                Ok(()) => Err(error),
                Err(_) => Err(SshError::NotPut { host: self.target.host.clone(), said: self.last_words() }),
            },
        }
    }

    /// What follows the next mark. What a login printed before it is passed over.
    fn mark(&mut self) -> Result<String, SshError> {
        let mut noise = Vec::new();
        loop {
            let mut line = Vec::new();
            let room = (NOISE.saturating_sub(noise.len())) as u64;
            let got = (&mut self.from).take(room).read_until(b'\n', &mut line).unwrap_or(0);
            let text = String::from_utf8_lossy(&line);
            if let Some(word) = text.trim_end().strip_prefix(MARK) {
                return Ok(word.to_owned());
            }
            noise.extend_from_slice(&line);
            if got == 0 {
                return Err(self.no_mark(&noise));
            }
        }
    }

    fn no_mark(&mut self, noise: &[u8]) -> SshError {
        let full = noise.len() >= NOISE;
        if full {
            hang_up(self.child.id());
        }
        let (host, said) = (self.target.host.clone(), self.last_words());
        let printed: String = String::from_utf8_lossy(noise).trim().chars().take(200).collect();
        match self.child.wait().ok().and_then(|status| status.code()) {
            // ssh(1): 255 if an error occurred; otherwise what the command gave.
            Some(255) if !full => SshError::Unreachable { host, said },
            Some(126 | 127) if printed.is_empty() => SshError::NotRun { host, said },
            Some(_) | None => SshError::Noise { host, printed, said },
        }
    }

    fn last_words(&mut self) -> Vec<String> {
        last_words(&mut self.child, &self.said)
    }
}

impl Ssh {
    /// What ssh and the far end said last on stderr; waits a moment for it.
    pub fn last_words(&mut self) -> Vec<String> {
        last_words(&mut self.child, &self.said)
    }

    /// All is said. ssh ends by itself, and is not waited for: its goodbye takes a round trip, and where it is the
    /// master of the user's other sessions it stays for them.
    pub fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        // One that hangs on a dead connection is not waited for.
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        hang_up(self.child.id());
        drop(self.child.wait());
    }
}

fn command(target: &Target, script: &str) -> Command {
    // Ctrl-C reaches every process of the terminal: ssh would go, and the far end could not be told to stop.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "trap '' INT HUP QUIT; exec ssh \"$@\"", "ssh"]);
    if let Some(config) = &target.config {
        command.arg("-F").arg(config);
    }
    let options = ["RemoteCommand=none", "ClearAllForwardings=yes", "RequestTTY=no"];
    for option in options {
        command.arg("-o").arg(option);
    }
    command.args(["-x", "-e", "none", "--"]).arg(&target.host).arg(OsString::from(script));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Keeps the last lines; once the far end has answered they are what its commands print, and are shown.
fn listen(stderr: impl Read, said: &Said, answered: &AtomicBool) {
    for line in BufReader::new(stderr).split(b'\n') {
        let Ok(line) = line else { return };
        let line: String = String::from_utf8_lossy(&line).chars().filter(|c| !c.is_control()).collect();
        if line.trim().is_empty() {
            continue;
        }
        if answered.load(Ordering::SeqCst) {
            writeln!(std::io::stderr(), "{line}").unwrap_or(());
        }
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() == LINES {
            said.remove(0);
        }
        said.push(line);
    }
}

/// Waits a moment for the end of ssh, whose last words come with it, and until they were heard: who listens holds the
/// other end of `said`. (A connection that ssh keeps open for others is listened to for longer than that.)
fn last_words(child: &mut Child, said: &Said) -> Vec<String> {
    let until = Instant::now() + Duration::from_secs(2);
    let is_over = |child: &mut Child| !matches!(child.try_wait(), Ok(None)) && Arc::strong_count(said) == 1;
    while Instant::now() < until && !is_over(child) {
        std::thread::sleep(Duration::from_millis(5));
    }
    said.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn hang_up(pid: u32) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may be gone already, which is what is wanted.
        kill_process(pid, Signal::TERM).unwrap_or(());
    }
}

fn words(said: &[String]) -> String {
    let mut said: Vec<&str> = said.iter().map(|line| line.trim()).collect();
    said.dedup();
    let last = said.get(said.len().saturating_sub(6)..).unwrap_or_default();
    last.iter().enumerate().map(|(at, line)| format!("{}{line}", if at == 0 { ": " } else { "; " })).collect()
}
