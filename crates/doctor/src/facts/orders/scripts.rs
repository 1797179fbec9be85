//! Scripts: what deploys run: the hooks of cutover.toml, and the recipes and pipelines of other tools.

use config::host::Moment;

use super::{By, Looking, Order};
use crate::facts::app::App;
use crate::facts::glob;
use crate::source::Source;

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
pub(super) fn hooks(app: &App, looking: &mut Looking<'_>) {
    let Some(ours) = &app.ours else { return };
    for moment in Moment::ALL {
        for hook in ours.config.host.hooks.at(moment) {
            // The first line of a command that is written over several is enough to find it.
            let first = hook.run.lines().find(|line| !line.trim().is_empty()).unwrap_or(&hook.run).trim();
            let line = ours.source.text.lines().position(|line| line.contains(first));
            let at = ours.source.line(line.map_or(1, |line| line + 1));
            let (key, text) = (moment.key().into(), hook.run.clone());
            looking.found(Order { by: By::Hook, key, text, at, lives: false });
        }
    }
}

/// Recipes, scripts and pipelines, line by line.
pub(super) fn look(app: &App, looking: &mut Looking<'_>) {
    let roots = std::iter::once(app.root.as_path()).chain(app.current.real());
    for root in roots {
        for script in SCRIPTS {
            // What cannot be read here may be no script at all.
            for path in glob::expand(looking.machine, &root.join(script)).unwrap_or_default() {
                if let Ok(source) = looking.sources.read(looking.machine, &path) {
                    lines(&source, looking);
                }
            }
        }
    }
}

fn lines(source: &Source, looking: &mut Looking<'_>) {
    let name = source.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for (number, line) in source.text.lines().enumerate() {
        let text = line.trim();
        if text.is_empty() || text.starts_with(['#', '*', ';']) || text.starts_with("//") {
            continue;
        }
        let at = source.line(number + 1);
        looking.found(Order { by: By::Script, key: name.clone(), text: text.to_owned(), at, lives: false });
    }
}
