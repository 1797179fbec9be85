//! systemd: the units that this machine's people wrote (systemd.service(5)); those of packages name no app.

use super::{By, Links, Looking, Order};
use crate::facts::ini::{Entry, Ini};

/// Where units are written by hand, or by tools of deploys.
const UNITS: [&str; 3] = [
    "/etc/systemd/system/*.service",
    "/etc/systemd/system/*.service.d/*.conf",
    "/run/systemd/system/*.service",
];

/// What names a command or a directory.
const KEYS: [&str; 8] = [
    "WorkingDirectory",
    "RootDirectory",
    "ExecStart",
    "ExecStartPre",
    "ExecStartPost",
    "ExecReload",
    "ExecStop",
    "BindPaths",
];

/// What goes on for as long as its unit does.
const LIVES: [&str; 4] = ["ExecStart", "WorkingDirectory", "RootDirectory", "BindPaths"];

pub(super) fn look(looking: &mut Looking<'_>) {
    // Links are units of packages that are enabled, or masked ones.
    for source in looking.files(&UNITS, Links::LeftOut) {
        let entries = Ini::parse(&source).entries;
        let short = entries.iter().any(|entry| entry.key == "Type" && entry.value == "oneshot");
        for Entry { key, value: text, at, .. } in entries {
            if KEYS.contains(&key.as_str()) {
                let lives = !short && LIVES.contains(&key.as_str());
                looking.found(Order { by: By::Systemd, key, text, at, lives });
            }
        }
    }
}
