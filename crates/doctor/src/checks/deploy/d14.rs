//! D14: the pool's user may not enter a directory above the live release.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::users::Barred;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "D14",
    severity: Severity::Error,
    title: "PHP may not enter the release",
    visitor: "Each page fails: \"Permission denied\", or \"File not found\".",
    page: include_str!("../../../../../docs/doctor/D14.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let found = facts.apps.iter().flat_map(|app| {
        facts.pools_of(app).into_iter().filter(|(_, pool)| pool.chroot().is_none()).filter_map(|(_, pool)| {
            let user = pool.value("user");
            let (dir, stat, barred) = app
                .above
                .iter()
                .find_map(|(dir, stat)| Some((dir, stat, facts.users.barred(user, stat)?)))?;
            let what = format!(
                "{user}, as whom {} runs, may not enter {} (mode {:04o}, of {})",
                pool.php.name,
                told(dir),
                stat.mode,
                facts.users.name(stat.uid)
            );
            let fix = format!("chmod o+x {0}, or setfacl -m u:{user}:x {0}", told(dir));
            let finding =
                Finding { at: pool.line("user").map(|line| line.at.clone()), ..Finding::anywhere(what, fix) };
            Some(match barred {
                Barred::Surely => finding,
                Barred::UnlessAcl => finding.likely(),
            })
        })
    });
    found.collect()
}
