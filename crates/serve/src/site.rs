//! Site: an app as it is served: its pin, its pool, its rules.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use config::Config;
use release::live::LiveError;
use release::{App, Pinner};

use crate::cgi::Cgi;
use crate::dressed::{Dressed, Pin, Wardrobe};
use crate::file::memory::Memory;
use crate::log::{AccessLog, ErrorLog};
use crate::look::{Look, Watched};
use crate::metrics::{Metrics, SiteMeters};
use crate::pool::Pool;

/// One app, served.
pub struct Site {
    /// Its name.
    pub name: String,
    /// Its configuration file, as parsed.
    pub config: Config,
    /// Its layout on disk.
    pub app: App,
    /// The way to its PHP; `None`: it has none.
    pub pool: Option<Arc<Pool>>,
    /// Its CGI programs; `None`: it has none.
    pub cgi: Option<Cgi>,
    /// Its access log; `None`: none is wanted.
    pub access: Option<Arc<AccessLog>>,
    /// Its error log.
    pub log: ErrorLog,
    /// Its counters.
    pub meters: SiteMeters,
    live: Watched<Dressed>,
    maintenance: AtomicBool,
    broken: AtomicBool,
}

/// What the sites of one process share.
pub struct Shared {
    /// The queue of changes.
    pub look: Arc<Look>,
    /// The file cache.
    pub memory: Arc<Memory>,
    /// The counts.
    pub metrics: Arc<Metrics>,
}

impl Site {
    /// Makes a site; its link is looked at at once, and it may be broken.
    pub fn new(
        config: Config,
        app: App,
        pool: Option<Arc<Pool>>,
        log: ErrorLog,
        access: Option<Arc<AccessLog>>,
        shared: &Shared,
    ) -> Self {
        let name = config.host.app.name.clone();
        let wardrobe = Wardrobe {
            site: name.clone(),
            app: app.clone(),
            says: Arc::new(config.says.clone()),
            execute_shared: config.host.php.as_ref().is_some_and(|php| php.execute_shared),
            memory: Arc::clone(&shared.memory),
            metrics: Arc::clone(&shared.metrics),
            log: log.clone(),
        };
        let live = shared.look.watch(Pinner::new(app.clone(), move |lease| wardrobe.dress(lease)));
        let cgi = config.host.serve.cgi.clone().map(Cgi::new);
        let meters = shared.metrics.site(&name);
        let maintenance = AtomicBool::new(maintenance_file(&app).exists());
        let broken = AtomicBool::new(false);
        Self { name, config, app, pool, cgi, access, log, meters, live, maintenance, broken }
    }

    /// This request's hold on the release that is live now; while the link is broken, on the last good one.
    pub fn pin(&self) -> Result<Pin, LiveError> {
        let pin = self.live.pin();
        let broken = self.live.broken().is_some();
        if broken != self.broken.load(Ordering::Relaxed) {
            self.note_link();
        }
        pin
    }

    /// Says once when the link breaks, and once when it is whole again.
    pub fn note_link(&self) {
        let why = self.live.broken();
        if self.broken.swap(why.is_some(), Ordering::Relaxed) == why.is_some() {
            return;
        }
        self.meters.link_broken.set(i64::from(why.is_some()));
        match (why, self.live.last_good()) {
            (Some(why), Some(pin)) => {
                self.log.error(&self.name, format_args!("{why}; {} is still served", pin.id()));
            }
            (Some(why), None) => {
                self.log.error(&self.name, format_args!("{why}; nothing can be served: 503"))
            }
            (None, _) => self.log.info(&self.name, "the link names a release again"),
        }
    }

    /// Why the link names no release now, if it does not.
    pub fn link_error(&self) -> Option<LiveError> {
        self.live.broken()
    }

    /// The release that was served last.
    pub fn last_good(&self) -> Option<Pin> {
        self.live.last_good()
    }

    /// Whether visitors get the maintenance page.
    pub fn in_maintenance(&self) -> bool {
        self.maintenance.load(Ordering::Relaxed)
    }

    /// Turns the maintenance page on or off, in this process and for the next.
    pub fn set_maintenance(&self, on: bool) -> std::io::Result<()> {
        let file = maintenance_file(&self.app);
        if on {
            std::fs::write(&file, "on\n")?;
        } else if let Err(error) = std::fs::remove_file(&file)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(error);
        }
        self.maintenance.store(on, Ordering::Relaxed);
        Ok(())
    }
}

fn maintenance_file(app: &App) -> PathBuf {
    app.maintenance()
}
