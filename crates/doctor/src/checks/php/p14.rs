//! P14: opcache.preload names a script of a release.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use std::path::Path;

/// The check.
pub const CHECK: Check = Check {
    id: "P14",
    severity: Severity::Error,
    title: "preloaded code belongs to one release",
    visitor: "Classes of the release that was live when PHP started are used by all later ones; functions are declared twice.",
    page: include_str!("../../../../../docs/doctor/P14.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.phps().filter_map(|php| {
        let preload = php.ini("opcache.preload");
        let script = Path::new(&preload.value);
        let app = facts.apps.iter().find(|app| app.is_through_link(script) || app.is_in_releases(script))?;
        let ours = app.ours.as_ref().and_then(|ours| ours.config.host.php.as_ref());
        // With a master for each release preloading is right.
        if ours.is_some_and(|php| php.preload.is_some()) {
            return None;
        }
        let why = "what it loads stays as it was when PHP-FPM was started, whatever is live";
        let mut finding = preload.wrong(why, "");
        finding.fix.text = "leave it out; or let Cutover run php-fpm (php.fpm = \"embedded\", php.preload): then each release gets a master of its own".into();
        Some(finding)
    });
    found.collect()
}
