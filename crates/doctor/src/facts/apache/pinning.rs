//! Pinning: the modules that see to it that a request sees one release, and where they act.

use super::Apache;
use super::modules::{Module, Modules};
use super::site::Site;
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
        match self.by {
            Pinner::Cutover | Pinner::Realdoc(Fork::Etsy | Fork::Unknown) => true,
            Pinner::Realdoc(Fork::Lima) => apache.setting(site, "realpathevery").is_some(),
        }
    }

    /// Which mod_realdoc it is, if it is one.
    pub fn realdoc(&self) -> Option<Fork> {
        match self.by {
            Pinner::Realdoc(fork) => Some(fork),
            Pinner::Cutover => None,
        }
    }
}
