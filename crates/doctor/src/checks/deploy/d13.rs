//! D13: SELinux enforces, and no hook labels a new release.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "D13",
    severity: Severity::Warning,
    title: "SELinux may not know the new release",
    visitor: "After the flip each page is refused, though the modes are right.",
    page: include_str!("../../../../../docs/doctor/D13.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let labels = ["restorecon", "chcon", "semanage", "setfiles"];
    if !facts.selinux || facts.orders.iter().any(|order| order.deploys() && order.says(&labels)) {
        return Verdict::clean();
    }
    let found = facts.apps.iter().map(|app| {
        let releases = told(app.root.join("releases"));
        let what = format!("SELinux enforces here, and nothing was found that labels a new release below {releases}: files that were made elsewhere and moved keep the label of that place");
        let fix = format!("semanage fcontext -a -t httpd_sys_content_t '{releases}(/.*)?' once, and restorecon -R of the release in hooks.after_stage");
        Finding::anywhere(what, fix).likely()
    });
    found.collect()
}
