//! Notify: webhooks are told that a deploy began, and how it ended.
//!
//! An address is a secret: whoever knows it can write there. It never stands in an event, an error or a log.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use config::Config;
use config::host::{Notice, NoticeFormat, Secret};
use serde_json::{Value, json};

use crate::engine::Deploy;
use crate::journal::{Ending, Journal, now_ms};
use crate::web;

/// Why an address could not be had.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The variable is not set.
    #[error("notify.url_env: {0} is not set")]
    NoVariable(String),
    /// The file could not be read.
    #[error("notify.url_file: cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others could read the file.
    #[error("notify.url_file: {} can be read by others; make it 0600", .0.display())]
    Open(PathBuf),
    /// It is no address.
    #[error("notify: *** is no http:// or https:// address")]
    NoAddress,
}

/// A deploy waits no longer for a webhook.
const PATIENCE: Duration = Duration::from_secs(5);

/// Every address that is configured and can be had: what must not be shown.
pub fn secrets(config: &Config) -> Vec<String> {
    config.host.notify.iter().filter_map(|notify| address(&notify.url).ok()).collect()
}

/// The address of each webhook, in their order, where it can be had.
pub fn addresses(config: &Config) -> Vec<Option<String>> {
    config.host.notify.iter().map(|notify| address(&notify.url).ok()).collect()
}

/// Tells that a deploy begins. Gives what went wrong, which is no reason not to deploy.
pub fn begins(deploy: &Deploy<'_>, journal: &Journal) -> Vec<String> {
    send(deploy, journal, Notice::Start, None)
}

/// Tells how it ended.
pub fn ended(deploy: &Deploy<'_>, journal: &Journal, ending: Ending) -> Vec<String> {
    let rollback = journal.plan().is_rollback();
    let notices: &[Notice] = match ending {
        Ending::Unchanged => &[],
        Ending::Live if rollback => &[Notice::Rollback],
        Ending::Live => &[Notice::Success],
        Ending::FlippedBack => &[Notice::Failure, Notice::Rollback],
        Ending::Undone | Ending::Unhealthy => &[Notice::Failure],
    };
    let mut problems = Vec::new();
    for notice in notices {
        problems.extend(send(deploy, journal, *notice, Some(ending)));
    }
    problems
}

fn send(deploy: &Deploy<'_>, journal: &Journal, notice: Notice, ending: Option<Ending>) -> Vec<String> {
    let mut problems = Vec::new();
    for notify in deploy.config.host.notify.iter().filter(|notify| notify.on.contains(&notice)) {
        let sent = address(&notify.url).map_err(|error| error.to_string()).and_then(|url| {
            let message = message(deploy, journal, notice, ending, notify.format);
            web::post(&url, &message.to_string(), PATIENCE).map_err(|error| error.to_string())
        });
        match sent {
            Ok(answer) if answer.status < 400 => {}
            Ok(answer) => problems.push(format!("a webhook answered {}", answer.status)),
            Err(why) => problems.push(deploy.masked(&format!("a webhook was not told: {why}"))),
        }
    }
    problems
}

fn message(
    deploy: &Deploy<'_>,
    journal: &Journal,
    notice: Notice,
    ending: Option<Ending>,
    format: NoticeFormat,
) -> Value {
    let text = deploy.masked(&sentence(deploy, journal, notice));
    match format {
        NoticeFormat::Slack => json!({ "text": text }),
        NoticeFormat::Discord => json!({ "content": text }),
        // The form that Workflows take: an adaptive card.
        NoticeFormat::Teams => json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "body": [{ "type": "TextBlock", "text": text, "wrap": true }],
                },
            }],
        }),
        NoticeFormat::Json => json!({
            "event": word(notice),
            "text": text,
            "app": deploy.config.host.app.name,
            "release": journal.release().map(ToString::to_string),
            "previous": journal.left().or(journal.plan().previous.as_ref()).map(ToString::to_string),
            "live": deploy.live().map(|id| id.to_string()),
            "ending": ending,
            "failure": journal.failure().map(|(step, why)| json!({ "step": step, "why": deploy.masked(why) })),
            "revision": journal.revision(),
            "who": journal.plan().who,
            "took_ms": now_ms().saturating_sub(journal.plan().at_ms),
        }),
    }
}

fn sentence(deploy: &Deploy<'_>, journal: &Journal, notice: Notice) -> String {
    let app = &deploy.config.host.app.name;
    let who = &journal.plan().who;
    let live = deploy.live().map_or("nothing".into(), |id| id.to_string());
    let failed = journal.failure();
    match notice {
        Notice::Start => format!("{app}: {who} deploys; {live} is live"),
        Notice::Success => {
            let seconds = now_ms().saturating_sub(journal.plan().at_ms) as f64 / 1000.0;
            format!("{app}: {live} is live, deployed by {who} in {seconds:.1} s")
        }
        Notice::Failure => match failed {
            Some((step, why)) => {
                format!("{app}: the deploy by {who} failed at {step}: {why}\n{live} is live")
            }
            None => format!("{app}: the deploy by {who} failed; {live} is live"),
        },
        Notice::Rollback => format!("{app}: rolled back by {who}; {live} is live"),
    }
}

fn word(notice: Notice) -> &'static str {
    match notice {
        Notice::Start => "start",
        Notice::Success => "success",
        Notice::Failure => "failure",
        Notice::Rollback => "rollback",
    }
}

fn address(secret: &Secret) -> Result<String, NotifyError> {
    let text = match secret {
        Secret::Plain(url) => url.clone(),
        Secret::Env(name) => std::env::var(name).map_err(|_| NotifyError::NoVariable(name.clone()))?,
        Secret::File(path) => {
            let unreadable = |source| NotifyError::Unreadable { path: path.clone(), source };
            let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(NotifyError::Open(path.clone()));
            }
            std::fs::read_to_string(path).map_err(unreadable)?
        }
    };
    let text = text.trim().to_owned();
    match text.starts_with("https://") || text.starts_with("http://") {
        true => Ok(text),
        false => Err(NotifyError::NoAddress),
    }
}
