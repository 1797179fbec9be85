//! Warm: what a release is asked before anybody else sees it.

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
}

impl Default for Warm {
    fn default() -> Warm {
        Warm { compile: true, exclude: Vec::new(), requests: Vec::new() }
    }
}

impl Warm {
    pub(crate) fn read(section: &Section<'_>) -> Result<Warm, ConfigError> {
        let requests =
            section.at("requests").map(|at| at.items("a path: \"/\"")).transpose()?.unwrap_or_default();
        Ok(Warm {
            compile: section.or("compile", true)?,
            exclude: section.list("exclude")?,
            requests: requests
                .iter()
                .map(|at| at.read_as("a path: \"/\"", super::fleet::request_path))
                .collect::<Result<_, _>>()?,
        })
    }
}
