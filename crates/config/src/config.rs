//! Config: one cutover.toml, in its two halves.

use std::path::{Path, PathBuf};

use release::app::{App, AppError};
use toml::de::DeTable;

use crate::complaint::{ConfigError, Source};
use crate::host::Host;
use crate::read::Section;
use crate::says::Says;

/// One app's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where it runs.
    pub host: Host,
    /// How it is served, unless the release says so itself.
    pub says: Says,
}

impl Config {
    /// Parses the text of a file; `file` names it in errors, and relative paths are joined to its directory.
    pub fn parse(text: &str, file: &Path) -> Result<Config, ConfigError> {
        let source = Source { file, text };
        let table = DeTable::parse(text).map_err(|error| {
            let span = error.span().unwrap_or(text.len()..text.len());
            let fix = match error.message() {
                "duplicate key" => "keep one of them",
                _ => "text stands in quotes, lists in [ ], tables in { } or below [name]",
            };
            source.complain(span, error.message().replace('\n', "; "), fix)
        })?;
        let top = Section::top(source, &table)?;
        Ok(Config { says: Says::read(&top)?, host: Host::read(&top, file)? })
    }

    /// Reads and parses a file.
    pub fn read(file: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
        Config::parse(&text, file)
    }

    /// What an app in the standard layout gets without any file.
    pub fn standard(root: &Path) -> Config {
        Config { host: Host::standard(root), says: Says::default() }
    }

    /// The app's layout on disk: root, link and allowed places, made absolute.
    pub fn app(&self) -> Result<App, AppError> {
        let keys = &self.host.app;
        let allow: Vec<PathBuf> = keys.allow.iter().map(|path| absolute(path)).collect();
        App::new(&absolute(&keys.root), &keys.link, &allow)
    }
}

/// Joins a relative path to the working directory. Only where `..` stands in it is the disk asked, because what `..`
/// means there depends on links; what cannot be resolved stays as it is, for `App::new` to refuse by name.
fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if !path.components().any(|component| component == std::path::Component::ParentDir) {
        return path;
    }
    #[allow(
        clippy::disallowed_methods,
        reason = "the root lies above the link: no flip changes what it leads to"
    )]
    path.canonicalize().unwrap_or(path)
}
