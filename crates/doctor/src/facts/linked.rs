//! Linked: whether PHP is given paths through a link that deploys flip, so that which release it runs is for its own
//! caches to say. By what a web server is set up to hand over, else by what its pool was seen to use.

use std::path::{Path, PathBuf};

use fastcgi::Address;

use super::Facts;
use super::apache::handler::{self, Runs};
use super::fpm::Pool;
use super::nginx::Nginx;
use super::nginx::lead::{Lead, Through};
use super::nginx::pass::Pass;
use super::php::Php;
use crate::source::Span;

/// A path through a link that a PHP is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// The link.
    pub link: PathBuf,
    /// What was seen, for people.
    pub seen: String,
    /// Where a web server is told so.
    pub at: Option<Span>,
}

impl Facts {
    /// The evidence that this PHP is given paths through a link.
    pub fn linked(&self, php: &Php) -> Option<Linked> {
        let pool = self.pools().map(|(_, pool)| pool).find(|pool| std::ptr::eq(&raw const pool.php, php));
        match pool {
            Some(pool) => {
                self.is_given(pool).or_else(|| self.was_given(pool)).or_else(|| self.remembers(php))
            }
            None => self.in_apache(),
        }
    }

    /// By the status page: the scripts of its workers.
    fn was_given(&self, pool: &Pool) -> Option<Linked> {
        let workers = pool.status().into_iter().flat_map(|status| &status.workers);
        workers.map(|worker| worker.script.as_str()).find_map(|script| {
            let link = self.link_of(Path::new(script))?;
            Some(Linked { link, seen: format!("{} was given {script}", pool.php.name), at: None })
        })
    }

    /// By the realpath cache of the worker that answered.
    fn remembers(&self, php: &Php) -> Option<Linked> {
        let links = php.inside().into_iter().flat_map(|inside| &inside.realpath.links);
        links.filter_map(|(path, to)| Some((self.link_of(Path::new(path))?, to))).next().map(|(link, to)| {
            let seen = format!("{} has {} in its realpath cache, as {to}", php.name, link.display());
            Linked { link, seen, at: None }
        })
    }

    /// By the web servers that hand requests to it.
    fn is_given(&self, pool: &Pool) -> Option<Linked> {
        let listen = pool.listen.as_ref()?;
        let nginx = self.nginx.iter().find_map(|nginx| by_nginx(nginx, listen));
        nginx.or_else(|| {
            self.apache.iter().find_map(|apache| {
                apache.served().filter(|site| !apache.pins(site)).find_map(|site| {
                    let place = site.docroot.as_ref()?;
                    let Some(Runs::Fpm(directive)) = handler::runs(apache, site, place) else { return None };
                    let wanted = listen.path()?.display().to_string();
                    if !directive.word(0).contains(&wanted) {
                        return None;
                    }
                    by_apache(place, &pool.php.name)
                })
            })
        })
    }

    /// PHP in Apache gets what Apache found.
    fn in_apache(&self) -> Option<Linked> {
        self.apache.iter().find_map(|apache| {
            let sites = apache.served().filter(|site| !apache.pins(site));
            let by_module = sites.filter_map(|site| {
                let place = site.docroot.as_ref()?;
                matches!(handler::runs(apache, site, place), Some(Runs::Module(_))).then_some(place)
            });
            by_module.filter_map(|place| by_apache(place, "PHP in Apache")).next()
        })
    }

    /// The link of an app that a path leads through.
    fn link_of(&self, path: &Path) -> Option<PathBuf> {
        let apps = self.apps.iter().filter(|app| app.is_through_link(path));
        apps.map(|app| &app.current.path).max().cloned()
    }
}

fn by_nginx(nginx: &Nginx, listen: &Address) -> Option<Linked> {
    nginx.fastcgi().find_map(|level| {
        if !nginx.passes(level.id).iter().any(|pass| is(pass, listen)) {
            return None;
        }
        let param = nginx.param(level.id, "SCRIPT_FILENAME")?;
        match nginx.leads(level.id, param.arg(1)) {
            Lead::Link(Through { link, seen: true, .. }) => {
                let seen =
                    format!("nginx gives it SCRIPT_FILENAME {}, through {}", param.arg(1), link.display());
                Some(Linked { link, seen, at: Some(param.at().clone()) })
            }
            Lead::Link(_) | Lead::Resolved | Lead::Pinned(_) | Lead::Fixed | Lead::Unknown(_) => None,
        }
    })
}

fn by_apache(place: &super::place::Place, who: &str) -> Option<Linked> {
    let flipping = place.flipping().filter(|flipping| !flipping.by_name)?;
    let seen = format!("Apache gives {who} paths below {}", place.path.display());
    Some(Linked { link: flipping.link, seen, at: Some(place.at.clone()) })
}

/// Whether a web server means the address that a pool listens on.
pub fn is(pass: &Pass, listen: &Address) -> bool {
    match (pass, listen) {
        (Pass::Unix(path), Address::Unix(own)) => path == own || same_below_run(path, own),
        (Pass::Address(address, Some(port)), Address::Tcp { host, port: own }) => {
            port == own && (*host == address.to_string() || address.is_loopback())
        }
        (Pass::Host(name), Address::Tcp { host, .. }) => name == host,
        (Pass::Unix(_) | Pass::Address(..) | Pass::Host(_) | Pass::Unknown(_), _) => false,
    }
}

/// `/var/run` is `/run` everywhere.
fn same_below_run(one: &Path, other: &Path) -> bool {
    let plain = |path: &Path| {
        path.strip_prefix("/var/run").map_or(path.to_owned(), |rest| Path::new("/run").join(rest))
    };
    plain(one) == plain(other)
}
