//! Nginx: how the nginx in front of an app is told what is live, and by what cookie it pins visitors.

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
    /// `pin_cookie`: the cookie that names a visitor's release; `None`: everybody gets what is live.
    pub pin_cookie: Option<String>,
    /// `pin_scope`.
    pub pin_scope: PinScope,
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

/// How long a visitor stays with the release that the cookie names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PinScope {
    /// `page`: what a page asks for comes from the page's release; the next page is of the live one.
    #[default]
    Page,
    /// `visit`: pages too, as long as the release is to be had.
    Visit,
}

impl Default for NginxKeys {
    fn default() -> NginxKeys {
        NginxKeys {
            mode: NginxMode::default(),
            command: "nginx".into(),
            tree: None,
            include: None,
            takeover: Duration::from_secs(30),
            pin_cookie: None,
            pin_scope: PinScope::default(),
        }
    }
}

impl NginxKeys {
    pub(crate) fn read(section: &Section<'_>) -> Result<NginxKeys, ConfigError> {
        let default = NginxKeys::default();
        let modes = [("link", NginxMode::Link), ("reload", NginxMode::Reload)];
        let scopes = [("page", PinScope::Page), ("visit", PinScope::Visit)];
        let mode = section.at("mode").map(|at| at.choice(&modes)).transpose()?.unwrap_or_default();
        let pin_cookie = section.at("pin_cookie").map(|at| at.read_as(COOKIE_SHAPE, cookie)).transpose()?;
        if let Some(at) = section.at("pin_cookie").filter(|_| mode == NginxMode::Reload) {
            return Err(at.complain(
                "in reload mode nginx knows one release only, so it can pin nobody to another",
                "take `pin_cookie` out, or mode = \"link\"",
            ));
        }
        Ok(NginxKeys {
            mode,
            command: section
                .at("command")
                .map_or(Ok(default.command), |at| at.read_as(COMMAND_SHAPE, command))?,
            tree: section.at("tree").map(|at| absolute(&at)).transpose()?,
            include: section.get("include")?,
            takeover: section.or("takeover", read::Duration(default.takeover))?.0,
            pin_cookie,
            pin_scope: section.at("pin_scope").map(|at| at.choice(&scopes)).transpose()?.unwrap_or_default(),
        })
    }
}

const COMMAND_SHAPE: &str = "a program and its arguments: \"nginx\", \"sudo nginx\"";
const COOKIE_SHAPE: &str = "a cookie's name: \"shop_release\", over TLS \"__Host-shop\"";

fn command(text: &str) -> Result<String, String> {
    match () {
        () if text.trim().is_empty() => Err("it is empty".into()),
        () if text.contains('\0') => Err("it has a NUL byte in it".into()),
        () => Ok(text.to_owned()),
    }
}

/// Narrower than RFC 6265: the name goes into a regular expression and a header.
fn cookie(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match !text.is_empty() && text.len() <= 64 && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("it is not 1 to 64 letters, digits, `_` and `-`".into()),
    }
}

fn absolute(at: &At<'_>) -> Result<PathBuf, ConfigError> {
    let path: PathBuf = at.read()?;
    match path.is_absolute() {
        true => Ok(path),
        false => Err(at.complain("`nginx.tree` must be absolute", "tree = \"/app\"")),
    }
}
