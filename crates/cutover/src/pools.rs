//! Pools: where an app's PHP runs, for the commands that ask it themselves.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use config::host::{Fpm, Php};
use config::value;
use deploy::used::Workers;
use fastcgi::Address;
use serve::fpm;

use crate::opened::Opened;

/// The pools that run scripts; none: no PHP, or the embedded pool does not run.
pub fn pools(opened: &Opened) -> Vec<Address> {
    match opened.config.host.php.as_ref().map(|php| &php.fpm) {
        None => Vec::new(),
        Some(Fpm::At(addresses)) => addresses.iter().map(address).collect(),
        Some(Fpm::Embedded) => embedded(opened, "sock").map(Address::Unix).into_iter().collect(),
    }
}

/// Where pools tell what their workers do.
pub fn workers(opened: &Opened) -> Vec<Workers> {
    let Some(php) = &opened.config.host.php else { return Vec::new() };
    let Php { fpm, status, path_map, .. } = php;
    let workers = |at, path: &str| Workers { at, path: path.to_owned(), map: path_map.clone() };
    match (fpm, status) {
        (Fpm::At(addresses), Some(path)) => addresses.iter().map(|at| workers(address(at), path)).collect(),
        (Fpm::At(_), None) => Vec::new(),
        (Fpm::Embedded, _) => embedded(opened, "status")
            .map(|socket| workers(Address::Unix(socket), fpm::STATUS_PATH))
            .into_iter()
            .collect(),
    }
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
