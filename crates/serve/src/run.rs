//! Run: a server process from its first instruction to its last.
//!
//! ```text
//! take over or listen -> start pools -> drop privileges -> runtime -> serve -> (signals, control) -> drain -> end
//! ```

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::Served;
use release::ReleaseId;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, mpsc};

use crate::accept::Order;
use crate::control::{Answer, Command, MasterStatus, PinnedStatus, SiteStatus, Status};
use crate::descriptors;
use crate::file::memory::Memory;
use crate::fpm::Embedded;
use crate::ground::{Adopted, Carried, Ground, GroundError, app_of};
use crate::handover::{self, Item, TakenOver};
use crate::listen::{self, Inherited};
use crate::log::with_reasons;
use crate::look::Look;
use crate::masters::Role;
use crate::metrics::Metrics;
use crate::operator::{self, Operator};
use crate::privileges::{Account, PrivilegeError};
use crate::process::{Process, ProcessError};
use crate::roll::Pinned;
use crate::scrape;
use crate::server::Server;
use crate::site::{Shared, Site};

/// How often connections are swept, logs written out and certificates looked at.
const TICK: Duration = Duration::from_millis(250);

/// While draining, a kept connection without a request is closed after this time.
const DRAIN_IDLE: Duration = Duration::from_secs(1);

/// Reads the configuration, now and at each reload.
pub type Load = Box<dyn Fn() -> Result<Served, Complaint> + Send + Sync>;

/// Why it cannot be read.
pub type Complaint = Box<dyn std::error::Error + Send + Sync>;

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// What is configured cannot be served.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// What is configured cannot be opened.
    #[error(transparent)]
    Ground(#[from] GroundError),
    /// Privileges could not be given up.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// The old process handed nothing over.
    #[error("cannot take over from the old process")]
    TakeOver(#[source] io::Error),
    /// There is no runtime.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
}

/// Serves until it is told to end.
pub fn run(load: Load) -> Result<(), RunError> {
    // Before anything else, while this process has one thread: what is handed over, and by whom.
    let program = std::env::current_exe().ok();
    let taken_over = TakenOver::receive().map_err(RunError::TakeOver)?;
    let served = load().map_err(ProcessError::Config)?;
    let account = account(&served)?;
    let mut carried = Carried { inherited: Inherited::from_systemd(), ..Carried::default() };
    carried.connecting_gid = account.as_ref().map(|account| account.gid.as_raw());
    let ready = take(taken_over, &mut carried).map_err(RunError::TakeOver)?;
    let workers = served.sites.iter().find_map(|site| site.config.host.serve.workers);
    let metrics_at: Vec<_> =
        served.sites.iter().filter_map(|site| site.config.host.serve.metrics.clone()).collect();
    let scrapes = scrape_sockets(metrics_at, &mut carried.inherited)?;
    let ground = Ground::open(served, carried)?;
    raise_descriptors(&ground);
    let operators = operator::bind(&ground, ready.is_some(), account.as_ref());
    if let Some(account) = &account {
        account.become_it()?;
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = workers {
        runtime.worker_threads(workers);
    }
    let runtime = runtime.enable_all().thread_name("cutover").build().map_err(RunError::Runtime)?;
    let begun = Begun { load, program, ready, scrapes, operators };
    let ended = runtime.block_on(serve(begun, ground));
    // Connections past their deadline are not waited for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended
}

/// Says so if the connections that are configured cannot all be open at once.
fn raise_descriptors(ground: &Ground) {
    let Some(limit) = descriptors::raise() else { return };
    let asked = |site: &config::Config| site.host.serve.limits.connections;
    let Some(most) = ground.served.sites.iter().map(|site| asked(&site.config)).max() else { return };
    if most as u64 >= limit {
        ground.log.warn(
            "serve",
            format_args!(
                "{most} connections are allowed, but the system allows {limit} descriptors: raise LimitNOFILE or `ulimit -n`, or lower serve.limits.connections"
            ),
        );
    }
}

/// What was prepared before there was a runtime.
struct Begun {
    load: Load,
    program: Option<PathBuf>,
    ready: Option<TakenOver>,
    scrapes: Vec<listen::Bound>,
    operators: Vec<operator::Socket>,
}

fn account(served: &Served) -> Result<Option<Account>, PrivilegeError> {
    let named = served.sites.iter().find_map(|site| {
        let serve = &site.config.host.serve;
        serve.user.as_ref().map(|user| (user.clone(), serve.group.clone()))
    });
    named.map(|(user, group)| Account::find(&user, group.as_deref())).transpose()
}

/// Sorts what the old process handed over into `carried`.
fn take(taken_over: Option<TakenOver>, carried: &mut Carried) -> io::Result<Option<TakenOver>> {
    let Some(mut taken_over) = taken_over else { return Ok(None) };
    for (item, fd) in taken_over.items.drain(..) {
        match item {
            Item::Listen(at) => carried.inherited.add(&at, fd),
            Item::Pool { app, about, made_for, fresh } => {
                let embedded = Embedded::adopt(fd, about.as_ref()).map_err(io::Error::other)?;
                let made_for =
                    made_for.map(|id| ReleaseId::parse(&id)).transpose().map_err(io::Error::other)?;
                carried.adopted.entry(app).or_default().push(Adopted { embedded, made_for, fresh });
            }
        }
    }
    Ok(Some(taken_over))
}

fn scrape_sockets(
    mut at: Vec<config::value::ListenAt>,
    inherited: &mut Inherited,
) -> Result<Vec<listen::Bound>, RunError> {
    at.sort();
    at.dedup();
    let bound = at.iter().map(|at| listen::bind(at, inherited)).collect::<Result<Vec<_>, _>>();
    Ok(bound.map_err(GroundError::Listen)?)
}

/// Asks that arrive while the process serves.
enum Event {
    Command(Command, tokio::sync::oneshot::Sender<Answer>),
    Terminate,
    Hangup,
    Reopen,
}

async fn serve(begun: Begun, ground: Ground) -> Result<(), RunError> {
    let metrics = Arc::new(Metrics::default());
    let first = ground.served.sites.first().map(|site| site.config.host.serve.clone()).unwrap_or_default();
    let drain = first.limits.drain;
    let server = Arc::new(Server::new(Arc::clone(&metrics), ground.log.clone(), first.limits.connections));
    let shared = Shared {
        look: Look::new(),
        memory: Arc::new(Memory::new(first.memory, first.file_max)),
        metrics: Arc::clone(&metrics),
        roll: Arc::default(),
    };
    let look = shared.look.clone();
    let tending = tokio::spawn({
        let log = ground.log.clone();
        async move {
            if let Err(why) = look.tend().await {
                log.warn("serve", format_args!("an idle process does not see flips: {why}"));
            }
        }
    });
    for socket in begun.scrapes {
        let at = socket.address().map_or_else(|| "the metrics socket".to_owned(), |at| at.to_string());
        let listener = socket.listen().map_err(|source| ProcessError::Accept { at, source })?;
        tokio::spawn(scrape::run(listener, Arc::clone(&metrics)));
    }
    let process = Process::start(Arc::clone(&server), shared, ground)?;
    for address in process.addresses() {
        server.log.info("serve", format_args!("listening on {address}"));
    }
    let process = Arc::new(Mutex::new(process));
    let (events, mut asked) = mpsc::channel(16);
    let operator = Operator::new(events.clone());
    for socket in begun.operators {
        operator.listen(socket, &server.log);
    }
    let ticker = tokio::spawn(tick(Arc::clone(&server), Arc::clone(&process)));
    watch_signals(events)?;
    if let Some(old) = begun.ready {
        old.ready().map_err(RunError::TakeOver)?;
    }
    notify(&server, &[sd_notify::NotifyState::Ready, sd_notify::NotifyState::MainPid(std::process::id())]);
    let order = loop {
        let Some(event) = asked.recv().await else { break Order::Clear };
        match event {
            Event::Terminate => break Order::Clear,
            Event::Hangup => match reload(&process, &begun.load).await {
                Ok(done) => server.log.info("serve", done),
                Err(why) => server.log.error(
                    "serve",
                    format_args!("not reloaded: {}; what was served still is", with_reasons(&why)),
                ),
            },
            Event::Reopen => {
                if let Err(why) = process.lock().await.reopen_logs() {
                    server.log.error("serve", format_args!("a log cannot be reopened: {why}"));
                }
            }
            Event::Command(command, answer) => {
                let (said, end) = obey(command, &process, &server, &begun.load, begun.program.as_ref()).await;
                // Who asked may have hung up; it was done all the same.
                answer.send(said).unwrap_or_default();
                if let Some(order) = end {
                    break order;
                }
            }
        }
    };
    notify(&server, &[sd_notify::NotifyState::Stopping]);
    drain_all(&server, &process, order, drain, &mut asked).await;
    ticker.abort();
    tending.abort();
    operator.answers_sent().await;
    end(process, order).await;
    server.log.info("serve", "ended");
    Ok(())
}

async fn obey(
    command: Command,
    process: &Mutex<Process>,
    server: &Arc<Server>,
    load: &Load,
    program: Option<&PathBuf>,
) -> (Answer, Option<Order>) {
    match command {
        Command::Status => (Answer::Status(status(&*process.lock().await, server)), None),
        Command::Reload => match reload(process, load).await {
            Ok(done) => (Answer::Done(done), None),
            Err(why) => (Answer::Failed(format!("{}; what was served still is", with_reasons(&why))), None),
        },
        Command::Drain => (
            Answer::Done("draining: what is in hand is finished, then the server ends".into()),
            Some(Order::Clear),
        ),
        Command::Renew { site } => match named(&*process.lock().await, &site) {
            Err(unknown) => (unknown, None),
            Ok(known) => {
                known.renew();
                (Answer::Done(format!("{site} was looked at anew")), None)
            }
        },
        Command::Fresh { site, release } => {
            let known = named(&*process.lock().await, &site);
            (known.map_or_else(|unknown| unknown, |known| fresh(known, release)), None)
        }
        Command::Discard { site, release } => {
            let known = named(&*process.lock().await, &site);
            (known.map_or_else(|unknown| unknown, |known| discard(&known, release.as_deref())), None)
        }
        Command::CloseIdle { site } => match named(&*process.lock().await, &site) {
            Err(unknown) => (unknown, None),
            Ok(known) => {
                known.masters.iter().for_each(|masters| masters.close_idle());
                (Answer::Done(format!("idle connections to php-fpm of {site} are closed")), None)
            }
        },
        Command::Maintenance { site, on } => match named(&*process.lock().await, &site) {
            Err(unknown) => (unknown, None),
            Ok(known) => match known.set_maintenance(on) {
                Ok(()) => {
                    let word = if on { "on" } else { "off" };
                    (Answer::Done(format!("maintenance is {word} for {site}")), None)
                }
                Err(why) => (Answer::Failed(format!("{why}; maintenance is unchanged for {site}")), None),
            },
        },
        Command::Upgrade { program: named } => {
            let Some(program) = named.or_else(|| program.cloned()) else {
                return (Answer::Failed("this program's own path cannot be told; name it".into()), None);
            };
            match upgrade(process, program).await {
                Ok(pid) => (
                    Answer::Done(format!("process {pid} serves; this one ends when its requests are done")),
                    Some(Order::Leave),
                ),
                Err(why) => (Answer::Failed(format!("not upgraded: {why}; this process still serves")), None),
            }
        }
    }
}

/// Starts a fresh php-fpm for a release of this site.
fn fresh(site: Arc<Site>, release: String) -> Answer {
    let begin = || -> Result<Box<MasterStatus>, String> {
        let id = ReleaseId::parse(&release).map_err(|why| why.to_string())?;
        let masters = site.masters.as_ref().ok_or("the site has no PHP")?;
        let dir = site.app.release_dir(&id).map_err(|why| format!("{release} cannot be read: {why}"))?;
        // Blocks for as long as it takes to start; other threads serve meanwhile.
        let pool =
            tokio::task::block_in_place(|| masters.fresh(&id, &dir)).map_err(|why| with_reasons(&why))?;
        site.log.info(&site.name, format_args!("{} is ready for {id}", pool.process()));
        pool.status(Role::Fresh).map(Box::new).ok_or_else(|| "php-fpm is not ours".to_owned())
    };
    begin().map_or_else(Answer::Failed, Answer::Fresh)
}

fn discard(site: &Site, release: Option<&str>) -> Answer {
    let id = match release.map(ReleaseId::parse).transpose() {
        Ok(id) => id,
        Err(why) => return Answer::Failed(why.to_string()),
    };
    match site.masters.as_ref().is_some_and(|masters| masters.discard(id.as_ref())) {
        true => Answer::Done("the php-fpm that was started for it ends".into()),
        false => Answer::Done("no php-fpm waits for it".into()),
    }
}

fn named(process: &Process, site: &str) -> Result<Arc<crate::site::Site>, Answer> {
    let found = process.sites().iter().find(|known| known.name == site).cloned();
    found.ok_or_else(|| Answer::Failed(format!("no site here is called `{site}`")))
}

async fn reload(process: &Mutex<Process>, load: &Load) -> Result<String, ProcessError> {
    let served = load().map_err(ProcessError::Config)?;
    let mut process = process.lock().await;
    process.replace(served).await?;
    let names: Vec<&str> = process.sites().iter().map(|site| site.name.as_str()).collect();
    Ok(format!("reloaded: {}", names.join(", ")))
}

async fn upgrade(process: &Mutex<Process>, program: PathBuf) -> io::Result<u32> {
    let items = process.lock().await.items()?;
    let started = tokio::task::spawn_blocking(move || {
        use std::os::fd::AsFd;
        let lent: Vec<_> = items.iter().map(|(item, fd)| (item.clone(), fd.as_fd())).collect();
        handover::hand_over(&program, &lent).map(|child| child.id())
    });
    started.await.map_err(io::Error::other)?
}

fn status(process: &Process, server: &Server) -> Status {
    let site = |site: &Arc<crate::site::Site>| {
        let pin = site.pin().ok();
        SiteStatus {
            name: site.name.clone(),
            release: pin.as_ref().map(|pin| pin.id().to_string()),
            in_flight: pin.as_ref().map_or(0, |pin| pin.with.meters.in_flight.get()),
            pinned: site.pinned().into_iter().map(told_pinned).collect(),
            link_error: site.link_error().map(|why| why.to_string()),
            maintenance: site.in_maintenance(),
            masters: site.masters.as_ref().map(|masters| masters.status()).unwrap_or_default(),
        }
    };
    Status {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        up_seconds: server.epoch.elapsed().as_secs(),
        connections: server.open(),
        draining: server.is_draining(),
        look: process.look(),
        listen: process.addresses(),
        sites: process.sites().iter().map(site).collect(),
    }
}

fn told_pinned(pinned: Pinned) -> PinnedStatus {
    let Pinned { release, since, in_flight } = pinned;
    PinnedStatus { release, in_flight, seconds: since.as_secs() }
}

fn watch_signals(events: mpsc::Sender<Event>) -> Result<(), RunError> {
    let kinds: [(SignalKind, fn() -> Event); 4] = [
        (SignalKind::terminate(), || Event::Terminate),
        (SignalKind::interrupt(), || Event::Terminate),
        (SignalKind::hangup(), || Event::Hangup),
        (SignalKind::user_defined1(), || Event::Reopen),
    ];
    for (kind, event) in kinds {
        let mut signals = signal(kind).map_err(RunError::Runtime)?;
        let events = events.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if events.send(event()).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}

async fn tick(server: Arc<Server>, process: Arc<Mutex<Process>>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut count = 0u64;
    loop {
        ticks.tick().await;
        count += 1;
        server.sweep(server.is_draining().then_some(DRAIN_IDLE));
        // Not waited for: a reload or an upgrade in progress holds it, and the next tick comes soon.
        let Ok(process) = process.try_lock() else { continue };
        process.flush_logs();
        process.tend_pools();
        if count.is_multiple_of(20) {
            process.refresh_certificates();
        }
    }
}

async fn drain_all(
    server: &Arc<Server>,
    process: &Mutex<Process>,
    order: Order,
    patience: Duration,
    asked: &mut mpsc::Receiver<Event>,
) {
    let deadline = Instant::now() + patience;
    process.lock().await.close_doors(order).await;
    server.drain();
    server.log.info(
        "serve",
        format_args!("draining: {} connections, {} s at most", server.open(), patience.as_secs()),
    );
    while server.open() > 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            server.log.warn(
                "serve",
                format_args!("{} connections are cut: the drain's time is over", server.open()),
            );
            return;
        }
        tokio::select! {
            () = server.changed.notified() => {}
            () = tokio::time::sleep(left.min(TICK)) => {}
            event = asked.recv() => match event {
                Some(Event::Terminate) => {
                    server.log.warn("serve", format_args!("told twice to end: {} connections are cut", server.open()));
                    return;
                }
                Some(Event::Command(Command::Status, answer)) => {
                    let now = status(&*process.lock().await, server);
                    answer.send(Answer::Status(now)).unwrap_or_default();
                }
                Some(Event::Command(_, answer)) => {
                    answer.send(Answer::Failed("this server is draining".into())).unwrap_or_default();
                }
                Some(Event::Hangup | Event::Reopen) | None => {}
            },
        }
    }
}

async fn end(process: Arc<Mutex<Process>>, order: Order) {
    let pools = {
        let process = process.lock().await;
        process.flush_logs();
        // A worker does not end while it waits on a kept connection.
        process
            .sites()
            .iter()
            .filter_map(|site| site.masters.as_ref())
            .for_each(|masters| masters.close_idle());
        process.pools()
    };
    drop(process);
    if order == Order::Leave {
        return;
    }
    let stopping = tokio::task::spawn_blocking(move || {
        // All at once, whoever still holds them; then each is waited for.
        pools.iter().for_each(|pool| pool.end());
        for pool in pools {
            // What does not end in time is ended by its keeper.
            pool.stop(Duration::from_secs(5)).unwrap_or_default();
        }
    });
    stopping.await.unwrap_or_default();
}

fn notify(server: &Server, states: &[sd_notify::NotifyState<'_>]) {
    if let Err(why) = sd_notify::notify(states) {
        server.log.warn("serve", format_args!("systemd could not be told: {why}"));
    }
}

impl crate::operator::Event for Event {
    fn of(command: Command, answer: tokio::sync::oneshot::Sender<Answer>) -> Self {
        Self::Command(command, answer)
    }
}

/// The control sockets of a configuration, for messages that name them.
pub fn control_sockets(served: &Served) -> Vec<PathBuf> {
    served.sites.iter().filter_map(|site| app_of(&site.config).ok()).map(|app| app.serve_socket()).collect()
}
