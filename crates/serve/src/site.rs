//! Site: an app as it is served: its pin, its pool, its rules.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use config::Config;
use release::live::LiveError;
use release::{App, Pinner};

use crate::cgi::Cgi;
use crate::dressed::{Dressed, Pin, Wardrobe};
use crate::file::memory::Memory;
use crate::log::{AccessLog, ErrorLog};
use crate::look::{self, Look, News, Watched};
use crate::masters::Masters;
use crate::metrics::{Metrics, SiteMeters};
use crate::roll::{Pinned, Roll};

/// One app, served.
pub struct Site {
    /// Its name.
    pub name: String,
    /// Its configuration file, as parsed.
    pub config: Config,
    /// Its layout on disk.
    pub app: App,
    /// Its PHP; `None`: it has none.
    pub masters: Option<Arc<Masters>>,
    /// Its CGI programs; `None`: it has none.
    pub cgi: Option<Cgi>,
    /// Its access log; `None`: none is wanted.
    pub access: Option<Arc<AccessLog>>,
    /// Its error log.
    pub log: ErrorLog,
    /// Its counters.
    pub meters: SiteMeters,
    roll: Arc<Roll>,
    live: Watched<Dressed>,
    maintenance: AtomicBool,
}

/// What the sites of one process share.
pub struct Shared {
    /// The queue of changes.
    pub look: Look,
    /// The file cache.
    pub memory: Arc<Memory>,
    /// The counts.
    pub metrics: Arc<Metrics>,
    /// What is pinned.
    pub roll: Arc<Roll>,
}

impl Site {
    /// Makes a site; its link is looked at at once, and it may be broken.
    pub fn new(
        config: Config,
        app: App,
        masters: Option<Arc<Masters>>,
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
            masters: masters.clone(),
            memory: Arc::clone(&shared.memory),
            metrics: Arc::clone(&shared.metrics),
            roll: Arc::clone(&shared.roll),
            log: log.clone(),
        };
        let meters = shared.metrics.site(&name);
        let herald = Herald { site: name.clone(), log: log.clone(), meters: meters.clone() };
        let pinner = Pinner::new(app.clone(), move |lease| wardrobe.dress(lease));
        let live = shared.look.watch_telling(pinner, move |news| herald.tell(news));
        let cgi = config.host.serve.cgi.clone().map(Cgi::new);
        let maintenance = AtomicBool::new(app.maintenance().exists());
        let roll = Arc::clone(&shared.roll);
        Self { name, config, app, masters, roll, cgi, access, log, meters, live, maintenance }
    }

    /// This request's hold on the release that is live now; while the link is broken, on the last good one.
    pub fn pin(&self) -> Result<Pin, LiveError> {
        self.live.pin()
    }

    /// The releases that this process has pinned, the live one and those that old requests are still on.
    pub fn pinned(&self) -> Vec<Pinned> {
        self.roll.of(&self.name)
    }

    /// Makes anew what was made of the live release, and pins that from now on.
    pub fn renew(&self) {
        self.live.renew();
    }

    /// Why the link names no release now, if it does not.
    pub fn link_error(&self) -> Option<LiveError> {
        self.live.wrong()
    }

    /// How changes of the link are noticed.
    pub fn look(&self) -> look::Mode {
        self.live.mode()
    }

    /// Whether visitors get the maintenance page.
    pub fn in_maintenance(&self) -> bool {
        self.maintenance.load(Ordering::Relaxed)
    }

    /// Turns the maintenance page on or off, in this process and for the next.
    pub fn set_maintenance(&self, on: bool) -> std::io::Result<()> {
        let file = self.app.maintenance();
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

/// Who tells log and metrics what the look found.
struct Herald {
    site: String,
    log: ErrorLog,
    meters: SiteMeters,
}

impl Herald {
    fn tell(&self, news: &News) {
        match news {
            News::Flipped { from, to } => {
                self.meters.link_broken.set(0);
                match from {
                    None => self.log.info(&self.site, format_args!("{to} is live")),
                    Some(from) => {
                        self.meters.flips.inc();
                        self.log.info(&self.site, format_args!("{to} is live, {from} was"));
                    }
                }
            }
            News::Unleased { id, why } => {
                self.log.warn(
                    &self.site,
                    format_args!("{id} is served without a lease ({why:?}): prune cannot see it"),
                );
            }
            News::Broken(why) => {
                self.meters.link_broken.set(1);
                self.log.error(
                    &self.site,
                    format_args!("{why}; the last good release, if there was one, is still served"),
                );
            }
            News::Mended(id) => {
                self.meters.link_broken.set(0);
                self.log.info(&self.site, format_args!("the link names a release again: {id}"));
            }
            News::Reading(why) => {
                self.log.warn(&self.site, format_args!("the link is read on every request: {why}"));
            }
            News::Watching => self.log.info(&self.site, "changes of the link are watched"),
        }
    }
}
