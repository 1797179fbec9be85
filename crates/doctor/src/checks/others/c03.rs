//! C03: FrankenPHP resolves the link when it starts.

use super::caddy;
use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::caddy::Does;
use crate::finding::{Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "C03",
    severity: Severity::Error,
    title: "FrankenPHP resolves the link when it starts",
    visitor: "Visitors stay on the old release, and get errors when it is removed.",
    page: include_str!("../../../../../docs/doctor/C03.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    // Whoever loads the configuration anew after a deploy has the link resolved anew.
    let reloads = |text: &str| text.contains("reload") && text.contains("--force");
    let reloaded = facts.orders.iter().any(|order| reloads(&order.text));
    caddy(facts, |handler, flipping| {
        if handler.does != Does::Franken || reloaded {
            return None;
        }
        let what = format!("{} follows the link {} once, when it starts", handler.name, told(&flipping.link));
        let fix = "reload it after each flip: after_flip = [\"frankenphp reload --force --config /etc/frankenphp/Caddyfile\"]";
        Some(Finding::at(&handler.at, what, fix).also("the root", &flipping.place.at))
    })
}
