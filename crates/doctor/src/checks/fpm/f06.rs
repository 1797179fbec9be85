//! F06: include_path is set by php_admin_value, which incpath cannot change.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::finding::{Edit, Finding, Fix};

/// The check.
pub const CHECK: Check = Check {
    id: "F06",
    severity: Severity::Warning,
    title: "incpath may not change the include path",
    visitor: "Requests run with the include path of whatever is live, unpinned.",
    page: include_str!("../../../../../docs/doctor/F06.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let uses = facts.phps().filter(|php| {
        php.files.loads("incpath") || !php.ini("incpath.search_replace_pattern").value.is_empty()
    });
    let own = uses.flat_map(|php| php.own.iter().filter(|own| own.admin && own.key == "include_path"));
    own.map(|own| {
        let what = "incpath changes include_path as a script would, and php_admin_value forbids scripts that: it warns, and the request runs unpinned";
        let with = own.line.at.meant().replacen("php_admin_value", "php_value", 1);
        let fix = Fix::from("php_value instead of php_admin_value").edit(Edit::Replace { at: own.line.at.clone(), with });
        Finding::at(&own.line.at, what, fix)
    })
    .collect()
}
