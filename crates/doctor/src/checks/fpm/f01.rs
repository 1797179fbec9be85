//! F01: a deploy reloads PHP-FPM, and process_control_timeout is 0: running requests are killed.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::fpm::Master;
use crate::facts::ini::seconds;
use crate::facts::orders::Order;
use crate::finding::{Edit, Finding, Fix, told};

/// The check.
pub const CHECK: Check = Check {
    id: "F01",
    severity: Severity::Warning,
    title: "a reload of PHP-FPM cuts requests off",
    visitor: "Visitors whose requests run during a deploy get a broken page or a 502.",
    page: include_str!("../../../../../docs/doctor/F01.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let masters: Vec<_> = facts.fpm.iter().filter(|master| patience(master) == 0).collect();
    let Some(master) = masters.first() else { return Verdict::clean() };
    let found = facts.orders.iter().filter(|order| order.deploys() && reloads(order)).map(|order| {
        let what = "this reloads PHP-FPM, which kills the requests that run: process_control_timeout is 0";
        let to = "process_control_timeout = 60s";
        let fix = Fix::from(format!(
            "leave the reload out, for paths without links need none; or {to} below [global] in {}",
            told(&master.conf)
        ));
        // Right below its head: what stands behind an include belongs to the last pool that it brought.
        let mut heads = master.files.iter().flat_map(|ini| &ini.heads);
        let home = heads.find(|head| head.name.eq_ignore_ascii_case("global")).map(|head| head.at.clone());
        let (fix, place) = match (master.global("process_control_timeout"), home) {
            (Some(line), _) => (
                fix.edit(Edit::Replace { at: line.value_at.clone(), with: "60s".into() }),
                Some(line.at.clone()),
            ),
            (None, Some(home)) => (fix.edit(Edit::Below { at: home.clone(), lines: to.into() }), None),
            (None, None) => (fix, None),
        };
        let finding = Finding::at(&order.at, what, fix);
        match place {
            Some(at) => finding.also("it is set here", &at),
            None => finding,
        }
    });
    found.collect()
}

/// Seconds that a master waits for its workers when it is reloaded.
fn patience(master: &Master) -> u64 {
    master.global("process_control_timeout").and_then(|line| seconds(&line.value)).unwrap_or(0)
}

fn reloads(order: &Order) -> bool {
    let fpm = order.says(&["fpm"]) && order.says(&["php"]);
    let words = ["reload", "restart", "USR2"];
    fpm && order.says(&words) && !order.says(&["nginx -s reload"])
}
