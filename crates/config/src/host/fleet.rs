//! What a deploy needs beside the app itself: the source, the health probe, the other hosts.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::complaint::ConfigError;
use crate::read::{self, Section};

/// `[source]`: where the next release comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTree {
    /// One of `dir`, `git` and `archive`.
    pub origin: Origin,
    /// `exclude`: names and paths left out.
    pub exclude: Vec<String>,
    /// `build`: shell commands run in the new tree.
    pub build: Vec<String>,
}

/// Where the files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `dir`, joined to the file's directory.
    Dir(PathBuf),
    /// `git`, at `ref`.
    Git {
        /// Path or URL.
        repository: String,
        /// Branch, tag or commit; `HEAD` unless said otherwise.
        reference: String,
    },
    /// `archive`: a path, or a URL.
    Archive(String),
}

/// `[health]`: what a healthy release answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// `path`, beginning with `/`; may have a query.
    pub path: String,
    /// `expect`: the status, 200 unless said otherwise.
    pub expect: u16,
    /// `timeout`, 10 s unless said otherwise.
    pub timeout: Duration,
    /// `attempts` before it counts as ill, a second apart; 3 unless said otherwise.
    pub attempts: u32,
    /// `url` of the live site, asked after the flip; `None`: `path` at the first socket of `serve.listen` on which
    /// somebody answers, else through the pool.
    pub url: Option<String>,
}

/// One `[[host]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetHost {
    /// `ssh`: what ssh(1) takes: `user@name`, or an alias of ~/.ssh/config.
    pub ssh: String,
    /// `program`: a cutover that stands there already; `None`: ours is put there.
    pub program: Option<PathBuf>,
}

impl SourceTree {
    pub(crate) fn read(section: &Section<'_>, base: &Path) -> Result<SourceTree, ConfigError> {
        let found = ["dir", "git", "archive"].map(|key| section.at(key));
        let origin = match found {
            [Some(dir), None, None] => Origin::Dir(base.join(dir.read::<PathBuf>()?)),
            [None, Some(git), None] => Origin::Git {
                repository: git.read_as("a path or an address", argument)?,
                reference: section
                    .at("ref")
                    .map(|at| at.read_as("a branch, tag or commit", argument))
                    .transpose()?
                    .unwrap_or_else(|| "HEAD".into()),
            },
            [None, None, Some(archive)] => {
                Origin::Archive(archive.read_as("a path or an address", argument)?)
            }
            [_, _, _] => {
                return Err(
                    section.complain("[source] needs exactly one origin", "write one of dir, git, archive")
                );
            }
        };
        if let Some(at) = section.at("ref").filter(|_| !matches!(origin, Origin::Git { .. })) {
            return Err(at.complain("`source.ref` only has a meaning with `git`", "take it out"));
        }
        Ok(SourceTree { origin, exclude: section.list("exclude")?, build: section.list("build")? })
    }
}

impl Health {
    pub(crate) fn read(section: &Section<'_>) -> Result<Health, ConfigError> {
        let path = section.at("path").map(|at| at.read_as("a path: \"/up\"", request_path)).transpose()?;
        let expect = section.or("expect", 200)?;
        if let Some(at) = section.at("expect").filter(|_| !(100..=599).contains(&expect)) {
            return Err(at.wrong(&format!("{expect} is not a status"), "100 to 599"));
        }
        Ok(Health {
            path: path.unwrap_or_else(|| "/".into()),
            expect,
            timeout: section.get::<read::Duration>("timeout")?.map_or(Duration::from_secs(10), |span| span.0),
            attempts: section.get::<NonZeroU32>("attempts")?.map_or(3, NonZeroU32::get),
            url: section
                .at("url")
                .map(|at| at.read_as("an address: \"https://shop.example.com/up\"", web_address))
                .transpose()?,
        })
    }
}

impl FleetHost {
    pub(crate) fn read(section: &Section<'_>) -> Result<FleetHost, ConfigError> {
        let shape = "\"user@host\" or an alias of ~/.ssh/config";
        let Some(at) = section.at("ssh") else {
            return Err(section.complain("[[host]] needs `ssh`", format!("write ssh = {shape}")));
        };
        let program = section
            .at("program")
            .map(|at| at.read_as("an absolute path: \"/usr/local/bin/cutover\"", program))
            .transpose()?;
        Ok(FleetHost { ssh: at.read_as(shape, argument)?, program })
    }
}

/// What is handed to another program as an argument: never to be taken for an option.
fn argument(text: &str) -> Result<String, String> {
    match () {
        () if text.is_empty() => Err("it is empty".into()),
        () if text.starts_with('-') => Err("it would be taken for an option".into()),
        () if text.chars().any(char::is_control) => Err("it has a control character in it".into()),
        () => Ok(text.to_owned()),
    }
}

/// The path of a program on another machine, as a shell there reads it.
fn program(text: &str) -> Result<PathBuf, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+');
    match text.starts_with('/') && text.chars().all(plain) {
        true => Ok(text.into()),
        false => Err("it is not `/` and letters, digits, `.`, `_`, `-`, `+`".into()),
    }
}

fn web_address(text: &str) -> Result<String, String> {
    let known = text.starts_with("https://") || text.starts_with("http://");
    match known && text.chars().all(|c| c.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err("it is no http:// or https:// address".into()),
    }
}

pub(super) fn request_path(text: &str) -> Result<String, String> {
    match text.starts_with('/') && text.chars().all(|c| c.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err("it must begin with `/` and be percent-encoded, as it is sent".into()),
    }
}
