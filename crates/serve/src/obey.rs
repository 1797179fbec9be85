//! Obey: what the process does when it is told to by its operator.

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use release::ReleaseId;
use tokio::sync::Mutex;

use crate::accept::Order;
use crate::control::{Answer, Command, MasterStatus, PinnedStatus, SiteStatus, Status};
use crate::handover;
use crate::log::with_reasons;
use crate::masters::Role;
use crate::process::{Process, ProcessError};
use crate::roll::Pinned;
use crate::run::Load;
use crate::server::Server;
use crate::site::Site;

/// Does what a command says. Gives what is answered, and how the process ends if it is to.
pub async fn obey(
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
            match upgrade(process, server, program).await {
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

fn named(process: &Process, site: &str) -> Result<Arc<Site>, Answer> {
    let found = process.sites().iter().find(|known| known.name == site).cloned();
    found.ok_or_else(|| Answer::Failed(format!("no site here is called `{site}`")))
}

/// Reads the configuration again and serves what it says. On an error all is as it was.
pub async fn reload(process: &Mutex<Process>, load: &Load) -> Result<String, ProcessError> {
    let served = load().map_err(ProcessError::Config)?;
    let mut process = process.lock().await;
    process.replace(served).await?;
    let names: Vec<&str> = process.sites().iter().map(|site| site.name.as_str()).collect();
    Ok(format!("reloaded: {}", names.join(", ")))
}

async fn upgrade(process: &Mutex<Process>, server: &Server, program: PathBuf) -> io::Result<u32> {
    let items = process.lock().await.items()?;
    let started = tokio::task::spawn_blocking(move || {
        let lent: Vec<_> = items.iter().map(|(item, fd)| (item.clone(), fd.as_fd())).collect();
        handover::hand_over(&program, &lent)
    });
    let heir = started.await.map_err(io::Error::other)??;
    let pid = heir.pid;
    server.has_heir(heir);
    Ok(pid)
}

/// What the process is doing.
pub fn status(process: &Process, server: &Server) -> Status {
    let site = |site: &Arc<Site>| {
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
