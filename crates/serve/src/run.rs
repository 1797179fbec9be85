//! Run: a server process from its first instruction to its last.
//!
//! ```text
//! take over or listen -> start pools -> drop privileges -> runtime -> serve -> (signals, control) -> drain -> end
//! ```

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use config::Served;
use release::ReleaseId;
use tokio::sync::{Mutex, mpsc};

use crate::accept::Order;
use crate::connection::{self, Accepted};
use crate::descriptors;
use crate::drain::{drain, end};
use crate::event::{Event, watch_signals};
use crate::file::memory::Memory;
use crate::fpm::Embedded;
use crate::ground::{Adopted, Carried, Ground, GroundError};
use crate::handover::{Item, Passed, TakenOver};
use crate::listen::{self, Inherited};
use crate::log::with_reasons;
use crate::look::Look;
use crate::metrics::Metrics;
use crate::obey::{obey, reload};
use crate::operator::{self, Operator};
use crate::privileges::{Account, PrivilegeError};
use crate::process::{Process, ProcessError};
use crate::scrape;
use crate::server::Server;
use crate::site::Shared;

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
    let bound = at.iter().map(|at| listen::bind_or_take(at, inherited)).collect::<Result<Vec<_>, _>>();
    Ok(bound.map_err(GroundError::Listen)?.into_iter().flatten().collect())
}

async fn serve(begun: Begun, ground: Ground) -> Result<(), RunError> {
    let metrics = Arc::new(Metrics::default());
    let first = ground.served.sites.first().map(|site| site.config.host.serve.clone()).unwrap_or_default();
    let patience = first.limits.drain;
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
    watch_signals(&events).map_err(RunError::Runtime)?;
    if let Some(old) = begun.ready {
        take_connections(old.ready().map_err(RunError::TakeOver)?, &server, &process);
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
    drain(&server, &process, order, patience, &mut asked).await;
    ticker.abort();
    tending.abort();
    operator.answers_sent().await;
    end(process, order).await;
    server.log.info("serve", "ended");
    Ok(())
}

/// Goes on with the connections that the old process passes on, until that has ended.
fn take_connections(mut passed: Passed, server: &Arc<Server>, process: &Arc<Mutex<Process>>) {
    let (server, process) = (Arc::clone(server), Arc::clone(process));
    let log = server.log.clone();
    let runtime = tokio::runtime::Handle::current();
    let take = move || {
        loop {
            match passed.take_next() {
                Ok(Some((at, socket))) => {
                    runtime.spawn(go_on(at, socket, Arc::clone(&server), Arc::clone(&process)));
                }
                Ok(None) => return,
                Err(why) => {
                    return server
                        .log
                        .warn("serve", format_args!("no more connections are taken over: {why}"));
                }
            }
        }
    };
    if let Err(why) = std::thread::Builder::new().name("passed".into()).spawn(take) {
        log.warn("serve", format_args!("no connections are taken over: {why}"));
    }
}

/// Goes on with one of them. If its socket is not a gateway's any more it is closed.
async fn go_on(at: String, socket: OwnedFd, server: Arc<Server>, process: Arc<Mutex<Process>>) {
    let Some(door) = process.lock().await.door(&at).filter(|door| door.behind.load().fastcgi) else { return };
    let Ok(place) = Arc::clone(&server.places).acquire_owned().await else { return };
    match Accepted::passed(socket) {
        Ok(accepted) => connection::run(server, door, accepted, place).await,
        Err(why) => server.log.warn("fcgi", format_args!("{at}: a connection cannot be taken over: {why}")),
    }
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

fn notify(server: &Server, states: &[sd_notify::NotifyState<'_>]) {
    if let Err(why) = sd_notify::notify(states) {
        server.log.warn("serve", format_args!("systemd could not be told: {why}"));
    }
}
