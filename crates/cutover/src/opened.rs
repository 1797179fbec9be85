//! Opened: the app that a command is about: its configuration and its layout.

use std::path::Path;

use config::{Config, ConfigError};
use release::live::{self, LiveError};
use release::{App, Live};

use crate::answer::Failure;
use crate::args::Globals;

/// One app, ready to be worked on.
#[derive(Debug)]
pub struct Opened {
    /// Its configuration.
    pub config: Config,
    /// Its layout.
    pub app: App,
}

impl Opened {
    /// The app that `--config`, `-C` or the current directory names.
    pub fn find(globals: &Globals) -> Result<Opened, Failure> {
        let named = globals.config.as_deref().or(globals.dir.as_deref());
        let config = config_at(named.unwrap_or(Path::new("."))).map_err(told)?;
        Opened::of(config)
    }

    /// The app that a configuration describes.
    pub fn of(config: Config) -> Result<Opened, Failure> {
        let app = config.app().map_err(|error| {
            Failure::usage(format!("{}: {error}", config.host.file.display()))
                .next("correct app.root, app.link or app.allow")
        })?;
        Ok(Opened { config, app })
    }

    /// What is live now.
    pub fn live(&self) -> Result<Live, LiveError> {
        live::read(&self.app)
    }

    /// `r41 is still live`, or that nothing is: what every failure ends with.
    pub fn still(&self) -> String {
        match self.live() {
            Ok(live) => format!("{} is still live", live.id),
            Err(LiveError::Missing { .. }) => "no release is live".into(),
            Err(error) => error.to_string(),
        }
    }
}

/// The configuration that a file holds, or that of the app in a directory: its cutover.toml, or the standard layout
/// if the directory has that.
pub fn config_at(path: &Path) -> Result<Config, ConfigError> {
    let file = path.join("cutover.toml");
    if !path.is_dir() {
        return Config::read(path);
    }
    if file.exists() {
        // Without `./` before it: errors name it as people do.
        return Config::read(if path == Path::new(".") { Path::new("cutover.toml") } else { &file });
    }
    let here = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let config = Config::standard(&here);
    if here.join("releases").is_dir() || here.join(&config.host.app.link).symlink_metadata().is_ok() {
        return Ok(config);
    }
    let source = std::io::Error::new(
        std::io::ErrorKind::NotFound,
        "it is not there, and neither is a `current` link or a directory releases/ beside it",
    );
    Err(ConfigError::Unreadable { file, source })
}

fn told(error: ConfigError) -> Failure {
    let missing = matches!(&error, ConfigError::Unreadable { source, .. } if source.kind() == std::io::ErrorKind::NotFound);
    let failure = Failure::usage(error);
    if missing {
        failure.next("name the app with -C DIR, or begin with `cutover -C DIR init`")
    } else {
        failure
    }
}
