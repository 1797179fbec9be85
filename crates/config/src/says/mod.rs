//! Says: how a release wants to be served; part of the pin, so it flips with the release.

mod auth;
mod error_pages;
mod maintenance;
mod redirect;
mod rules;

use std::path::{Path, PathBuf};

pub use auth::AuthRule;
pub use error_pages::ErrorPages;
pub use maintenance::Maintenance;
pub use redirect::Redirect;
pub use rules::{CacheRule, HeaderRule};

use crate::complaint::ConfigError;
use crate::config::Config;
use crate::read::{Beneath, Section, beneath};

/// How a release wants to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Says {
    /// `app.docroot`: relative to the release, normalised; empty for the release itself.
    pub docroot: PathBuf,
    /// `php.front`: the front controller, relative to the docroot, without leading slash; `None`: no fallback.
    pub front: Option<String>,
    /// `site.index`: names tried in a directory, in this order.
    pub index: Vec<String>,
    /// `site.listing`: whether a directory without an index is listed.
    pub listing: bool,
    /// `site.compress`: whether answers are compressed on the fly (precompressed siblings are used in any case).
    pub compress: bool,
    /// `[[site.redirect]]`, the first match wins.
    pub redirects: Vec<Redirect>,
    /// `[[site.header]]`, all matches apply in order.
    pub headers: Vec<HeaderRule>,
    /// `[[site.cache]]`, the first match wins.
    pub cache: Vec<CacheRule>,
    /// `[site.error]`.
    pub errors: ErrorPages,
    /// `[[site.auth]]`, the longest prefix that covers the path wins.
    pub auth: Vec<AuthRule>,
    /// `[site.maintenance]`.
    pub maintenance: Maintenance,
}

impl Default for Says {
    fn default() -> Says {
        Says {
            docroot: PathBuf::new(),
            front: None,
            index: vec!["index.php".into(), "index.html".into()],
            listing: false,
            compress: true,
            redirects: Vec::new(),
            headers: Vec::new(),
            cache: Vec::new(),
            errors: ErrorPages::default(),
            auth: Vec::new(),
            maintenance: Maintenance::default(),
        }
    }
}

impl Says {
    /// Parses the sealed cutover.toml inside a release: only this half is taken. Keys of the host's half are legal
    /// there and ignored, so that one file may serve for both; unknown keys and wrong values are errors all the same.
    pub fn parse_release(text: &str, file: &Path) -> Result<Says, ConfigError> {
        Config::parse(text, file).map(|config| config.says)
    }

    pub(crate) fn read(top: &Section<'_>) -> Result<Says, ConfigError> {
        let app = top.section("app")?;
        let php = top.section("php")?;
        let site = top.section("site")?;
        let default = Says::default();
        let front =
            php.at("front").map(|at| at.read_as("a PHP file below the docroot: \"index.php\"", front));
        let index = site.at("index").map(|at| {
            let items = at.items("\"index.html\"")?;
            items.iter().map(|item| item.read_as("a file's name: \"index.html\"", file_name)).collect()
        });
        Ok(Says {
            docroot: app.get::<Beneath>("docroot")?.map_or(default.docroot, |path| path.0),
            front: front.transpose()?,
            index: index.transpose()?.unwrap_or(default.index),
            listing: site.or("listing", default.listing)?,
            compress: site.or("compress", default.compress)?,
            redirects: site.each("site.redirect")?.iter().map(Redirect::read).collect::<Result<_, _>>()?,
            headers: site.each("site.header")?.iter().map(HeaderRule::read).collect::<Result<_, _>>()?,
            cache: site.each("site.cache")?.iter().map(CacheRule::read).collect::<Result<_, _>>()?,
            errors: ErrorPages::read(&site)?,
            auth: site.each("site.auth")?.iter().map(AuthRule::read).collect::<Result<_, _>>()?,
            maintenance: Maintenance::read(&site.section("site.maintenance")?)?,
        })
    }
}

fn front(text: &str) -> Result<String, String> {
    let path = beneath(text.strip_prefix('/').unwrap_or(text))?;
    match path.to_str() {
        Some("") | None => Err("it is empty".into()),
        Some(path) if path.contains('\0') => Err("it has a NUL byte in it".into()),
        Some(path) => Ok(path.to_owned()),
    }
}

fn file_name(text: &str) -> Result<String, String> {
    match text {
        "" | "." | ".." => Err("it is not a file's name".into()),
        _ if text.contains(['/', '\0']) => {
            Err("it is looked for in each directory: a name without `/`".into())
        }
        _ => Ok(text.to_owned()),
    }
}

/// A page of the site: an absolute URL path, as error pages and the maintenance page are named.
fn page(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("it must begin with `/`, the docroot".into());
    }
    let path = beneath(text.trim_start_matches('/'))?;
    match path.to_str() {
        Some("") | None => Err("it names no file".into()),
        Some(path) if path.contains('\0') => Err("it has a NUL byte in it".into()),
        Some(path) => Ok(format!("/{path}")),
    }
}
