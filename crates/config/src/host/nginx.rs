//! Nginx: how the nginx in front of an app is told what is live.

use std::path::PathBuf;
use std::time::Duration;

use crate::complaint::ConfigError;
use crate::read::{self, At, Section};

/// `[nginx]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NginxKeys {
    /// `mode`.
    pub mode: NginxMode,
    /// `command`: how nginx is called here, to test and to reload it.
    pub command: String,
    /// `tree`: the app's root as nginx sees it; `None`: as it is here.
    pub tree: Option<PathBuf>,
    /// `include`: the file that each flip rewrites, in reload mode; `None`: below `.cutover/`. Joined to the root.
    pub include: Option<PathBuf>,
    /// `takeover`: how long a flip waits until new workers have taken over, in reload mode; 30 s unless said otherwise.
    pub takeover: Duration,
}

/// How nginx comes to know what is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NginxMode {
    /// `link`: it looks at the link, once per request.
    #[default]
    Link,
    /// `reload`: each flip rewrites a file of its configuration and has it read again.
    Reload,
}

impl Default for NginxKeys {
    fn default() -> NginxKeys {
        NginxKeys {
            mode: NginxMode::default(),
            command: "nginx".into(),
            tree: None,
            include: None,
            takeover: Duration::from_secs(30),
        }
    }
}

impl NginxKeys {
    pub(crate) fn read(section: &Section<'_>) -> Result<NginxKeys, ConfigError> {
        let default = NginxKeys::default();
        let modes = [("link", NginxMode::Link), ("reload", NginxMode::Reload)];
        Ok(NginxKeys {
            mode: section.at("mode").map(|at| at.choice(&modes)).transpose()?.unwrap_or_default(),
            command: section
                .at("command")
                .map_or(Ok(default.command), |at| at.read_as(COMMAND_SHAPE, command))?,
            tree: section.at("tree").map(|at| absolute(&at)).transpose()?,
            include: section.get("include")?,
            takeover: section.or("takeover", read::Duration(default.takeover))?.0,
        })
    }
}

const COMMAND_SHAPE: &str = "a program and its arguments: \"nginx\", \"sudo nginx\"";

fn command(text: &str) -> Result<String, String> {
    match () {
        () if text.trim().is_empty() => Err("it is empty".into()),
        () if text.contains('\0') => Err("it has a NUL byte in it".into()),
        () => Ok(text.to_owned()),
    }
}

fn absolute(at: &At<'_>) -> Result<PathBuf, ConfigError> {
    let path: PathBuf = at.read()?;
    match path.is_absolute() {
        true => Ok(path),
        false => Err(at.complain("`nginx.tree` must be absolute", "tree = \"/app\"")),
    }
}
