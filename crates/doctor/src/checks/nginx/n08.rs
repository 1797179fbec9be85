//! N08: nginx's own cache of answers does not know that there is a new release.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::nginx::Nginx;
use crate::facts::nginx::lead::Lead;
use crate::facts::nginx::level::Level;
use crate::facts::nginx::pass::Pass;
use crate::finding::{Edit, Finding, Fix};

/// The check.
pub const CHECK: Check = Check {
    id: "N08",
    severity: Severity::Warning,
    title: "a cache key without the release",
    visitor: "Pages of the old release are served from the cache after the flip, beside assets of the new one.",
    page: include_str!("../../../../../docs/doctor/N08.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let levels = facts.nginx.iter().flat_map(|nginx| nginx.levels.all().map(move |level| (nginx, level)));
    levels.filter_map(|(nginx, level)| judged(nginx, level)).collect()
}

fn judged(nginx: &Nginx, level: &Level) -> Option<Finding> {
    // A proxy asks another server; that it is the same application is likely where it is on this machine.
    let (kind, sure) = if level.last("fastcgi_pass").is_some() {
        ("fastcgi", true)
    } else {
        let to = level.last("proxy_pass")?.arg(0);
        let address = to.split_once("://").map_or(to, |(_, address)| address);
        let address = address.split('/').next().unwrap_or(address);
        Pass::parse(address).is_here().then_some(("proxy", false))?
    };
    let (_, cache) = nginx.levels.effective(level.id, &format!("{kind}_cache"))?;
    if cache.arg(0) == "off" {
        return None;
    }
    let pin = match nginx.root_leads(level.id) {
        Lead::Pinned(pin) => Some(pin),
        Lead::Link(_) | Lead::Resolved => None,
        Lead::Fixed | Lead::Unknown(_) => return None,
    };
    let key = nginx.levels.effective(level.id, &format!("{kind}_cache_key")).map(|(_, key)| key);
    if key.is_some_and(|key| key.args.iter().any(|word| nginx.names_release(level.id, &word.text))) {
        return None;
    }
    let at = key.unwrap_or(cache);
    let what = format!("{}: two releases share the answers that are kept here", level.told());
    let mut fix = match &pin {
        Some(pin) => Fix::from(format!("add ${pin} to {kind}_cache_key")),
        // Not $realpath_root itself: key and answer would be made at different moments.
        None => Fix::from(format!("pin the root (docs/nginx.md), and add its variable to {kind}_cache_key")),
    };
    if let (Some(key), Some(pin)) = (key, &pin)
        && nginx.owned(&key.at().file)
        && let Some(last) = key.args.last()
    {
        let word = last.at.meant();
        let with = match word.strip_suffix(['"', '\'']) {
            Some(open) => format!("{open}${pin}{}", &word[open.len()..]),
            None => format!("{word}${pin}"),
        };
        fix = fix.edit(Edit::Replace { at: last.at.clone(), with });
    }
    Some(nginx.as_sure(Finding::at(at.at(), what, fix), sure))
}
