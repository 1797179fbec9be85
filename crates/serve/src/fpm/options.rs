//! Options: what an embedded pool is to be like.

use std::path::{Path, PathBuf};
use std::time::Duration;

use config::host::Php;

use super::place::runtime_dir;

/// An embedded pool as asked for. Plain fields: start from [`FpmOptions::new`] or [`FpmOptions::of`] and change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FpmOptions {
    /// The app's name: the pool's name in `ps` and in the log.
    pub app: String,
    /// Where sockets and generated files go; nobody else may write there.
    pub dir: PathBuf,
    /// php-fpm; `None`: looked for.
    pub binary: Option<PathBuf>,
    /// The program that keeps php-fpm alive when called with `fpm-keeper`: this one, unless a test says otherwise.
    pub keeper: PathBuf,
    /// Worker processes; all are there from the start (`pm = static`).
    pub workers: usize,
    /// Who the workers run as; `None` as root: the distribution's user for web servers, never root.
    pub user: Option<String>,
    /// Their group; `None`: the user's own.
    pub group: Option<String>,
    /// The group (by number) of the process that will connect, where that is not this one's: privileges are dropped later.
    pub connecting_gid: Option<u32>,
    /// php.ini values, as if in php.ini: those of opcache and of other parts that start with the master too.
    pub ini: Vec<(String, String)>,
    /// A file that is compiled, and run once, when the master starts (`opcache.preload`).
    pub preload: Option<PathBuf>,
    /// php.ini values that scripts cannot change (`php_admin_value`).
    pub admin: Vec<(String, String)>,
    /// The environment of scripts; nothing else is in it, but for `PATH`.
    pub env: Vec<(String, String)>,
    /// A worker ends after so many requests; 0: never.
    pub max_requests: u32,
    /// A script that takes longer is killed; `None`: never. FPM counts a kept connection's idle time too.
    pub terminate_after: Option<Duration>,
    /// At the end, scripts may take so long to finish before they are killed.
    pub stop_within: Duration,
    /// So long the first answer may take (a large `opcache.preload` needs its time).
    pub start_within: Duration,
}

impl FpmOptions {
    /// A pool of four workers with the machine's php-fpm and php.ini.
    pub fn new(app: &str, dir: &Path) -> Self {
        Self {
            app: app.to_owned(),
            dir: dir.to_owned(),
            binary: None,
            // Not current_exe(): after an upgrade that path is another program, or none.
            keeper: PathBuf::from("/proc/self/exe"),
            workers: 4,
            user: None,
            group: None,
            connecting_gid: None,
            ini: Vec::new(),
            preload: None,
            admin: Vec::new(),
            env: Vec::new(),
            max_requests: 0,
            terminate_after: None,
            stop_within: Duration::from_secs(30),
            start_within: Duration::from_secs(30),
        }
    }

    /// As `[php]` of a cutover.toml says, for the app `name` whose own runtime directory is `run`.
    pub fn of(php: &Php, name: &str, run: &Path) -> Self {
        let pairs = |map: &std::collections::BTreeMap<String, String>| {
            map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        Self {
            binary: php.binary.clone(),
            workers: php.workers,
            user: php.user.clone(),
            group: php.group.clone(),
            ini: pairs(&php.ini),
            env: pairs(&php.env),
            ..Self::new(name, &runtime_dir(name, run))
        }
    }
}
