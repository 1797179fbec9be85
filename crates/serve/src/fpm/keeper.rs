//! Keeper: the small process that keeps one php-fpm alive as long as somebody serves, and not longer.
//!
//! ```text
//! serve ──socketpair── keeper ──pipe (stderr), pidfd── php-fpm ── workers
//! ```
//! Every process that serves holds the other end of the keeper's standard input. When the last one is gone, even by
//! kill -9, the keeper reads end-of-file and ends php-fpm gracefully. It is a process rather than a thread because it
//! must outlive the one that serves on an upgrade, and must stay root to start workers as another user.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal as NixSignal};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process_group, setsid, test_kill_process_group};

use super::master::{Master, become_fpm, complain, how, say};
use super::orders::Orders;
use super::place::tidy;
use super::pool::{Pool, poll_in};
use super::sockets::Sockets;
use super::twin::{self, Told, Twins};

/// A pool that lived so long was healthy: its end starts the count of failures anew.
const HEALTHY: Duration = Duration::from_secs(10);
/// After so many failures in a row requests are refused at once rather than left waiting.
const PATIENCE: u32 = 3;
/// Beyond the time php-fpm gives its scripts, until it is told to end by SIGTERM and then killed.
const GRACE: Duration = Duration::from_secs(1);
/// The first byte of the keeper's report: the pool answers.
pub(crate) const READY: u8 = b'R';
/// The first byte of the keeper's report: the pool did not start; why follows, until end-of-file.
pub(crate) const FAILED: u8 = b'F';

/// The entry of `cutover fpm-keeper …`: `args` are what follows these two words.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let orders = match args.split_first() {
        Some((first, rest)) if first == "exec" => return become_fpm(rest),
        Some((first, rest)) if first == "keep" => Orders::from_args(rest),
        Some(_) | None => None,
    };
    let Some(orders) = orders else {
        complain("cutover fpm-keeper is started by cutover serve, not by hand");
        return ExitCode::from(2);
    };
    let app = orders.app.clone();
    match keep(orders) {
        Ok(code) => code,
        Err(error) => {
            say(&app, &format!("its keeper gives up: {error}"));
            ExitCode::FAILURE
        }
    }
}

struct Keeper {
    orders: Orders,
    control: UnixStream,
    /// Absent while requests are refused.
    sockets: Option<Sockets>,
    pool: Pool,
    /// In a row.
    failures: u32,
    restarts: u32,
    orphans: Vec<Orphans>,
    twins: Twins,
}

/// Workers whose master died: they finish what they do, then must go.
struct Orphans {
    group: Pid,
    until: Instant,
}

fn keep(orders: Orders) -> io::Result<ExitCode> {
    // Ctrl-C at the terminal, or a SIGTERM to all, reaches serve, which drains first and then lets go of us.
    let mut held_back = SigSet::empty();
    let signals = [NixSignal::SIGINT, NixSignal::SIGTERM, NixSignal::SIGHUP, NixSignal::SIGQUIT];
    held_back.extend(signals.into_iter().chain([NixSignal::SIGUSR1, NixSignal::SIGUSR2]));
    held_back.thread_block()?;
    setsid()?;
    rustix::thread::set_name(c"cutover-fpm")?;
    let control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let lock = File::create(orders.place.lock())?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;

    let sockets = Sockets::bind(&orders.place, orders.gid)?;
    let pool = Pool::start(&orders, &sockets)?;
    let mut keeper = Keeper {
        orders,
        control,
        sockets: Some(sockets),
        pool,
        failures: 0,
        restarts: 0,
        orphans: Vec::new(),
        twins: Twins::none()?,
    };
    let code = keeper.run();
    keeper.orders.place.remove()?;
    drop(lock);
    tidy(&keeper.orders.place.dir);
    code
}

impl Keeper {
    /// Until nobody serves any more, or the first start failed.
    fn run(&mut self) -> io::Result<ExitCode> {
        let mut reported = false;
        loop {
            let at_most = (!self.orphans.is_empty()).then_some(Duration::from_millis(50));
            let woken = self.pool.wait(&self.control, &self.twins.ended, at_most)?;
            if woken.control {
                match twin::told(&mut self.control) {
                    Told::Left => {
                        self.stop();
                        return Ok(ExitCode::SUCCESS);
                    }
                    Told::Twin(preload) => {
                        self.twins.answer(&self.orders, &self.control, preload.as_deref());
                    }
                    Told::Nothing => {}
                }
            }
            if woken.twin {
                self.twins.bury();
            }
            if let (true, Some(master)) = (woken.stderr, self.pool.master()) {
                master.listen(&self.orders.app);
            }
            if let Some(why) = self.why_fallen(woken.ended)? {
                if !reported {
                    return Ok(self.never_rose(&why));
                }
                self.fell(&why);
            } else if woken.answered && self.pool.answered(&self.orders) {
                self.rose(reported);
                reported = true;
            }
            if self.pool.is_due() {
                self.start_again();
            }
            self.bury(false);
        }
    }

    fn why_fallen(&mut self, ended: bool) -> io::Result<Option<String>> {
        if let (true, Some(status)) = (ended, self.pool.ended()?) {
            return Ok(Some(how(status)));
        }
        let late = || format!("did not answer within {} s", self.orders.start_within.as_secs_f32());
        Ok(self.pool.is_late().then(late))
    }

    /// The master answers: says so to who started us, later to the log.
    fn rose(&mut self, reported: bool) {
        let Some(master) = self.pool.master() else { return };
        master.said_on_starting(|line| say(&self.orders.app, line));
        let pid = master.pid().as_raw_pid();
        let path = self.orders.place.pid();
        if let Err(error) = fs::write(&path, format!("{pid} {}\n", self.restarts)) {
            say(&self.orders.app, &format!("cannot write {}: {error}", path.display()));
        }
        if reported {
            say(&self.orders.app, &format!("is back as process {pid}"));
        } else {
            self.report(READY, b"");
        }
    }

    /// The first master never answered: who started us is told, in its own words.
    fn never_rose(&mut self, why: &str) -> ExitCode {
        if let Some((mut master, _)) = self.pool.take(Instant::now()) {
            listen_to_the_end(&mut master, &self.orders.app);
            master.signal_group(Signal::KILL);
            let mut said = String::new();
            master.said_on_starting(|line| said.extend([line, "\n"]));
            self.report(FAILED, format!("{said}it {why}").as_bytes());
        }
        ExitCode::FAILURE
    }

    /// The master is gone: its workers are told to finish, and a time is set for the next one.
    fn fell(&mut self, why: &str) {
        let now = Instant::now();
        let Some((mut master, lived)) = self.pool.take(now) else { return };
        listen_to_the_end(&mut master, &self.orders.app);
        master.said_on_starting(|line| say(&self.orders.app, line));
        // Workers of a dead master finish their request; nobody would hand them another.
        master.signal_group(Signal::QUIT);
        self.orphans.push(Orphans { group: master.pid(), until: now + self.orders.stop_within });
        self.failures = if lived >= HEALTHY { 1 } else { self.failures + 1 };
        let wait = backoff(self.failures);
        let again = if wait.is_zero() { String::new() } else { format!(" in {} s", wait.as_secs_f32()) };
        let pid = master.pid().as_raw_pid();
        say(&self.orders.app, &format!("process {pid} {why}; starting it again{again}"));
        if self.failures >= PATIENCE {
            self.refuse();
        }
        self.pool = Pool::Down { again: now + wait };
    }

    /// Lets go of the sockets: who asks now is told so at once, not when his time is over.
    fn refuse(&mut self) {
        if self.sockets.take().is_none() {
            return;
        }
        say(&self.orders.app, "requests are refused until it is back");
        for socket in [self.orders.place.socket(), self.orders.place.status()] {
            match fs::remove_file(&socket) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    say(&self.orders.app, &format!("cannot remove {}: {error}", socket.display()));
                }
                Ok(()) | Err(_) => {}
            }
        }
    }

    fn start_again(&mut self) {
        self.restarts += 1;
        match self.try_start() {
            Ok(pool) => self.pool = pool,
            Err(error) => {
                self.failures += 1;
                let wait = backoff(self.failures);
                let next = format!("trying again in {} s", wait.as_secs_f32());
                say(&self.orders.app, &format!("cannot be started: {error}; {next}"));
                self.pool = Pool::Down { again: Instant::now() + wait };
            }
        }
    }

    fn try_start(&mut self) -> io::Result<Pool> {
        let sockets = match self.sockets.take() {
            Some(sockets) if sockets.stand() => sockets,
            Some(_) | None => Sockets::bind(&self.orders.place, self.orders.gid)?,
        };
        let started = Pool::start(&self.orders, &sockets);
        self.sockets = Some(sockets);
        started
    }

    /// Ends the pool: SIGQUIT lets scripts finish, SIGTERM does not, SIGKILL takes what is left.
    fn stop(&mut self) {
        let Some((mut master, _)) = self.pool.take(Instant::now()) else { return self.bury(true) };
        let steps =
            [(Signal::QUIT, self.orders.stop_within + GRACE), (Signal::TERM, GRACE), (Signal::KILL, GRACE)];
        for (signal, within) in steps {
            if signal == Signal::KILL {
                master.signal_group(signal);
            } else {
                master.signal(signal);
            }
            if ends_within(&mut master, within, &self.orders.app) {
                break;
            }
        }
        self.bury(true);
    }

    /// Forgets orphans that are gone, and kills those whose time is over, or all.
    fn bury(&mut self, all: bool) {
        let now = Instant::now();
        self.orphans.retain(|orphans| {
            if test_kill_process_group(orphans.group).is_err() {
                return false;
            }
            if !all && now < orphans.until {
                return true;
            }
            // The last one may have ended since.
            kill_process_group(orphans.group, Signal::KILL).unwrap_or_default();
            false
        });
    }

    fn report(&mut self, what: u8, text: &[u8]) {
        let mut message = vec![what];
        message.extend_from_slice(text);
        // Who started us may be gone: then end-of-file follows.
        self.control.write_all(&message).unwrap_or_default();
    }
}

/// At once, then 0.1 s, doubled up to 10 s.
fn backoff(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        more => Duration::from_millis(100u64 << (more - 2).min(7)).min(Duration::from_secs(10)),
    }
}

/// Waits for its end, passing on what it says.
fn ends_within(master: &mut Master, within: Duration, app: &str) -> bool {
    let until = Instant::now() + within;
    loop {
        match master.ended() {
            Ok(None) => {}
            Ok(Some(_)) => return true,
            Err(error) => {
                say(app, &format!("cannot be waited for: {error}"));
                return true;
            }
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let stderr = master.stderr.as_ref().map(AsFd::as_fd);
        if let Ok([_, true]) = poll_in([Some(master.pidfd.as_fd()), stderr], Some(left)) {
            master.listen(app);
        }
    }
}

/// Passes on what a dead master said last; not more, its workers may hold the pipe for as long as they like.
fn listen_to_the_end(master: &mut Master, app: &str) {
    for _ in 0..64 {
        let stderr = master.stderr.as_ref().map(AsFd::as_fd);
        match poll_in([stderr], Some(Duration::ZERO)) {
            Ok([true]) => master.listen(app),
            Ok([false]) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_at_once_and_later_ones_wait_longer_up_to_ten_seconds() {
        let waits: Vec<_> = (1..=10).map(|failures| backoff(failures).as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(backoff(u32::MAX), Duration::from_secs(10));
    }
}
