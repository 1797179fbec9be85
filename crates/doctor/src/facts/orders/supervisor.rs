//! Supervisor: its programs (supervisord.org, configuration).

use super::{By, Links, Looking, Order};
use crate::facts::ini::{Entry, Ini};

/// Where programs are written: Debian, Red Hat.
const FILES: [&str; 4] = [
    "/etc/supervisor/supervisord.conf",
    "/etc/supervisor/conf.d/*.conf",
    "/etc/supervisord.conf",
    "/etc/supervisord.d/*.ini",
];

pub(super) fn look(looking: &mut Looking<'_>) {
    for source in looking.files(&FILES, Links::Followed) {
        let programs = |entry: &Entry| entry.section.starts_with("program:");
        for entry in Ini::parse(&source).entries.into_iter().filter(programs) {
            if matches!(entry.key.as_str(), "command" | "directory") {
                let Entry { key, value: text, at, .. } = entry;
                looking.found(Order { by: By::Supervisor, key, text, at, lives: true });
            }
        }
    }
}
