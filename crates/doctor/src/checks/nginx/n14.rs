//! N14: PHP_VALUE sticks to a worker for its life, and is not taken back by a request that does not send it.

use std::collections::BTreeMap;

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::nginx::Nginx;
use crate::facts::nginx::level::Level;
use crate::facts::nginx::parse::Directive;
use crate::facts::nginx::pass::Pass;
use crate::finding::Finding;

/// The check.
pub const CHECK: Check = Check {
    id: "N14",
    severity: Severity::Warning,
    title: "PHP_VALUE is sent by some of those that share a pool",
    visitor: "What one site sets for PHP stays in the worker, and holds for the next request of the other site too.",
    page: include_str!("../../../../../docs/doctor/N14.md"),
    look,
};

/// The parameters by which PHP is set up (fpm_main.c).
const VALUES: [&str; 2] = ["PHP_VALUE", "PHP_ADMIN_VALUE"];

fn look(facts: &Facts) -> Verdict {
    facts.nginx.iter().flat_map(judged).collect()
}

fn judged(nginx: &Nginx) -> Vec<Finding> {
    let mut pools: BTreeMap<Pass, Vec<(&Level, Option<&Directive>)>> = BTreeMap::new();
    for level in nginx.fastcgi() {
        let value = VALUES.iter().find_map(|name| nginx.param(level.id, name));
        for to in nginx.passes(level.id) {
            pools.entry(to).or_default().push((level, value));
        }
    }
    let mut findings = Vec::new();
    for (to, levels) in pools {
        let with = levels.iter().find_map(|(level, value)| value.map(|value| (*level, value)));
        let without = levels.iter().find(|(_, value)| value.is_none());
        let (Some((level, value)), Some((other, _))) = (with, without) else { continue };
        let what = format!("{} sends {} to {to}, {} does not", level.told(), value.arg(0), other.told());
        let text = "send it from all that use the pool, or from none: set it in the pool (php_value[…]), or give the \
                    site a pool of its own";
        let finding = Finding::at(value.at(), what, text).also("does not send it", other.block.at());
        findings.push(nginx.as_sure(finding, true));
    }
    findings
}
