//! Follow: keeps a worker running on the live release. After a flip it is asked to finish, and started again there.
//!
//! Everything that happens comes through one channel; after each event the workers are looked at anew, and what is to be
//! done follows from what is live and what runs now. So nothing can come at a wrong moment: a flip during a start, or
//! several in a row, are seen as soon as there is somebody to look.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use release::{Live, Pinner};
use serve::look::{Look, News, Watched};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::flags::{ExecFlags, Restart};
use super::ground::Ground;
use super::notice;
use super::pause::Pause;
use super::worker::{Ended, Tended, Worker};
use crate::answer::{Exit, Failure};
use crate::opened::Opened;
use crate::when;

/// What happens.
enum Event {
    /// To the link.
    Link(News),
    /// Somebody sent us a signal.
    Signal(Signal),
    /// A process ended: ours, or one that its parent left to us.
    Child,
}

/// What comes after a look at everything.
enum Next {
    /// An event, or this moment.
    Wait(Option<Instant>),
    /// The end, with this code.
    End(i32),
}

/// The one that keeps it running.
struct Follow<'a> {
    opened: &'a Opened,
    flags: &'a ExecFlags,
    link: Watched<()>,
    /// One; with `--overlap` two at most, the older first.
    workers: Vec<Worker>,
    pause: Pause,
    not_before: Instant,
    began_once: bool,
    stopping: bool,
    hangs_up: bool,
    code: i32,
}

/// Those that are the worker's business.
const PASSED_ON: [Signal; 5] =
    [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGQUIT, Signal::SIGWINCH, Signal::SIGALRM];

/// Runs until it is told to stop, or until the worker ended for good; gives the exit code.
pub fn run(opened: &Opened, flags: &ExecFlags) -> Result<i32, Failure> {
    let not_begun = |failure: Failure| Failure { exit: Exit::NotBegun, ..failure };
    // Told before anything runs: that no release is live, or that it lacks the directory.
    drop(Ground::take(opened, flags).map_err(not_begun)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|why| not_begun(Failure::failed(format!("cannot wait for events: {why}"))))?;
    // What workers leave behind comes to us: it is reaped, and belongs to the worker until it has ended. Where that
    // is not to be had it goes to init, as ever.
    set_child_subreaper(true).unwrap_or(());
    runtime.block_on(follow(opened, flags))
}

async fn follow(opened: &Opened, flags: &ExecFlags) -> Result<i32, Failure> {
    let (sender, mut events) = unbounded_channel();
    heed_signals(&sender).map_err(|why| Failure {
        exit: Exit::NotBegun,
        ..Failure::failed(format!("cannot take signals: {why}"))
    })?;
    let look = Look::new();
    let link = look.watch_telling(Pinner::new(opened.app.clone(), |_| ()), move |news| {
        // Nobody listens any more only when all is over.
        drop(sender.send(Event::Link(news.clone())));
    });
    tokio::spawn(async move {
        if let Err(why) = look.tend().await {
            notice::say(&format!("flips cannot be waited for: {why}"));
        }
    });
    let mut follow = Follow {
        opened,
        flags,
        link,
        workers: Vec::new(),
        pause: Pause::default(),
        not_before: Instant::now(),
        began_once: false,
        stopping: false,
        hangs_up: std::io::stdin().is_terminal(),
        code: 0,
    };
    loop {
        follow.reap();
        let until = match follow.look()? {
            Next::Wait(until) => until,
            Next::End(code) => return Ok(code),
        };
        for event in next(&mut events, until).await {
            follow.take(event);
        }
    }
}

/// What has happened: at least one event, unless the moment came first.
async fn next(events: &mut UnboundedReceiver<Event>, until: Option<Instant>) -> Vec<Event> {
    let first = match until {
        Some(until) => tokio::time::timeout_at(until.into(), events.recv()).await.unwrap_or_default(),
        None => events.recv().await,
    };
    let mut happened: Vec<Event> = first.into_iter().collect();
    while let Ok(event) = events.try_recv() {
        happened.push(event);
    }
    happened
}

fn heed_signals(sender: &UnboundedSender<Event>) -> std::io::Result<()> {
    let heeded = PASSED_ON.into_iter().chain([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
    for which in heeded {
        let (mut stream, sender) = (signal(SignalKind::from_raw(which as i32))?, sender.clone());
        tokio::spawn(async move {
            while stream.recv().await.is_some() && sender.send(Event::Signal(which)).is_ok() {}
        });
    }
    let (mut stream, sender) = (signal(SignalKind::child())?, sender.clone());
    tokio::spawn(async move { while stream.recv().await.is_some() && sender.send(Event::Child).is_ok() {} });
    Ok(())
}

impl Follow<'_> {
    fn take(&mut self, event: Event) {
        match event {
            Event::Child => {}
            Event::Signal(signal @ (Signal::SIGTERM | Signal::SIGINT)) => self.stop(signal),
            Event::Signal(signal @ Signal::SIGHUP) if self.hangs_up => self.stop(signal),
            Event::Signal(signal) => self.workers.iter().for_each(|worker| worker.pass_on(signal)),
            Event::Link(News::Flipped { .. }) => {
                // What failed was the old release's.
                self.pause = Pause::default();
                self.not_before = Instant::now();
            }
            Event::Link(News::Broken(why)) => notice::tell(&format!("{why}: what runs goes on")),
            Event::Link(News::Mended(id)) => notice::tell(&format!("the link leads to {id} again")),
            Event::Link(News::Unleased { id, why }) => {
                notice::say(&format!("{id} cannot be held ({why}): do not let it be pruned meanwhile"));
            }
            Event::Link(News::Reading(why)) => {
                notice::say(&format!("the link is looked at every second: {why}"));
            }
            Event::Link(News::Watching) => notice::say("the link is watched again"),
        }
    }

    fn stop(&mut self, signal: Signal) {
        if self.stopping && signal == Signal::SIGINT {
            let who = self.workers.iter_mut().filter(|worker| !worker.was_killed());
            who.for_each(|worker| worker.kill("shall end now"));
        }
        if !self.stopping {
            self.stopping = true;
            notice::stopping();
        }
        let why = format!("told to stop by {signal}");
        self.workers.iter_mut().for_each(|worker| worker.ask(self.flags, &why));
    }

    /// Takes every process that has ended off the kernel's hands.
    fn reap(&mut self) {
        loop {
            let (pid, how) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, Ended::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Ended::By(signal)),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(why) => return notice::say(&format!("cannot wait for processes: {why}")),
            };
            if let Some(worker) = self.workers.iter_mut().find(|worker| worker.pid() == pid) {
                worker.first_ended(how);
            }
        }
    }

    /// Looks at what runs and what is live, and does what follows from it.
    fn look(&mut self) -> Result<Next, Failure> {
        let mut until = Vec::new();
        self.tend(&mut until);
        if self.stopping {
            return Ok(if self.workers.is_empty() {
                Next::End(self.code)
            } else {
                Next::Wait(until.into_iter().min())
            });
        }
        // While the link is broken this is the last good release.
        if let Ok(pin) = self.link.pin() {
            let live = pin.lease.live();
            self.part_with_others(live, &mut until);
            self.begin_on(live, &mut until)?;
        }
        Ok(Next::Wait(until.into_iter().min()))
    }

    /// Looks after each worker.
    fn tend(&mut self, until: &mut Vec<Instant>) {
        for mut worker in std::mem::take(&mut self.workers) {
            match worker.tend(self.flags) {
                Tended::AtWork => self.workers.push(worker),
                Tended::Until(moment) => {
                    until.push(moment);
                    self.workers.push(worker);
                }
                Tended::Gone(how) => self.ended(&worker, how),
            }
        }
    }

    /// A worker and all its group have ended.
    fn ended(&mut self, worker: &Worker, how: Ended) {
        let (name, ran) = (worker.name(), worker.begun().elapsed());
        if !worker.ended_by_itself() {
            notice::tell(&format!("{name} ended {how}"));
            if self.stopping {
                let code = if worker.was_killed() {
                    Ended::By(Signal::SIGKILL).code()
                } else if how.heeds(self.flags.signal) {
                    0
                } else {
                    how.code()
                };
                self.code = self.code.max(code);
            }
            return;
        }
        let again = match self.flags.restart {
            Restart::Always => true,
            Restart::OnFailure => how != Ended::Code(0),
            Restart::Never => false,
        };
        let ran_for = when::took(ran);
        if !again {
            notice::tell(&format!("{name} ended by itself {how} after {ran_for}"));
            // What else there is, with `--overlap`, was asked to finish already, or is the next one.
            if !self.workers.iter().any(Worker::is_wanted) {
                self.stopping = true;
                self.code = how.code();
            }
            return;
        }
        let pause = match how {
            Ended::Code(0) => self.pause.after_success(ran),
            Ended::Code(_) | Ended::By(_) => self.pause.after_failure(ran),
        };
        self.not_before = Instant::now() + pause;
        notice::tell(&format!(
            "{name} ended by itself {how} after {ran_for}: it is started again in {}",
            when::took(pause)
        ));
    }

    /// Asks those to finish that do not run on what is live; with `--overlap` once the next one has proved itself.
    fn part_with_others(&mut self, live: &Live, until: &mut Vec<Instant>) {
        let next = self.workers.iter().find(|worker| stays(worker, live)).map(Worker::begun);
        let proved = match (self.flags.overlap, next) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(span), Some(begun)) => {
                let proved = begun + span;
                let is = Instant::now() >= proved;
                until.extend((!is).then_some(proved));
                is
            }
        };
        let why = format!("{} is live", live.id);
        let others = self.workers.iter_mut().filter(|worker| worker.is_wanted() && !worker.ground().is(live));
        // Of two that are both not live, the older had proved itself.
        others.skip(usize::from(!proved)).for_each(|worker| worker.ask(self.flags, &why));
        // The grace that was given just now.
        let flags = self.flags;
        until.extend(
            self.workers.iter().filter(|worker| !worker.is_wanted()).map(|_| Instant::now() + flags.grace),
        );
    }

    /// Starts a worker on what is live, if none runs there and there is room.
    fn begin_on(&mut self, live: &Live, until: &mut Vec<Instant>) -> Result<(), Failure> {
        let most = if self.flags.overlap.is_some() { 2 } else { 1 };
        if self.workers.len() >= most || self.workers.iter().any(|worker| stays(worker, live)) {
            return Ok(());
        }
        if Instant::now() < self.not_before {
            until.push(self.not_before);
            return Ok(());
        }
        let started = Ground::follow(&self.opened.app, live, self.flags);
        match started.and_then(|ground| Worker::start(ground, self.flags)) {
            Ok(worker) => {
                notice::tell(&format!("worker {} runs on {}", worker.pid(), worker.ground().id()));
                until.extend(self.flags.overlap.map(|span| worker.begun() + span));
                self.workers.push(worker);
                if !self.began_once {
                    self.began_once = true;
                    notice::ready();
                }
                Ok(())
            }
            Err(failure) => {
                // The first time somebody waits for a word; later the next flip may mend it.
                if !self.began_once && failure.exit != Exit::Failed {
                    return Err(failure);
                }
                let pause = self.pause.after_failure(Duration::ZERO);
                self.not_before = Instant::now() + pause;
                until.push(self.not_before);
                notice::tell(&format!("{}; tried again in {}", failure.error, when::took(pause)));
                Ok(())
            }
        }
    }
}

/// Whether a worker runs on this release and is to go on.
fn stays(worker: &Worker, live: &Live) -> bool {
    worker.is_wanted() && worker.runs() && worker.ground().is(live)
}
