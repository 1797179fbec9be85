//! Target: what a web server wants of the pinned release: what it names, else what its visitor asked for.
//!
//! ```text
//!   SCRIPT_FILENAME -> below the link, a release, DOCUMENT_ROOT -+-> there in the pin: that
//!   else SCRIPT_NAME and PATH_INFO ------------------------------+-> not there: REQUEST_URI, as over HTTP
//! ```
//!
//! A web server looks for files before it asks us, and it may have looked in another release. Where the pinned one has
//! no such script, the decision is made anew; so it is where another release's front controller is named for a path
//! that only the pinned one has.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use http::HeaderValue;

use crate::fcgi::asked::Asked;
use crate::fcgi::bases::{Bases, Named, plain};
use crate::gateway::percent_decoded;
use crate::params::PathMap;
use crate::resource::path::{PathError, UrlPath, encode};
use crate::resource::{Resource, Script};
use crate::tree::Tree;

/// What a web server wants.
pub struct Target {
    /// What it names, relative to the docroot.
    named: UrlPath<'static>,
    /// What its visitor asked for, relative to the place where the site begins.
    url: UrlPath<'static>,
    /// The URL path at which the site begins; empty for `/`.
    pub mount: Vec<u8>,
    /// The docroot of another release that it names.
    other: Option<PathBuf>,
}

impl Target {
    /// Finds out what is wanted. `path`: that of REQUEST_URI, as sent.
    pub fn of(asked: &Asked, path: &str, bases: &Bases, paths: Option<&PathMap>) -> Result<Self, PathError> {
        let Named { path: mut named, other } = named(asked, bases, paths);
        decode(asked, &mut named);
        let mount = mount(asked, &named);
        // Where the script's path ends, the web server may have found by looking at another release.
        let info = asked.get(b"PATH_INFO").unwrap_or_default();
        if !named.ends_with(info) {
            named.extend_from_slice(info);
        }
        let named = UrlPath::decoded(&named)?;
        let mut url = UrlPath::parse(path)?.into_owned();
        if !mount.is_empty()
            && let Some(below) =
                url.as_bytes().strip_prefix(&mount[..]).filter(|below| below.starts_with(b"/"))
        {
            url = UrlPath::decoded(below)?;
        }
        Ok(Self { named, url, mount, other })
    }

    /// The path that the site's rules are about.
    pub fn url(&self) -> &UrlPath<'static> {
        &self.url
    }

    /// The path that is named, relative to the docroot.
    pub fn named(&self) -> &UrlPath<'static> {
        &self.named
    }

    /// What it stands for in the pinned release. `query`: to be kept by a redirect.
    pub fn resolve(&self, tree: &Tree, query: Option<&str>) -> Resource {
        let found = self.look(tree, query);
        if let Resource::Redirect(to) = &found
            && !self.mount.is_empty()
        {
            let to = [encode(&self.mount).as_bytes(), to.as_bytes()].concat();
            return HeaderValue::from_bytes(&to).map_or(Resource::NotFound, Resource::Redirect);
        }
        found
    }

    fn look(&self, tree: &Tree, query: Option<&str>) -> Resource {
        match Resource::there(tree, &self.named, query) {
            Some(Resource::Script(script)) => match self.decided_elsewhere(tree, &script) {
                Some(resource) => resource,
                None => Resource::Script(script),
            },
            Some(resource) => resource,
            None => Resource::resolve(tree, &self.url, query),
        }
    }

    /// What the pinned release has at the path that was asked for, where another release's front controller is named
    /// and that release has nothing there.
    fn decided_elsewhere(&self, tree: &Tree, script: &Script) -> Option<Resource> {
        let other = self.other.as_ref()?;
        let front = tree.says().front.as_ref()?.as_bytes();
        if script.name.strip_prefix(b"/") != Some(front) || self.url == self.named {
            return None;
        }
        // If it is there too, the web server did not look for it: it wants the front controller to be asked.
        let there = other.join(OsStr::from_bytes(self.url.relative()));
        if there.symlink_metadata().is_ok() {
            return None;
        }
        Resource::there(tree, &self.url, None)
    }
}

fn named(asked: &Asked, bases: &Bases, paths: Option<&PathMap>) -> Named {
    if let Some(file) = asked.filled(b"SCRIPT_FILENAME").or_else(|| asked.filled(b"PATH_TRANSLATED")) {
        let file = plain(file);
        // It may be told as the pool sees it.
        let here = || paths.map(|paths| paths.here(&file)).filter(|here| here[..] != file[..]);
        if let Some(named) = bases.find(&file).or_else(|| bases.find(&here()?)) {
            return named;
        }
        let root = asked.filled(b"DOCUMENT_ROOT").map(|root| root.strip_suffix(b"/").unwrap_or(root));
        let below = root.and_then(|root| file.strip_prefix(root));
        if let Some(below) = below.filter(|below| below.starts_with(b"/")) {
            return Named { path: below.to_vec(), other: None };
        }
    }
    let path = asked.filled(b"SCRIPT_NAME").or_else(|| asked.filled(b"DOCUMENT_URI")).unwrap_or(b"/");
    Named { path: path.to_vec(), other: None }
}

/// Apache's ProxyPass leaves a script's path encoded, and its name not.
fn decode(asked: &Asked, named: &mut Vec<u8>) {
    let script = asked.get(b"SCRIPT_NAME").unwrap_or_default();
    if named.contains(&b'%') && !script.ends_with(named) {
        let decoded = percent_decoded(named);
        if script.ends_with(&decoded) {
            *named = decoded;
        }
    }
}

/// What stands in front of the named path in SCRIPT_NAME.
fn mount(asked: &Asked, named: &[u8]) -> Vec<u8> {
    let Some(script) = asked.filled(b"SCRIPT_NAME") else { return Vec::new() };
    let info = asked.get(b"PATH_INFO").unwrap_or_default();
    let without = named.strip_suffix(info).filter(|script| !script.is_empty()).unwrap_or(named);
    let front = script.strip_suffix(named).or_else(|| script.strip_suffix(without));
    front.filter(|front| front.starts_with(b"/")).unwrap_or_default().to_vec()
}
