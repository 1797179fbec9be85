//! Pinnable: the releases that a visitor's cookie may name, as links in `.cutover/pinnable/`, for a web server that has
//! nothing but paths to go by.
//!
//! A release comes in when it is live, and goes out when it is marked bad, or was last live longer ago than
//! `app.keep_for`. So a cookie never brings a release to light that was not live, and never one that failed.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use config::Config;
use config::host::Layout;
use release::atomic::{self, AtomicError};
use release::history::{self, Event, What};
use release::live::{self, Live};
use release::{App, ReleaseId};

/// How long a request that found a link a moment ago has to open what it leads to.
const GRACE: Duration = Duration::from_secs(1);

/// Whether visitors of this app are pinned by cookie.
pub fn wanted(config: &Config) -> bool {
    config.host.nginx.pin_cookie.is_some() && config.host.app.layout == Layout::Releases
}

/// Lets what is live in, and what is marked bad out. Around each flip: what is left must be in before it is left.
///
/// # Errors
/// When a link cannot be made or removed.
pub fn hold(app: &App, config: &Config, events: &[Event]) -> Result<(), AtomicError> {
    if !wanted(config) {
        return Ok(());
    }
    for id in there(app) {
        if history::verdict(events, &id) == Some(What::Bad) {
            atomic::remove(&app.pinnable().join(&id))?;
        }
    }
    match live::read(app) {
        Ok(live) if history::verdict(events, &live.id) != Some(What::Bad) => let_in(app, &live),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Lets out what was last live too long ago, before releases are pruned; what is let out may be in use for a moment.
///
/// # Errors
/// When a link cannot be removed.
pub fn sweep(app: &App, keep_for: Duration, events: &[Event]) -> Result<(), AtomicError> {
    let live = live::read(app).ok().map(|live| live.id);
    let now = SystemTime::now();
    let recent = |id: &ReleaseId| {
        let left = history::when_left(events, id);
        left.is_some_and(|left| now.duration_since(left).is_ok_and(|since| since < keep_for))
    };
    let gone: Vec<ReleaseId> =
        there(app).into_iter().filter(|id| live.as_ref() != Some(id) && !recent(id)).collect();
    for id in &gone {
        atomic::remove(&app.pinnable().join(id))?;
    }
    if !gone.is_empty() {
        std::thread::sleep(GRACE);
    }
    Ok(())
}

fn there(app: &App) -> Vec<ReleaseId> {
    let entries = std::fs::read_dir(app.pinnable()).into_iter().flatten().flatten();
    entries.filter_map(|entry| ReleaseId::parse(entry.file_name().to_str()?).ok()).collect()
}

fn let_in(app: &App, live: &Live) -> Result<(), AtomicError> {
    // Relative, for the web server may see the app under another path; so only what stands in releases/.
    let text = Path::new("../../releases").join(&live.id).join(&live.below);
    let text: PathBuf = text.components().collect();
    let link = app.pinnable().join(&live.id);
    match std::fs::read_link(&link) {
        Ok(there) if there == text => return Ok(()),
        Ok(_) => atomic::remove(&link)?,
        Err(_) => atomic::make_dir(&app.pinnable())?,
    }
    atomic::make_link(&link, &text)
}
