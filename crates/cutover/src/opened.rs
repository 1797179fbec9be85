//! Opened: the app that a command is about: its configuration and its layout.

use std::path::Path;

use config::{Config, ConfigError};
use release::live::{self, LiveError};
use release::{App, Live, atomic};

use crate::answer::Failure;
use crate::args::Globals;

/// One app, ready to be worked on.
#[derive(Debug)]
pub struct Opened {
    /// Its configuration.
    pub config: Config,
    /// Its layout.
    pub app: App,
    /// The text of its configuration, where that came from elsewhere.
    pub sent: Option<String>,
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
        Ok(Opened { config, app, sent: None })
    }

    /// The app that a configuration from elsewhere describes. Its relative paths begin at the app's root.
    pub fn sent(text: String) -> Result<Opened, Failure> {
        let file = Path::new("cutover.toml");
        let root = Config::parse(&text, file).map_err(Failure::usage)?.host.app.root;
        if !root.is_absolute() {
            return Err(Failure::usage("app.root is no absolute path").next("root = \"/srv/shop\""));
        }
        let config = Config::parse(&text, &root.join(file)).map_err(Failure::usage)?;
        Ok(Opened { sent: Some(text), ..Opened::of(config)? })
    }

    /// Keeps a configuration from elsewhere, so that commands that are given here find it. Says it if they find
    /// another one first.
    pub fn keep_sent(&self) -> Result<Option<String>, Failure> {
        let Some(text) = &self.sent else { return Ok(None) };
        let kept = self.app.sent_config();
        if std::fs::read(&kept).ok().as_deref() != Some(text.as_bytes()) {
            atomic::replace_private(&kept, text.as_bytes())
                .map_err(|error| Failure::failed(error).still(self.still()))?;
        }
        let own = self.app.root().join("cutover.toml");
        let differs = std::fs::read(&own).is_ok_and(|own| own != text.as_bytes());
        Ok(differs
            .then(|| format!("{} is another one, and is what commands given there go by", own.display())))
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
    if let Some(sent) = sent_to(path).filter(|_| !file.exists()) {
        return sent;
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

/// The configuration that came with the last deploy from elsewhere, if there was one.
fn sent_to(path: &Path) -> Option<Result<Config, ConfigError>> {
    let here = std::path::absolute(path).ok()?;
    let kept = App::new(&here, Path::new("current"), &[]).ok()?.sent_config();
    let text = match std::fs::read_to_string(&kept) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(source) => return Some(Err(ConfigError::Unreadable { file: kept, source })),
    };
    Some(Config::parse(&text, &here.join("cutover.toml")))
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
