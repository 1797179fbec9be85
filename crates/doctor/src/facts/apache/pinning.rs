//! Pinning: the modules that see to it that a request sees one release, and where they act.

use std::path::Path;

use super::Apache;
use super::modules::{Module, Modules};
use super::site::Site;
use crate::facts::place::Place;
use crate::machine::Machine;

/// A module that pins, as it is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinning {
    /// The module.
    pub module: Module,
    /// Which one it is.
    pub by: Pinner,
}

/// Which module pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinner {
    /// mod_cutover.
    Cutover,
    /// mod_realdoc.
    Realdoc(Fork),
}

/// Which mod_realdoc it is: they share their name and directives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// Etsy's, which writes into what all threads share.
    Etsy,
    /// Lima-city's, which keeps the root with the request, and acts only where `RealpathEvery` is set.
    Lima,
    /// The module's file could not be read.
    Unknown,
}

/// The call by which a module changes the root of one request; Etsy's does not make it.
const PER_REQUEST: &[u8] = b"ap_set_document_root";

impl Pinning {
    /// Looks which module pins, if one does. Of both, mod_cutover comes last and decides.
    pub fn look(machine: &dyn Machine, modules: &Modules) -> Option<Pinning> {
        if let Some(module) = modules.get("cutover_module") {
            return Some(Pinning { module: module.clone(), by: Pinner::Cutover });
        }
        let module = modules.get("realdoc_module")?;
        let calls = |bytes: &[u8]| bytes.windows(PER_REQUEST.len()).any(|part| part == PER_REQUEST);
        let fork = match machine.read(&module.file) {
            Ok(bytes) if calls(&bytes) => Fork::Lima,
            Ok(_) => Fork::Etsy,
            Err(_) => Fork::Unknown,
        };
        Some(Pinning { module: module.clone(), by: Pinner::Realdoc(fork) })
    }

    /// Whether it acts on a site.
    pub fn acts_on(&self, apache: &Apache, site: &Site) -> bool {
        let set = |name: &str| apache.setting(site, name);
        match self.by {
            Pinner::Realdoc(Fork::Etsy | Fork::Unknown) => true,
            Pinner::Realdoc(Fork::Lima) => set("realpathevery").is_some(),
            // Whoever configured mod_realdoc means it too.
            Pinner::Cutover => set("cutover").map_or_else(
                || ["cutoverlink", "realpathevery", "usereadlink"].iter().any(|name| set(name).is_some()),
                |set| set.says("on"),
            ),
        }
    }

    /// Whether it pins what an alias or a URL of a FastCGI server leads to through a link, on a site that it acts on.
    pub fn pins_beside(&self, apache: &Apache, site: &Site, link: &Path) -> bool {
        let own = site.docroot.as_ref().and_then(Place::flipping);
        let own = own.is_some_and(|own| own.link == link);
        let named = apache.seen(site, "cutoverlink");
        let named =
            named.iter().flat_map(|seen| &seen.directive.words).any(|word| Path::new(&word.text) == link);
        self.by == Pinner::Cutover && (own || named)
    }

    /// Which mod_realdoc it is, if it is one.
    pub fn realdoc(&self) -> Option<Fork> {
        match self.by {
            Pinner::Realdoc(fork) => Some(fork),
            Pinner::Cutover => None,
        }
    }
}
