//! Dressed: a leased release with all that is made for it once: its tree, its rules, its counters.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use config::Says;
use http::{HeaderName, HeaderValue};
use release::manifest;
use release::{App, Lease, Pinned};

use crate::fcgi::bases::Bases;
use crate::file::memory::Memory;
use crate::log::ErrorLog;
use crate::masters::Masters;
use crate::metrics::{Metrics, ReleaseMeters};
use crate::pool::Pool;
use crate::roll::{Enrolled, Roll};
use crate::tree::beneath::{self, Want};
use crate::tree::{Ground, Tree};

/// The longest cutover.toml that is read, in bytes.
const SAYS_BYTES: u64 = 1024 * 1024;

/// One request's hold on one release.
pub type Pin = Arc<Pinned<Dressed>>;

/// What is made once per release that is pinned.
pub struct Dressed {
    /// Its files; or why they cannot be served.
    pub tree: Result<Tree, String>,
    /// How it wants to be served: its own cutover.toml, else the host's.
    pub says: Arc<Says>,
    /// The value of `x-cutover-release`.
    pub id: HeaderValue,
    /// The header rules, ready to be set.
    pub headers: Vec<(config::value::Pattern, Vec<(HeaderName, HeaderValue)>)>,
    /// The way to its PHP, kept for as long as the release is pinned; `None`: the site has none.
    pub pool: Option<Arc<Pool>>,
    /// How web servers may name its docroot; `None`: its files cannot be served.
    pub bases: Option<Bases>,
    /// Its counters.
    pub meters: ReleaseMeters,
    site: String,
    metrics: Arc<Metrics>,
    /// Told as pinned until this is dropped.
    _enrolled: Enrolled,
}

/// What it takes to dress any release of one site.
pub struct Wardrobe {
    /// The site's name.
    pub site: String,
    /// The layout.
    pub app: App,
    /// What the host says, for releases that say nothing themselves.
    pub says: Arc<Says>,
    /// Scripts below shared/ may run.
    pub execute_shared: bool,
    /// The site's PHP; `None`: it has none.
    pub masters: Option<Arc<Masters>>,
    /// The file cache of the process.
    pub memory: Arc<Memory>,
    /// Where counts go.
    pub metrics: Arc<Metrics>,
    /// Where it is told what is pinned.
    pub roll: Arc<Roll>,
    /// Where complaints go.
    pub log: ErrorLog,
}

impl Wardrobe {
    /// Dresses a release. What is wrong with it is logged and told to visitors; it is live all the same.
    pub fn dress(&self, lease: &Lease) -> Dressed {
        let id = lease.live().id.as_ref();
        let seal = match manifest::load(&self.app, lease.live()) {
            Ok(seal) => seal,
            Err(why) => {
                self.log.warn(&self.site, format_args!("{id} is served as unsealed: {why}"));
                None
            }
        };
        let says = self.says_of(lease);
        let shared = Ground::shared(&self.app).unwrap_or_else(|why| {
            self.log.error(&self.site, format_args!("{id}: shared/ cannot be used: {why}"));
            None
        });
        let memory = Arc::clone(&self.memory);
        let tree = Tree::new(lease, shared, seal, Arc::clone(&says), self.execute_shared, memory)
            .map_err(|why| why.to_string());
        if let Err(why) = &tree {
            self.log.error(&self.site, why);
        }
        let pool = self.masters.as_ref().map(|masters| masters.of(&lease.live().id, lease.path(), &self.log));
        let meters = self.metrics.release(&self.site, id);
        let bases = tree.as_ref().ok().map(|tree| Bases::of(&self.app, lease, tree));
        Dressed {
            tree,
            bases,
            pool,
            id: HeaderValue::from_str(id).unwrap_or(HeaderValue::from_static("unnameable")),
            headers: headers(&says),
            says,
            _enrolled: self.roll.enter(&self.site, id, meters.in_flight.clone()),
            meters,
            site: self.site.clone(),
            metrics: Arc::clone(&self.metrics),
        }
    }

    fn says_of(&self, lease: &Lease) -> Arc<Says> {
        let file = Path::new("cutover.toml");
        let Some(text) = read_own(lease, file) else { return Arc::clone(&self.says) };
        match Says::parse_release(&text, &lease.path().join(file)) {
            Ok(says) => Arc::new(says),
            Err(why) => {
                self.log.error(
                    &self.site,
                    format_args!("the host's rules are used in place of the release's: {why}"),
                );
                Arc::clone(&self.says)
            }
        }
    }
}

/// The text of a file of the release itself; `None` where there is none that can be read.
fn read_own(lease: &Lease, file: &Path) -> Option<String> {
    let fd = beneath::open(lease.dir(), file.as_os_str().as_encoded_bytes(), Want::Bytes).ok()?;
    let mut text = String::new();
    std::fs::File::from(fd).take(SAYS_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

fn headers(says: &Says) -> Vec<(config::value::Pattern, Vec<(HeaderName, HeaderValue)>)> {
    let ready = |(name, value): &(String, String)| {
        Some((HeaderName::try_from(name.as_str()).ok()?, HeaderValue::from_str(value).ok()?))
    };
    says.headers.iter().map(|rule| (rule.path.clone(), rule.set.iter().filter_map(ready).collect())).collect()
}

impl Drop for Dressed {
    fn drop(&mut self) {
        self.metrics.release_gone(&self.site, self.id.to_str().unwrap_or_default());
    }
}
