//! Process: what a reload replaces and a hand-over passes on: doors, sites, pools, logs.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use config::Served;
use config::host::Fpm;
use config::value::ListenAt;
use release::{App, ReleaseId, live};

use crate::accept::{Accepting, Order};
use crate::door::{Behind, Door, Routes, Tls};
use crate::fpm::{Embedded, FpmError, FpmOptions};
use crate::handover::Item;
use crate::listen::{self, Bound, Inherited, ListenError};
use crate::log::{AccessLog, ErrorLog, with_reasons};
use crate::look::Mode;
use crate::masters::{Masters, Role};
use crate::pool::Pool;
use crate::server::Server;
use crate::site::{Shared, Site};
use crate::tls::{Certificates, TlsError};
use crate::wire::activity::Patience;
use crate::wire::head::HeadLimits;

/// Header fields one request may have.
const FIELDS: usize = 100;

/// Why a configuration cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It cannot be read.
    #[error("{0}")]
    Config(crate::run::Complaint),
    /// A socket cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A socket is to speak TLS, and nobody has a certificate for it.
    #[error("{0} is to speak TLS, and no site behind it names a certificate (serve.tls)")]
    NoCertificate(String),
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
    /// A socket cannot be used with the runtime.
    #[error("cannot accept on {at}")]
    Accept {
        /// The address.
        at: String,
        /// Why.
        source: io::Error,
    },
}

/// What needs the privileges that this process may be about to drop: sockets, pools and logs.
pub struct Ground {
    /// What is to be served.
    pub served: Served,
    /// Listening sockets, by address.
    pub sockets: HashMap<ListenAt, Arc<Bound>>,
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
    pub sockets: HashMap<ListenAt, Arc<Bound>>,
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
    pub fn open(served: Served, mut carried: Carried) -> Result<Self, ProcessError> {
        let mut sockets = HashMap::new();
        for socket in &served.sockets {
            let bound = match carried.sockets.remove(&socket.at) {
                Some(bound) => bound,
                None => {
                    let bound = listen::bind(&socket.at, &mut carried.inherited)?;
                    listen::give(&socket.at, carried.connecting_gid)?;
                    Arc::new(bound)
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
                ErrorLog::open(&log.error, log.level).map_err(|source| ProcessError::Log { path, source })?
            }
            None => ErrorLog::stderr()
                .map_err(|source| ProcessError::Log { path: "/dev/stderr".into(), source })?,
        };
        let mut pools = HashMap::new();
        let mut access = HashMap::new();
        for site in &served.sites {
            let host = &site.config.host;
            if let config::host::AccessLog::File(path) = &host.serve.log.access
                && !access.contains_key(path)
            {
                let opened = AccessLog::open(&host.serve.log.access, host.serve.log.format);
                let failed = |source| ProcessError::Log { path: path.clone(), source };
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
) -> Result<(App, FpmOptions), ProcessError> {
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
) -> Result<Masters, ProcessError> {
    let (app, options) = options_of(carried, site, php)?;
    let live = live::read(&app).ok();
    let live = live.as_ref().map(|live| (&live.id, live.dir.as_path()));
    let failed = |source| ProcessError::Fpm { app: site.config.host.app.name.clone(), source };
    Masters::start(php, options, live, log).map_err(failed)
}

fn preload_another(
    carried: &Carried,
    site: &config::Site,
    php: &config::host::Php,
    running: &Masters,
) -> Result<Masters, ProcessError> {
    let (app, options) = options_of(carried, site, php)?;
    let live = live::read(&app).ok();
    let live = live.as_ref().map(|live| (&live.id, live.dir.as_path()));
    let failed = |source| ProcessError::Fpm { app: site.config.host.app.name.clone(), source };
    running.preloading(php, options, live).map_err(failed)
}

fn adopt_pools(
    carried: &Carried,
    site: &config::Site,
    php: &config::host::Php,
    adopted: Vec<Adopted>,
    log: &ErrorLog,
) -> Result<Masters, ProcessError> {
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
pub fn app_of(config: &config::Config) -> Result<App, ProcessError> {
    config.app().map_err(|source| ProcessError::App { app: config.host.app.name.clone(), source })
}

/// Everything that is open and serves.
pub struct Process {
    server: Arc<Server>,
    shared: Shared,
    ground: Ground,
    doors: HashMap<ListenAt, (Arc<Door>, Accepting)>,
    sites: Vec<Arc<Site>>,
}

impl Process {
    /// Begins to serve. Needs a runtime.
    pub fn start(server: Arc<Server>, shared: Shared, ground: Ground) -> Result<Self, ProcessError> {
        let sites = sites(&ground, &shared, &[])?;
        let mut process = Self { server, shared, ground, doors: HashMap::new(), sites };
        process.open_doors()?;
        Ok(process)
    }

    /// Replaces what is served. On an error all is as it was.
    pub async fn replace(&mut self, served: Served) -> Result<(), ProcessError> {
        let mut carried = Carried { sockets: self.ground.sockets.clone(), ..Carried::default() };
        carried.pools = self.ground.pools.clone();
        // Blocks for as long as a new php-fpm takes to start; other threads serve meanwhile.
        let ground = tokio::task::block_in_place(|| Ground::open(served, carried))?;
        let sites = sites(&ground, &self.shared, &self.sites)?;
        let behind = ground
            .served
            .sockets
            .iter()
            .map(|socket| behind(socket, &sites))
            .collect::<Result<Vec<_>, _>>()?;
        // Nothing below fails half way: what can fail is done.
        for (socket, behind) in ground.served.sockets.iter().zip(behind) {
            if let Some((door, _)) = self.doors.get(&socket.at) {
                door.behind.store(Arc::new(behind));
            }
        }
        self.sites = sites;
        self.ground = ground;
        let gone: Vec<ListenAt> =
            self.doors.keys().filter(|at| !self.ground.sockets.contains_key(at)).cloned().collect();
        for at in gone {
            if let Some((_, accepting)) = self.doors.remove(&at) {
                accepting.end(Order::Clear).await;
            }
        }
        self.open_doors()
    }

    fn open_doors(&mut self) -> Result<(), ProcessError> {
        for socket in &self.ground.served.sockets {
            if self.doors.contains_key(&socket.at) {
                continue;
            }
            let Some(bound) = self.ground.sockets.get(&socket.at) else { continue };
            let failed = |source| ProcessError::Accept { at: socket.at.to_string(), source };
            let listener = bound.listen().map_err(failed)?;
            let behind = ArcSwap::from_pointee(behind(socket, &self.sites)?);
            let door = Arc::new(Door { at: socket.at.clone(), behind });
            let accepting = Accepting::start(Arc::clone(&self.server), Arc::clone(&door), listener);
            self.doors.insert(socket.at.clone(), (door, accepting));
        }
        Ok(())
    }

    /// Stops accepting.
    pub async fn close_doors(&mut self, order: Order) {
        for (_, (_, accepting)) in self.doors.drain() {
            accepting.end(order).await;
        }
    }

    /// The sites.
    pub fn sites(&self) -> &[Arc<Site>] {
        &self.sites
    }

    /// What is served.
    pub fn served(&self) -> &Served {
        &self.ground.served
    }

    /// The addresses that are listened on, as bound.
    pub fn addresses(&self) -> Vec<String> {
        let bound = |socket: &config::Socket| match self.ground.sockets.get(&socket.at)?.address() {
            Some(address) if socket.fastcgi => Some(format!("fcgi:{address}")),
            Some(address) if socket.tls => Some(format!("https://{address}")),
            Some(address) => Some(format!("http://{address}")),
            None if socket.fastcgi => Some(format!("fcgi:{}", socket.at)),
            None => Some(socket.at.to_string()),
        };
        self.ground.served.sockets.iter().filter_map(bound).collect()
    }

    /// How changes of links are noticed.
    pub fn look(&self) -> String {
        let reading = self.sites.iter().find_map(|site| match site.look() {
            Mode::Watching => None,
            Mode::Reading(why) => Some(format!("reading the link on every request: {why}")),
        });
        reading.unwrap_or_else(|| "watching".to_owned())
    }

    /// What a new process needs, with the descriptors of it.
    pub fn items(&self) -> io::Result<Vec<(Item, std::os::fd::OwnedFd)>> {
        use std::os::fd::AsFd;
        let mut items = Vec::new();
        for (at, bound) in &self.ground.sockets {
            items.push((Item::Listen(at.to_string()), bound.as_fd().try_clone_to_owned()?));
        }
        for (app, masters) in &self.ground.pools {
            for (role, pool) in masters.all() {
                let fresh = match role {
                    Role::Current => false,
                    Role::Fresh => true,
                    // It ends with this process's last request in it.
                    Role::Leaving { .. } => continue,
                };
                let Some(embedded) = &pool.embedded else { continue };
                let (control, socket) = embedded.hand_over()?;
                let about = socket.display().to_string();
                let made_for = pool.made_for.as_ref().map(ToString::to_string);
                items.push((Item::Pool { app: app.clone(), about, made_for, fresh }, control));
            }
        }
        Ok(items)
    }

    /// Looks at certificates again where their files changed.
    pub fn refresh_certificates(&self) {
        for (door, _) in self.doors.values() {
            let behind = door.behind.load();
            let Some(tls) = &behind.tls else { continue };
            match tls.certificates.refresh() {
                Ok(false) => {}
                Ok(true) => {
                    self.server.log.info("tls", format_args!("{}: new certificates are in use", door.at))
                }
                Err(why) => self.server.log.error(
                    "tls",
                    format_args!("{}: {}; the old ones stay in use", door.at, with_reasons(&why)),
                ),
            }
        }
    }

    /// Writes out what logs have gathered.
    pub fn flush_logs(&self) {
        for log in self.sites.iter().filter_map(|site| site.access.as_ref()) {
            log.flush();
        }
    }

    /// Opens log files anew.
    pub fn reopen_logs(&self) -> io::Result<()> {
        self.server.log.reopen()?;
        self.sites.iter().filter_map(|site| site.access.as_ref()).try_for_each(|log| log.reopen())
    }

    /// The embedded pools, to be ended when the last connection is done.
    pub fn pools(&self) -> Vec<Arc<Embedded>> {
        let all = self.ground.pools.values().flat_map(|masters| masters.all());
        all.filter_map(|(_, pool)| pool.embedded.clone()).collect()
    }

    /// Lets go of php-fpm masters whose time is over.
    pub fn tend_pools(&self) {
        for site in &self.sites {
            if let Some(masters) = &site.masters {
                masters.tend(&site.log);
            }
        }
    }
}

fn sites(ground: &Ground, shared: &Shared, before: &[Arc<Site>]) -> Result<Vec<Arc<Site>>, ProcessError> {
    ground.served.sites.iter().map(|site| one_site(site, ground, shared, before)).collect()
}

fn one_site(
    site: &config::Site,
    ground: &Ground,
    shared: &Shared,
    before: &[Arc<Site>],
) -> Result<Arc<Site>, ProcessError> {
    let config = &site.config;
    let app = app_of(config)?;
    let log = &config.host.serve.log;
    let access = match &log.access {
        config::host::AccessLog::Off => None,
        config::host::AccessLog::File(path) => ground.access.get(path).cloned(),
        config::host::AccessLog::Stdout => AccessLog::open(&log.access, log.format)
            .map_err(|source| ProcessError::Log { path: "/dev/stdout".into(), source })?
            .map(Arc::new),
    };
    let masters = config.host.php.as_ref().map(|php| {
        if let Some(own) = ground.pools.get(&config.host.app.name).filter(|_| php.fpm == Fpm::Embedded) {
            return Arc::clone(own);
        }
        // Kept connections survive a reload that does not concern them.
        let mut known = before.iter().filter_map(|site| site.masters.as_ref());
        let same = known.find(|masters| masters.php() == php && php.fpm != Fpm::Embedded);
        same.cloned().unwrap_or_else(|| Arc::new(Masters::external(php)))
    });
    Ok(Arc::new(Site::new(config.clone(), app, masters, ground.log.clone(), access, shared)))
}

fn behind(socket: &config::Socket, sites: &[Arc<Site>]) -> Result<Behind, ProcessError> {
    let mut routes = Routes::default();
    let here: Vec<&Arc<Site>> = socket.sites.iter().filter_map(|index| sites.get(*index)).collect();
    here.iter().for_each(|site| routes.add(site));
    let serve = here.first().map(|site| site.config.host.serve.clone()).unwrap_or_default();
    let tls = match socket.tls {
        false => None,
        true => {
            let pairs = here.iter().flat_map(|site| &site.config.host.serve.tls);
            let certificates =
                Certificates::read(pairs.map(|pair| (pair.cert.as_path(), pair.key.as_path())))?;
            if certificates.is_empty() {
                return Err(ProcessError::NoCertificate(socket.at.to_string()));
            }
            let certificates = Arc::new(certificates);
            let config = certificates.server_config()?;
            Some(Tls { certificates, config })
        }
    };
    let limits = &serve.limits;
    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    Ok(Behind {
        routes,
        fastcgi: socket.fastcgi,
        tls,
        proxy_protocol: socket.proxy_protocol,
        trusted_proxies: here
            .iter()
            .flat_map(|site| site.config.host.serve.trusted_proxies.clone())
            .collect(),
        patience: Patience {
            head: limits.header_timeout,
            body: limits.body_timeout,
            send: limits.send_timeout,
            idle: limits.idle,
        },
        heads: HeadLimits {
            head_bytes: bytes(limits.header_bytes),
            target_bytes: bytes(limits.uri_bytes),
            fields: FIELDS,
        },
    })
}
