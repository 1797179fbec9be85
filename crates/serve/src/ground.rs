//! Ground: what needs the privileges that a process may be about to drop: sockets, pools and logs.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use config::Served;
use config::host::Fpm;
use config::value::ListenAt;
use release::{App, ReleaseId, live};

use crate::fpm::{Embedded, FpmError, FpmOptions};
use crate::listen::{self, Bound, Inherited, ListenError};
use crate::log::{AccessLog, ErrorLog};
use crate::masters::Masters;
use crate::pool::Pool;

/// Why what a configuration names cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum GroundError {
    /// A socket cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The embedded php-fpm does not start.
    #[error("{app}")]
    Fpm {
        /// The app.
        app: String,
        /// Why.
        source: FpmError,
    },
    /// The layout cannot be used.
    #[error("{app}")]
    App {
        /// The app.
        app: String,
        /// Why.
        source: release::app::AppError,
    },
    /// A log cannot be opened.
    #[error("cannot open the log {}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What is open.
pub struct Ground {
    /// What is to be served.
    pub served: Served,
    /// Listening sockets, by address.
    pub sockets: HashMap<ListenAt, Arc<[Bound]>>,
    /// Embedded pools, by app.
    pub pools: HashMap<String, Arc<Masters>>,
    /// Access logs, by file: sites that name one file share it.
    pub access: HashMap<PathBuf, Arc<AccessLog>>,
    /// The error log.
    pub log: ErrorLog,
}

/// What is carried over from an earlier configuration or an earlier process.
#[derive(Default)]
pub struct Carried {
    /// Sockets passed by systemd or by the old process.
    pub inherited: Inherited,
    /// Sockets of this process.
    pub sockets: HashMap<ListenAt, Arc<[Bound]>>,
    /// Pools of this process, by app.
    pub pools: HashMap<String, Arc<Masters>>,
    /// Pools of the old process, by app: made from the same configuration, it is trusted.
    pub adopted: HashMap<String, Vec<Adopted>>,
    /// The group of who will connect to new pools and sockets, where privileges are dropped later.
    pub connecting_gid: Option<u32>,
}

/// An embedded pool of the old process.
pub struct Adopted {
    /// It.
    pub embedded: Embedded,
    /// The release that it was started for.
    pub made_for: Option<ReleaseId>,
    /// It waits for that release to go live.
    pub fresh: bool,
}

impl Ground {
    /// Opens all that `served` names and `carried` does not have yet. On an error nothing is changed.
    pub fn open(served: Served, mut carried: Carried) -> Result<Self, GroundError> {
        let mut sockets = HashMap::new();
        for socket in &served.sockets {
            let bound = match carried.sockets.remove(&socket.at) {
                Some(bound) => bound,
                None => {
                    let bound = listen::bind_or_take(&socket.at, &mut carried.inherited)?;
                    listen::give(&socket.at, carried.connecting_gid)?;
                    bound.into()
                }
            };
            sockets.insert(socket.at.clone(), bound);
        }
        let log = match served.sites.first() {
            Some(first) => {
                let log = &first.config.host.serve.log;
                let path = match &log.error {
                    config::host::ErrorLog::File(path) => path.clone(),
                    config::host::ErrorLog::Stderr => PathBuf::from("/dev/stderr"),
                };
                ErrorLog::open(&log.error, log.level).map_err(|source| GroundError::Log { path, source })?
            }
            None => ErrorLog::stderr()
                .map_err(|source| GroundError::Log { path: "/dev/stderr".into(), source })?,
        };
        let mut pools = HashMap::new();
        let mut access = HashMap::new();
        for site in &served.sites {
            let host = &site.config.host;
            if let config::host::AccessLog::File(path) = &host.serve.log.access
                && !access.contains_key(path)
            {
                let opened = AccessLog::open(&host.serve.log.access, host.serve.log.format);
                let failed = |source| GroundError::Log { path: path.clone(), source };
                if let Some(log) = opened.map_err(failed)? {
                    access.insert(path.clone(), Arc::new(log));
                }
            }
            let Some(php) = host.php.as_ref().filter(|php| php.fpm == Fpm::Embedded) else { continue };
            let name = &host.app.name;
            let masters = match (carried.pools.remove(name), carried.adopted.remove(name)) {
                // Kept connections survive a reload that does not concern them.
                (Some(running), _) if running.php() == php => running,
                (Some(running), _) if same_pool(running.php(), php) => {
                    match running.php().preload == php.preload {
                        true => Arc::new(running.again(php)),
                        false => Arc::new(preload_another(&carried, site, php, &running)?),
                    }
                }
                (None, Some(adopted)) => Arc::new(adopt_pools(&carried, site, php, adopted, &log)?),
                (Some(_) | None, _) => Arc::new(start_pool(&carried, site, php, &log)?),
            };
            pools.insert(name.clone(), masters);
        }
        Ok(Self { served, sockets, pools, access, log })
    }
}

fn options_of(
    carried: &Carried,
    site: &config::Site,
    php: &config::host::Php,
) -> Result<(App, FpmOptions), GroundError> {
    let app = app_of(&site.config)?;
    let mut options = FpmOptions::of(php, &site.config.host.app.name, &app.run());
    options.connecting_gid = carried.connecting_gid;
    Ok((app, options))
}

fn start_pool(
    carried: &Carried,
    site: &config::Site,
    php: &config::host::Php,
    log: &ErrorLog,
) -> Result<Masters, GroundError> {
    let (app, options) = options_of(carried, site, php)?;
    let live = live::read(&app).ok();
    let live = live.as_ref().map(|live| (&live.id, live.dir.as_path()));
    let failed = |source| GroundError::Fpm { app: site.config.host.app.name.clone(), source };
    Masters::start(php, options, live, log).map_err(failed)
}

fn preload_another(
    carried: &Carried,
    site: &config::Site,
    php: &config::host::Php,
    running: &Masters,
) -> Result<Masters, GroundError> {
    let (app, options) = options_of(carried, site, php)?;
    let live = live::read(&app).ok();
    let live = live.as_ref().map(|live| (&live.id, live.dir.as_path()));
    let failed = |source| GroundError::Fpm { app: site.config.host.app.name.clone(), source };
    running.preloading(php, options, live).map_err(failed)
}

fn adopt_pools(
    carried: &Carried,
    site: &config::Site,
    php: &config::host::Php,
    adopted: Vec<Adopted>,
    log: &ErrorLog,
) -> Result<Masters, GroundError> {
    let (_, options) = options_of(carried, site, php)?;
    let (mut current, mut fresh) = (None, None);
    for Adopted { embedded, made_for, fresh: waits } in adopted {
        let pool = Pool::new(php, Some(Arc::new(embedded)), made_for);
        *(if waits { &mut fresh } else { &mut current }) = Some(pool);
    }
    match current {
        Some(current) => Ok(Masters::own(php, options, current, fresh)),
        None => start_pool(carried, site, php, log),
    }
}

/// Whether the same php-fpm serves both, or one of its kind: how connections are used makes no difference to it.
fn same_pool(one: &config::host::Php, other: &config::host::Php) -> bool {
    let shape = |php: &config::host::Php| {
        (
            php.user.clone(),
            php.group.clone(),
            php.workers,
            php.ini.clone(),
            php.env.clone(),
            php.binary.clone(),
        )
    };
    shape(one) == shape(other)
}

/// The layout of a site's app.
pub fn app_of(config: &config::Config) -> Result<App, GroundError> {
    config.app().map_err(|source| GroundError::App { app: config.host.app.name.clone(), source })
}
