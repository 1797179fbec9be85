//! Site: what the configuration of one server comes to, once all of it was read.

use crate::bindings::{ap_get_module_config, apr_pool_t, core_module, core_server_config, server_rec};
use crate::link::{Link, Made, Share};
use crate::log::{self, Level};
use crate::section::{Section, Sections};
use crate::settings::{Settings, UseReadlink};
use crate::walk::Walk;
use crate::{detect, directive, place};
use release::App;
use std::ffi::{CStr, CString, c_char};
use std::os::unix::ffi::OsStrExt;
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
    /// The links that its requests may meet.
    pub links: Vec<Met>,
    /// Which of them its document root leads through: pinned for every request.
    pub first: Option<usize>,
    /// Its document root, as the core has it; or null.
    pub root: *const c_char,
    /// Its `<Directory>` sections.
    pub sections: Vec<Section>,
    /// Whether responses name the release.
    pub header: bool,
    /// How long one reading of the link may serve.
    pub stale_for: Option<Duration>,
}

/// A link that a site's requests may meet.
pub struct Met {
    /// The link.
    pub link: Arc<Link>,
    /// The site's number among those that share it.
    pub number: usize,
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
                let site = site(server, settings, &mut links, pool)?;
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
    links: &mut Vec<Arc<Link>>,
    pool: *mut apr_pool_t,
) -> Result<Site, String> {
    let core_root = document_root(server);
    let root = plain(core_root);
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
        let number = link.joined();
        own.push(Met { link, number });
    }
    let first = root.and_then(|root| own.iter().position(|met| root.starts_with(met.link.path())));
    let sections = Sections::find(server, pool);
    for Met { link, .. } in &own {
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
        links: own,
        first,
        root: core_root,
        sections: sections.plain,
        header: settings.header == Some(true),
        stale_for: settings.stale_for(),
    })
}

/// The DocumentRoot of a server, as the core has it: a string, or null.
fn document_root(server: *mut server_rec) -> *const c_char {
    // SAFETY: the core has a configuration for every server.
    unsafe {
        let core = ap_get_module_config((*server).module_config, &raw const core_module);
        (*core.cast::<core_server_config>()).ap_document_root
    }
}

/// A document root, plainly spelled; `None`: there is none.
fn plain(root: *const c_char) -> Option<PathBuf> {
    if root.is_null() {
        return None;
    }
    // SAFETY: a string of the configuration.
    let root = unsafe { CStr::from_ptr(root) };
    Some(place::path(root.to_bytes()).components().collect())
}

impl Site {
    /// What the site has of a release that its link of this number led to; made once.
    pub fn share<'a>(&self, number: usize, made: &'a Made) -> &'a Share {
        let met = &self.links[number];
        made.share(met.number, || Share {
            root: self.root_in(met.link.path(), made),
            walk: Walk::new(self.server, &self.sections, met.link.path(), &made.root),
        })
    }

    /// The document root in a release, if it leads through this link.
    fn root_in(&self, link: &Path, made: &Made) -> Option<CString> {
        if self.root.is_null() {
            return None;
        }
        // SAFETY: a string of the configuration, which outlives the site.
        let root = unsafe { CStr::from_ptr(self.root) };
        let rest = place::below(root.to_bytes(), link)?;
        CString::new([made.root.as_os_str().as_bytes(), rest].concat()).ok()
    }

    /// Says in the log what is pinned, and what of the configuration is not needed any more.
    fn tell(&self, settings: &Settings) {
        for Met { link, .. } in &self.links {
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
