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
        let config = match (&globals.config, &globals.dir) {
            (Some(file), _) => read(file)?,
            (None, Some(dir)) => at(dir)?,
            (None, None) => at(Path::new("."))?,
        };
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

/// Reads the configuration of a file or a directory, as `serve` takes them.
pub fn at_or_in(path: &Path) -> Result<Config, Failure> {
    if path.is_dir() { at(path) } else { read(path) }
}

/// The configuration of the app in a directory: its cutover.toml, or the standard layout if it has that.
fn at(dir: &Path) -> Result<Config, Failure> {
    let file = dir.join("cutover.toml");
    if file.exists() {
        // Without `./` before it: errors name it as people do.
        return read(if dir == Path::new(".") { Path::new("cutover.toml") } else { &file });
    }
    if !dir.is_dir() {
        return Err(Failure::usage(format!("there is no directory {}", dir.display())));
    }
    let here =
        std::path::absolute(dir).map_err(|error| Failure::failed(format!("{}: {error}", dir.display())))?;
    let config = Config::standard(&here);
    if here.join("releases").is_dir() || here.join(&config.host.app.link).symlink_metadata().is_ok() {
        return Ok(config);
    }
    let error =
        format!("{} is no app: it has no cutover.toml, no `current` link and no releases/", dir.display());
    Err(Failure::usage(error)
        .next(format!("name the app's directory with -C, or begin with `cutover -C {} init`", dir.display())))
}

fn read(file: &Path) -> Result<Config, Failure> {
    Config::read(file).map_err(|error| match error {
        ConfigError::Unreadable { .. } | ConfigError::At(_) | ConfigError::Clash { .. } => {
            Failure::usage(error)
        }
    })
}
