//! F08: scripts of the release have paths longer than the 255 bytes that the status page shows.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "F08",
    severity: Severity::Warning,
    title: "paths are longer than PHP-FPM shows",
    visitor: "A release may be deleted while a request still runs it.",
    page: include_str!("../../../../../docs/doctor/F08.md"),
    look,
};

/// What PHP-FPM keeps of a script's path for its status page (fpm_scoreboard.h: 256 with the NUL).
const SHOWN: usize = 255;

fn look(facts: &Facts) -> Verdict {
    let found = facts.apps.iter().filter_map(|app| app.live.as_ref()).filter_map(|tree| {
        let base = tree.root.as_os_str().len() + 1;
        let longest = tree.php.iter().max_by_key(|file| file.path.as_os_str().len())?;
        let len = base + longest.path.as_os_str().len();
        (len > SHOWN).then(|| {
            let what = format!(
                "{} has {len} bytes, and the status page of PHP-FPM shows {SHOWN}",
                told(tree.root.join(&longest.path))
            );
            Finding::anywhere(what, "a shorter root for the app, or shorter names of releases").likely()
        })
    });
    found.collect()
}
