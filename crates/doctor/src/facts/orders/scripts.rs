//! Scripts: what deploys run: the hooks of cutover.toml, and the recipes and pipelines of other tools.

use std::path::Path;

use config::host::Moment;

use super::{By, Order};
use crate::facts::app::App;
use crate::facts::glob;
use crate::machine::Machine;
use crate::source::Sources;

/// Where recipes, scripts and pipelines lie, in an app or in a release.
const SCRIPTS: [&str; 16] = [
    "deploy.php",
    "deploy.yaml",
    "deploy.yml",
    "deploy.sh",
    "Envoy.blade.php",
    "Capfile",
    "Makefile",
    "docker-compose*.y*ml",
    "compose*.y*ml",
    ".gitlab-ci.yml",
    "config/deploy.rb",
    "config/deploy.rb.d/*.rb",
    "config/deploy/*.rb",
    "bin/deploy*",
    "scripts/deploy*",
    ".github/workflows/*.yml",
];

/// The hooks of an app.
pub(super) fn hooks(app: &App, orders: &mut Vec<Order>) {
    let Some(ours) = &app.ours else { return };
    for moment in Moment::ALL {
        for hook in ours.config.host.hooks.at(moment) {
            // The first line of a command that is written over several is enough to find it.
            let first = hook.run.lines().find(|line| !line.trim().is_empty()).unwrap_or(&hook.run).trim();
            let line = ours.source.text.lines().position(|line| line.contains(first));
            let at = ours.source.line(line.map_or(1, |line| line + 1));
            orders.push(Order {
                by: By::Hook,
                key: moment.key().into(),
                text: hook.run.clone(),
                at,
                lives: false,
            });
        }
    }
}

/// Recipes, scripts and pipelines, line by line.
pub(super) fn look(machine: &dyn Machine, sources: &mut Sources, app: &App, orders: &mut Vec<Order>) {
    let roots = std::iter::once(app.root.as_path()).chain(app.current.real());
    for root in roots {
        for script in SCRIPTS {
            // What cannot be read here may be no script at all.
            for path in glob::expand(machine, &root.join(script)).unwrap_or_default() {
                if let Ok(source) = sources.read(machine, &path) {
                    lines(&source, &path, orders);
                }
            }
        }
    }
}

fn lines(source: &crate::source::Source, path: &Path, orders: &mut Vec<Order>) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for (number, line) in source.text.lines().enumerate() {
        let text = line.trim();
        if text.is_empty() || text.starts_with(['#', '*', ';']) || text.starts_with("//") {
            continue;
        }
        let at = source.line(number + 1);
        orders.push(Order { by: By::Script, key: name.to_string(), text: text.to_owned(), at, lives: false });
    }
}
