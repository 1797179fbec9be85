//! Pools: where an app's PHP runs, for the commands that ask it themselves.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use config::host::{Fpm, Php};
use config::value;
use deploy::engine::FreshPool;
use deploy::used::Workers;
use fastcgi::Address;
use release::ReleaseId;
use serve::control::MasterStatus;
use serve::fpm;

use crate::command::running;
use crate::opened::Opened;

/// The pools that run scripts; none: no PHP, or the embedded pool does not run.
pub fn pools(opened: &Opened, masters: &[MasterStatus]) -> Vec<Address> {
    match opened.config.host.php.as_ref().map(|php| &php.fpm) {
        None => Vec::new(),
        Some(Fpm::At(addresses)) => addresses.iter().map(address).collect(),
        Some(Fpm::Embedded) => {
            let current = masters.iter().find(|master| master.role == "current");
            let socket = current.map(|master| master.socket.clone()).or_else(|| embedded(opened, "sock"));
            socket.map(Address::Unix).into_iter().collect()
        }
    }
}

/// Where pools tell what their workers do.
pub fn workers(opened: &Opened, masters: &[MasterStatus]) -> Vec<Workers> {
    let Some(php) = &opened.config.host.php else { return Vec::new() };
    let Php { fpm, status, path_map, .. } = php;
    let workers = |at, path: &str| Workers { at, path: path.to_owned(), map: path_map.clone() };
    match (fpm, status) {
        (Fpm::At(addresses), Some(path)) => addresses.iter().map(|at| workers(address(at), path)).collect(),
        (Fpm::At(_), None) => Vec::new(),
        (Fpm::Embedded, _) => {
            let told: Vec<PathBuf> = masters.iter().map(|master| master.status.clone()).collect();
            let found = || embedded(opened, "status").into_iter().collect();
            let sockets = if told.is_empty() { found() } else { told };
            sockets.into_iter().map(|socket| workers(Address::Unix(socket), fpm::STATUS_PATH)).collect()
        }
    }
}

/// How a php-fpm of its own is started for a release; `None`: no server runs that could.
pub fn fresh_pool<'a>(opened: &'a Opened, masters: &[MasterStatus]) -> Option<FreshPool<'a>> {
    let php =
        opened.config.host.php.as_ref().filter(|php| php.fpm == Fpm::Embedded && !masters.is_empty())?;
    let start = |id: &ReleaseId| running::fresh(opened, id.as_str()).map(Address::Unix);
    Some(FreshPool { always: php.preload.is_some(), start: Box::new(start) })
}

/// The php-fpm masters that the running server has for this app; none: it does not run, or the pool is not its own.
pub fn masters(opened: &Opened) -> Vec<MasterStatus> {
    let name = &opened.config.host.app.name;
    let status = running::status(opened).ok().flatten();
    let site = status.and_then(|status| status.sites.into_iter().find(|site| site.name == *name));
    site.map(|site| site.masters).unwrap_or_default()
}

fn address(at: &value::Address) -> Address {
    match at {
        value::Address::Unix(path) => Address::Unix(path.clone()),
        value::Address::Tcp { host, port } => Address::Tcp { host: host.clone(), port: *port },
    }
}

/// The socket of the newest embedded pool that answers.
fn embedded(opened: &Opened, kind: &str) -> Option<PathBuf> {
    let dir = fpm::runtime_dir(&opened.config.host.app.name, &opened.app.run());
    let entries = std::fs::read_dir(&dir).ok()?.flatten();
    let generation = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix("fpm-")?.strip_suffix(&format!(".{kind}"))?.parse::<u32>().ok()
    };
    let mut sockets: Vec<(u32, PathBuf)> =
        entries.filter_map(|entry| Some((generation(&entry.path())?, entry.path()))).collect();
    sockets.sort();
    sockets.into_iter().rev().map(|(_, path)| path).find(|path| UnixStream::connect(path).is_ok())
}
