//! D03: a container mounts the link, which is resolved once.

use crate::check::{Check, Severity, Verdict};
use crate::facts::Facts;
use crate::facts::app::App;
use crate::facts::mounts::Mount;
use crate::facts::orders::{By, Order};
use crate::finding::{Finding, told};
use std::path::Path;

/// The check.
pub const CHECK: Check = Check {
    id: "D03",
    severity: Severity::Error,
    title: "a container has one release mounted, not the link",
    visitor: "After a flip the container goes on with the old release, until it is started anew.",
    page: include_str!("../../../../../docs/doctor/D03.md"),
    look,
};

fn look(facts: &Facts) -> Verdict {
    let composed = facts.orders.iter().filter_map(|order| {
        let app = facts.apps.iter().find(|app| mounts(order, &app.current.path))?;
        let what = format!(
            "{} is followed once, when the container starts, and never again",
            told(&app.current.path)
        );
        let fix =
            format!("mount {} instead, and serve its {}", told(&app.root), link_name(&app.current.path));
        Some(Finding::at(&order.at, what, fix))
    });
    let mounted = facts.apps.iter().filter_map(|app| {
        let mount = app.mounted.as_ref()?;
        let what = format!(
            "{} is a mount ({} of {}), so nothing can be flipped here",
            told(&mount.point),
            told(&mount.root),
            mount.from
        );
        Some(Finding::anywhere(what, format!("mount {} instead", told(&app.root))))
    });
    let inside = facts.fpm.iter().filter_map(|master| {
        let (app, mount) = master.mounts.iter().find_map(|mount| Some((app_of(facts, mount)?, mount)))?;
        let what = format!(
            "the PHP-FPM that reads {} sees {} as {}, whatever is live",
            told(&master.conf),
            told(&mount.root),
            told(&mount.point)
        );
        Some(Finding::anywhere(what, format!("mount {} into its container instead", told(&app.root))))
    });
    composed.chain(mounted).chain(inside).collect()
}

/// Whether a line of a compose file, or a unit, mounts a path: `- /srv/shop/current:/var/www`, `source: …`.
fn mounts(order: &Order, link: &Path) -> bool {
    let compose = order.by == By::Script && order.key.contains("compose");
    let source = match order.text.trim_start_matches("- ").trim() {
        text if compose => text.strip_prefix("source:").unwrap_or(text).trim(),
        text if order.key == "BindPaths" || order.key == "BindReadOnlyPaths" => text,
        _ => return false,
    };
    let source = source.trim_matches(['"', '\'']).split(':').next().unwrap_or("").trim();
    let beside = order.at.file.parent().map(|dir| dir.join(source.trim_start_matches("./")));
    source.starts_with(['/', '.'])
        && (Path::new(source).starts_with(link) || beside.is_some_and(|path| path.starts_with(link)))
}

/// The app of which a container sees one release as a mount.
fn app_of<'f>(facts: &'f Facts, mount: &Mount) -> Option<&'f App> {
    facts.apps.iter().find(|app| {
        let Some(on) = &app.mount else { return false };
        // Both are told as paths in their file system.
        let releases = app.root.join("releases");
        let inner = releases.strip_prefix(&on.point).unwrap_or(&releases);
        let inner = on.root.join(inner);
        mount.device == on.device && mount.root.starts_with(&inner) && mount.root != inner
    })
}

fn link_name(link: &Path) -> String {
    link.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
