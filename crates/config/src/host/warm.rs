//! Warm: what a release is asked before anybody else sees it.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use crate::complaint::ConfigError;
use crate::read::Section;
use crate::value::Pattern;

/// `[warm]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warm {
    /// `compile`: the release's PHP files go into opcache before the flip; true unless said otherwise.
    pub compile: bool,
    /// `exclude`: files that are not compiled, matched against their path in the release.
    pub exclude: Vec<Pattern>,
    /// `requests`: paths, each beginning with `/`, that are asked of the new release through the pool.
    pub requests: Vec<String>,
    /// `log` and `log_requests`: the pages that visitors asked for most are asked of it too.
    pub logged: Option<LoggedRequests>,
}

/// `log` of `[warm]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequests {
    /// `log`: an access log, joined to the file's directory.
    pub log: PathBuf,
    /// `log_requests`: so many different pages, 20 unless said otherwise.
    pub top: usize,
}

const TOP: usize = 20;

impl Default for Warm {
    fn default() -> Warm {
        Warm { compile: true, exclude: Vec::new(), requests: Vec::new(), logged: None }
    }
}

impl Warm {
    pub(crate) fn read(section: &Section<'_>, base: &Path) -> Result<Warm, ConfigError> {
        let requests =
            section.at("requests").map(|at| at.items("a path: \"/\"")).transpose()?.unwrap_or_default();
        let top = section.get::<NonZeroU32>("log_requests")?.map_or(TOP, |top| top.get() as usize);
        let log = section.get::<PathBuf>("log")?;
        if let (None, Some(at)) = (&log, section.at("log_requests")) {
            return Err(
                at.complain("`warm.log_requests` needs a log", "write log = \"/var/log/nginx/shop.log\"")
            );
        }
        Ok(Warm {
            logged: log.map(|log| LoggedRequests { log: base.join(log), top }),
            compile: section.or("compile", true)?,
            exclude: section.list("exclude")?,
            requests: requests
                .iter()
                .map(|at| at.read_as("a path: \"/\"", super::fleet::request_path))
                .collect::<Result<_, _>>()?,
        })
    }
}
