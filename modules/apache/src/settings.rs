//! Settings: what the directives of one server said; what they did not say is inherited.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// What the directives of one server said. `None`: nothing, so the surrounding server counts.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `Cutover`
    pub on: Option<bool>,
    /// `CutoverLink`, each of them.
    pub links: Vec<PathBuf>,
    /// `CutoverAllow`, each of them.
    pub allow: Vec<PathBuf>,
    /// `CutoverReleaseHeader`
    pub header: Option<bool>,
    /// `CutoverStale`
    pub stale: Option<bool>,
    /// `RealpathEvery`: `Some(None)` is its `-1`, each request.
    pub every: Option<Option<Duration>>,
    /// `UseReadlink`
    pub readlink: Option<UseReadlink>,
}

/// What mod_realdoc's `UseReadlink` was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UseReadlink {
    /// `On`
    On,
    /// `Off`
    Off,
    /// A directory above the link.
    Below(PathBuf),
}

impl Settings {
    /// What holds in a virtual host that says `self` inside of a server that says `base`.
    pub fn inside(&self, base: &Settings) -> Settings {
        Settings {
            on: self.on.or(base.on),
            links: either(&self.links, &base.links),
            allow: either(&self.allow, &base.allow),
            header: self.header.or(base.header),
            stale: self.stale.or(base.stale),
            every: self.every.or(base.every),
            readlink: self.readlink.clone().or_else(|| base.readlink.clone()),
        }
    }

    /// Whether requests are pinned: as `Cutover` says, and without it if any other directive asks for it.
    pub fn is_on(&self) -> bool {
        self.on.unwrap_or(!self.links.is_empty() || self.every.is_some() || self.readlink.is_some())
    }

    /// Whether the configuration has words of mod_realdoc.
    pub fn speaks_realdoc(&self) -> bool {
        self.every.is_some() || self.readlink.is_some()
    }

    /// How long one reading of the link may serve: not at all, unless `CutoverStale On` asks for it.
    pub fn stale_for(&self) -> Option<Duration> {
        if self.stale == Some(true) { self.every.flatten() } else { None }
    }
}

/// `Cutover`, `CutoverStale`, `CutoverReleaseHeader`.
pub fn on_off(name: &str, word: &[u8]) -> Result<bool, String> {
    if word.eq_ignore_ascii_case(b"on") {
        return Ok(true);
    }
    if word.eq_ignore_ascii_case(b"off") {
        return Ok(false);
    }
    Err(format!("{name} takes On or Off, not \"{}\"", shown(word)))
}

/// `CutoverLink`, `CutoverAllow`.
pub fn absolute(name: &str, word: &[u8]) -> Result<PathBuf, String> {
    let path = Path::new(OsStr::from_bytes(word));
    if !path.is_absolute() {
        return Err(format!("{name} takes an absolute path, not \"{}\"", shown(word)));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("{name} takes a path without \"..\", not \"{}\"", shown(word)));
    }
    // Directory sections are matched as patterns if they have such characters.
    if word.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\')) {
        return Err(format!(
            "{name} takes one path, not the pattern \"{}\": name each link, they are known when the server starts",
            shown(word)
        ));
    }
    if path.parent().is_none() {
        return Err(format!("{name} takes a path below /, not / itself"));
    }
    Ok(path.components().collect())
}

/// `RealpathEvery`: seconds, or -1 for each request.
pub fn every(word: &[u8]) -> Result<Option<Duration>, String> {
    let number = std::str::from_utf8(word).ok().and_then(|text| text.parse::<i64>().ok());
    match number {
        Some(-1) => Ok(None),
        // As long as it takes APR to count microseconds.
        Some(seconds @ 0..=31_536_000) => Ok(Some(Duration::from_secs(seconds.unsigned_abs()))),
        Some(_) | None => Err(format!(
            "RealpathEvery takes a whole number of seconds up to a year, or -1 for each request, not \"{}\"",
            shown(word)
        )),
    }
}

/// `UseReadlink`.
pub fn use_readlink(word: &[u8]) -> Result<UseReadlink, String> {
    if let Ok(on) = on_off("UseReadlink", word) {
        return Ok(if on { UseReadlink::On } else { UseReadlink::Off });
    }
    match absolute("UseReadlink", word) {
        Ok(dir) => Ok(UseReadlink::Below(dir)),
        Err(_) => Err(format!(
            "UseReadlink takes On, Off or an absolute path above the link, not \"{}\"",
            shown(word)
        )),
    }
}

fn either(own: &[PathBuf], base: &[PathBuf]) -> Vec<PathBuf> {
    if own.is_empty() { base.to_vec() } else { own.to_vec() }
}

fn shown(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}
