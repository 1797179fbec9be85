//! Server: `cutover serve` started for the demo, left running behind it, and stopped by its pid file.

use crate::stuck::{Stuck, Trying};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A started server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: PathBuf,
}

/// Where the demo listens if nobody else does there.
const PREFERRED: &str = "127.0.0.1:8080";

/// An address that is free now: 127.0.0.1:8080, or any other port.
///
/// # Errors
/// When loopback has no free port.
pub fn free_address() -> Result<SocketAddr, Stuck> {
    let listener = TcpListener::bind(PREFERRED).or_else(|_| TcpListener::bind("127.0.0.1:0"));
    listener
        .and_then(|listener| listener.local_addr())
        .trying(|| "cannot find a free port on 127.0.0.1".to_owned())
}

/// Starts `cutover serve` over the site and waits until it accepts connections.
///
/// # Errors
/// When it does not start, or ends at once; what it said is told.
pub fn start(cutover: &Path, site: &Path, home: &Path, address: SocketAddr) -> Result<Server, Stuck> {
    let log = home.join("serve.log");
    let out = File::create(&log).trying(|| format!("cannot write {}", log.display()))?;
    let copy = out.try_clone().trying(|| format!("cannot write {}", log.display()))?;
    let child = Command::new(cutover)
        .arg("serve")
        .arg(site)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(copy)
        // A group of its own: Ctrl-C at the demo shall not reach it behind the demo's back.
        .process_group(0)
        .spawn()
        .trying(|| format!("cannot start {}", cutover.display()))?;
    let mut server = Server { child, log };
    fs::write(pid_file(home), format!("{}\n", server.child.id()))
        .trying(|| format!("cannot write {}", pid_file(home).display()))?;
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        server.is_well()?;
        if began.elapsed() > Duration::from_secs(20) {
            return Err(server.complaint("does not accept connections after 20 s"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(server)
}

/// Stops what an earlier demo left running; whether there was something.
///
/// # Errors
/// When it does not end within its time to drain.
pub fn stop(home: &Path) -> Result<bool, Stuck> {
    let file = pid_file(home);
    let Ok(text) = fs::read_to_string(&file) else { return Ok(false) };
    let pid = text.trim().parse::<u32>().ok().filter(|pid| is_ours(*pid));
    if let Some(pid) = pid {
        let sent = Command::new("kill").arg(pid.to_string()).status();
        sent.trying(|| format!("cannot send SIGTERM to {pid}"))?;
        let began = Instant::now();
        while is_ours(pid) {
            if began.elapsed() > Duration::from_secs(40) {
                return Err(Stuck::because(format!("the server (pid {pid}) does not end")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    fs::remove_file(&file).trying(|| format!("cannot remove {}", file.display()))?;
    Ok(pid.is_some())
}

impl Server {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Nothing, if it still runs.
    ///
    /// # Errors
    /// When it has ended.
    pub fn is_well(&mut self) -> Result<(), Stuck> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.complaint(&format!("ended with {status}"))),
            Err(why) => Err(self.complaint(&format!("cannot be watched: {why}"))),
        }
    }

    /// Stops it and waits for its end, so that it is no zombie of ours.
    ///
    /// # Errors
    /// When it cannot be told or waited for.
    pub fn end(mut self, home: &Path) -> Result<(), Stuck> {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status();
        sent.trying(|| "cannot send SIGTERM to the server".to_owned())?;
        self.child.wait().trying(|| "cannot wait for the server".to_owned())?;
        fs::remove_file(pid_file(home)).trying(|| "cannot remove the pid file".to_owned())
    }

    fn complaint(&self, what: &str) -> Stuck {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = said.lines().rev().take(12).collect();
        let last = last.into_iter().rev().collect::<Vec<_>>().join("\n  ");
        Stuck::because(format!("cutover serve {what}; the end of {}:\n  {last}", self.log.display()))
    }
}

/// Whether a process is a `cutover serve`, and not somebody who got its number since.
fn is_ours(pid: u32) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = words.split(|byte| *byte == 0);
    words.next().is_some_and(|program| program.ends_with(b"cutover")) && words.next() == Some(b"serve")
}

fn pid_file(home: &Path) -> PathBuf {
    home.join("serve.pid")
}
