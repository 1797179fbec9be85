//! Site: what the configuration of one server comes to, once all of it was read.

use crate::bindings::{ap_get_module_config, apr_pool_t, core_module, core_server_config, server_rec};
use crate::link::Link;
use crate::log::{self, Level};
use crate::section::{Section, Sections};
use crate::settings::{Settings, UseReadlink};
use crate::{detect, directive, place};
use release::App;
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// All servers of one configuration whose requests are pinned.
pub struct Sites(Vec<Site>);

/// A server whose requests are pinned.
pub struct Site {
    /// The server.
    pub server: *mut server_rec,
    /// Its number, for what is made per server and release.
    pub number: usize,
    /// The links that its requests may meet.
    pub links: Vec<Arc<Link>>,
    /// Which of them its document root leads through: pinned for every request.
    pub first: Option<usize>,
    /// Its `<Directory>` sections.
    pub sections: Vec<Section>,
    /// Whether responses name the release.
    pub header: bool,
    /// How long one reading of the link may serve.
    pub stale_for: Option<Duration>,
}

impl Sites {
    /// Makes the sites of all servers, the first of which is `main`; says in the log what each pins. An error is what
    /// to tell whoever starts httpd.
    pub fn new(main: *mut server_rec, pool: *mut apr_pool_t) -> Result<Sites, String> {
        let mut sites: Vec<Site> = Vec::new();
        let mut links: Vec<Arc<Link>> = Vec::new();
        let mut server = main;
        while !server.is_null() {
            if let Some(settings) = directive::of(server).filter(|settings| settings.is_on()) {
                let site = site(server, settings, sites.len(), &mut links, pool)?;
                site.tell(settings);
                sites.push(site);
            }
            // SAFETY: httpd's list of servers, ended by null.
            server = unsafe { (*server).next };
        }
        if sites.is_empty() {
            log::line(main, Level::Notice, "loaded, but nothing is pinned: no server has Cutover On");
        }
        Ok(Sites(sites))
    }

    /// The site of a server.
    pub fn of(&self, server: *const server_rec) -> Option<&Site> {
        self.0.iter().find(|site| ptr::eq(site.server, server))
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Site> {
        self.0.iter()
    }
}

fn site(
    server: *mut server_rec,
    settings: &Settings,
    number: usize,
    links: &mut Vec<Arc<Link>>,
    pool: *mut apr_pool_t,
) -> Result<Site, String> {
    let root = document_root(server);
    let above = match &settings.readlink {
        Some(UseReadlink::Below(above)) => Some(above.as_path()),
        Some(UseReadlink::On | UseReadlink::Off) | None => None,
    };
    let mut paths: Vec<PathBuf> = settings.links.clone();
    // The links that were named come first; if the document root leads through one of them, nothing is guessed.
    if let Some(root) = &root
        && !paths.iter().any(|link| root.starts_with(link))
        && let Some(link) = detect::link_of(root, above)
    {
        paths.push(link);
    }
    let mut own = Vec::new();
    for path in paths {
        let allow = if settings.allow.is_empty() { detect::allowed(&path) } else { settings.allow.clone() };
        let beside = path.parent().unwrap_or(Path::new("/"));
        let app = App::new(beside, &path, &allow).map_err(|why| format!("{}: {why}", path.display()))?;
        // Servers that pin the same link share its last good release.
        let link = match links.iter().find(|link| *link.app() == app) {
            Some(link) => Arc::clone(link),
            None => {
                let link = Arc::new(Link::new(app));
                links.push(Arc::clone(&link));
                link
            }
        };
        own.push(link);
    }
    let first = root.and_then(|root| own.iter().position(|link| root.starts_with(link.path())));
    let sections = Sections::find(server, pool);
    for link in &own {
        for expression in sections.expressions.iter().filter(|e| e.contains(&*link.path().to_string_lossy()))
        {
            let text = format!(
                "<DirectoryMatch {expression}> (or <Directory ~>) is matched against the path of the release, not of the \
                 link {}: write it for that, or use a plain <Directory>",
                link.path().display()
            );
            log::line(server, Level::Warning, &text);
        }
    }
    Ok(Site {
        server,
        number,
        links: own,
        first,
        sections: sections.plain,
        header: settings.header == Some(true),
        stale_for: settings.stale_for(),
    })
}

/// The DocumentRoot of a server, as the core has it.
fn document_root(server: *mut server_rec) -> Option<PathBuf> {
    // SAFETY: the core has a configuration for every server, with a string or null in it.
    let root = unsafe {
        let core = ap_get_module_config((*server).module_config, &raw const core_module);
        let root = (*core.cast::<core_server_config>()).ap_document_root;
        if root.is_null() {
            return None;
        }
        CStr::from_ptr(root)
    };
    Some(place::path(root.to_bytes()).components().collect())
}

impl Site {
    /// Says in the log what is pinned, and what of the configuration is not needed any more.
    fn tell(&self, settings: &Settings) {
        for link in &self.links {
            let mut allowed = vec![link.app().releases(), link.app().slots()];
            allowed.extend_from_slice(link.app().allow());
            let allowed: Vec<String> = allowed.iter().map(|dir| dir.display().to_string()).collect();
            let text = format!(
                "requests are pinned to what {} leads to, within {}",
                link.path().display(),
                allowed.join(", ")
            );
            log::line(self.server, Level::Info, &text);
        }
        if self.links.is_empty() {
            let text = "Cutover is on, but no link is known: DocumentRoot leads through none; name it with CutoverLink";
            log::line(self.server, Level::Warning, text);
        }
        if settings.speaks_realdoc() && self.stale_for.is_none() {
            let text = "RealpathEvery and UseReadlink are no longer needed: the link is read for each request \
                        (CutoverStale On makes RealpathEvery count)";
            log::line(self.server, Level::Notice, text);
        }
    }
}
