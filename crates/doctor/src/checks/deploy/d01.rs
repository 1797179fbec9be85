//! D01: `current` is a directory, leads nowhere, or leads out of `releases/`.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::app::App;
use crate::facts::links::End;
use crate::finding::{Blind, Finding, told};

/// The check.
pub const CHECK: Check = Check {
    id: "D01",
    severity: Severity::Error,
    title: "the link is no link to a release",
    visitor: "A deploy cannot flip: it writes into the live tree, or visitors get errors.",
    page: include_str!("../../../../../docs/doctor/D01.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let blind = facts.apps.iter().filter_map(|app| match &app.current.end {
        End::Blind(blind) => Some(blind.clone()),
        End::There(..) | End::Missing(_) | End::Circle => None,
    });
    let blind: Vec<Blind> = blind.collect();
    facts.apps.iter().filter_map(judged).collect::<Verdict>().or_blind(blind)
}

fn judged(app: &App) -> Option<Finding> {
    let link = told(&app.current.path);
    let (what, fix) = match &app.current.end {
        End::Blind(_) => return None,
        End::Missing(missing) if app.current.links.is_empty() => (
            format!("{link} is not there: {} is missing", told(missing)),
            "flip to a release: cutover flip RELEASE",
        ),
        End::Missing(missing) => (
            format!("{link} leads to {}, which is not there", told(missing)),
            "flip to a release that is there: cutover flip RELEASE",
        ),
        End::Circle => (format!("{link} leads in a circle"), "flip to a release: cutover flip RELEASE"),
        End::There(real, _) if app.current.links.is_empty() => (
            format!("{} is no link", told(real)),
            "move it below releases/, and make a link to it in its place",
        ),
        End::There(real, _)
            if !real.starts_with(app.root.join("releases")) && !real.starts_with(app.root.join("slots")) =>
        {
            (
                format!("{link} leads to {}, outside of {}", told(real), told(app.root.join("releases"))),
                "flip to a release below releases/, or name the other place in app.allow",
            )
        }
        End::There(..) => return None,
    };
    Some(Finding::anywhere(what, fix))
}
