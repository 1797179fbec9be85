//! Process: what a reload replaces and a hand-over passes on: doors, sites, pools, logs.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use config::Served;
use config::host::Fpm;
use config::value::ListenAt;

use crate::accept::{Accepting, Order};
use crate::door::{Behind, Door, DoorError};
use crate::fpm::Embedded;
use crate::ground::{Carried, Ground, GroundError, app_of};
use crate::handover::Item;
use crate::listen::Bound;
use crate::log::{AccessLog, with_reasons};
use crate::look::Mode;
use crate::masters::{Masters, Role};
use crate::server::Server;
use crate::site::{Shared, Site};

/// Why a configuration cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It cannot be read.
    #[error("{0}")]
    Config(crate::run::Complaint),
    /// What it names cannot be opened.
    #[error(transparent)]
    Ground(#[from] GroundError),
    /// A socket cannot be served as it is described.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// A socket cannot be used with the runtime.
    #[error("cannot accept on {at}")]
    Accept {
        /// The address.
        at: String,
        /// Why.
        source: io::Error,
    },
}

/// Everything that is open and serves.
pub struct Process {
    server: Arc<Server>,
    shared: Shared,
    ground: Ground,
    doors: HashMap<ListenAt, (Arc<Door>, Vec<Accepting>)>,
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
            .map(|socket| Behind::of(socket, &sites))
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
                for one in accepting {
                    one.end(Order::Clear).await;
                }
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
            let listeners = bound.iter().map(Bound::listen).collect::<Result<Vec<_>, _>>().map_err(failed)?;
            let behind = ArcSwap::from_pointee(Behind::of(socket, &self.sites)?);
            let door = Arc::new(Door { at: socket.at.clone(), behind });
            let start = |listener| Accepting::start(Arc::clone(&self.server), Arc::clone(&door), listener);
            let accepting = listeners.into_iter().map(start).collect();
            self.doors.insert(socket.at.clone(), (door, accepting));
        }
        Ok(())
    }

    /// Stops accepting.
    pub async fn close_doors(&mut self, order: Order) {
        for (_, (_, accepting)) in self.doors.drain() {
            for one in accepting {
                one.end(order).await;
            }
        }
    }

    /// The door at this address, as the configuration writes it.
    pub fn door(&self, at: &str) -> Option<Arc<Door>> {
        self.doors.values().map(|(door, _)| door).find(|door| door.at.to_string() == at).cloned()
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
        let told = |socket: &config::Socket, bound: &Bound| match bound.address() {
            Some(address) if socket.fastcgi => format!("fcgi:{address}"),
            Some(address) if socket.tls => format!("https://{address}"),
            Some(address) => format!("http://{address}"),
            None if socket.fastcgi => format!("fcgi:{}", socket.at),
            None => socket.at.to_string(),
        };
        let all = self.ground.served.sockets.iter();
        all.flat_map(|socket| {
            let bound = self.ground.sockets.get(&socket.at).into_iter().flat_map(|all| all.iter());
            bound.map(move |bound| told(socket, bound))
        })
        .collect()
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
            for one in bound.iter() {
                items.push((Item::Listen(at.to_string()), one.as_fd().try_clone_to_owned()?));
            }
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
            .map_err(|source| GroundError::Log { path: "/dev/stdout".into(), source })?
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
