//! adopt: takes over the tree of another deploy tool in place, or hands it back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use config::Config;
use deploy::adopt::standing::Standing;
use deploy::adopt::survey::Survey;
use deploy::adopt::undo::{self, UndoError};
use deploy::adopt::{self, AdoptError, Adopted, Tool};
use release::lock::DeployLock;
use release::{App, ReleaseId};
use serde_json::{Value, json};
use serve::log::with_reasons;

use crate::answer::{Answer, Failure};
use crate::args::Globals;
use crate::busy::busy;
use crate::who::who;

/// What `cutover adopt` takes.
#[derive(Debug, Args)]
pub struct AdoptFlags {
    /// Only say what is there and what would be done
    #[arg(long)]
    dry_run: bool,
    /// Hand the tree back to the tool it came from
    #[arg(long, conflicts_with_all = ["dry_run", "link", "good", "name"])]
    undo: bool,
    /// The link, if it is not `current` or stands elsewhere
    #[arg(long)]
    link: Option<PathBuf>,
    /// A release that you know to be whole and good, though nothing proves it; may be repeated
    #[arg(long, value_name = "RELEASE", value_parser = ReleaseId::parse)]
    good: Vec<ReleaseId>,
    /// The app's name; by default the directory's
    #[arg(long)]
    name: Option<String>,
}

pub fn run(globals: &Globals, flags: &AdoptFlags) -> Result<Answer, Failure> {
    if globals.config.is_some() {
        return Err(
            Failure::usage("adopt writes cutover.toml, it reads none").next("name the tree with -C DIR")
        );
    }
    let dir = globals.dir.as_deref().unwrap_or(Path::new("."));
    let root = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    if flags.undo {
        return hand_back(&root);
    }
    let survey = adopt::survey(&root, flags.link.as_deref(), &flags.good)
        .map_err(|error| Failure::usage(with_reasons(&error)).still("nothing was changed"))?;
    let name = flags.name.clone().unwrap_or_else(|| Config::standard(&root).host.app.name);
    let (guess, text) =
        adopt::config(&survey, &name).ok_or_else(|| Failure::failed("the presets cannot be read"))?;
    let file = adopt::config_file(&survey.app);
    Config::parse(&text, &file).map_err(Failure::usage)?;
    let seen = format!("{}\n{}", seen(&survey), guess.told());
    if flags.dry_run {
        let said = format!("{seen}\n{}\n\n{} would be:\n\n{text}", would(&survey), file.display());
        return Ok(Answer::new(said.trim_end(), json!({ "would": facts(&survey), "config": text })));
    }
    let still = format!("{} is still live, and {} can go on with it", survey.live.id, survey.tool);
    adopt::may(&survey).map_err(|error| failed(&error, still.clone()))?;
    let lock = DeployLock::take(&survey.app, Duration::ZERO)
        .map_err(|error| Failure::refused(error).still(still.clone()))?;
    let busy = busy("adopting");
    let adopted =
        adopt::adopt(&lock, &survey, &text, &who(), &mut |_| {}).map_err(|error| failed(&error, still))?;
    drop(busy);
    Ok(Answer::new(
        format!("{seen}\n{}", done(&survey, &adopted, &file)),
        json!({
            "adopted": facts(&survey),
            "sealed": adopted.sealed.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "removed": adopted.removed,
            "made": adopted.made,
            "wrote": file,
        }),
    ))
}

fn hand_back(root: &Path) -> Result<Answer, Failure> {
    let app = App::new(root, Path::new("current"), &[]).map_err(Failure::usage)?;
    let finished = undo::finish(&app).map_err(|error| Failure::failed(with_reasons(&error)))?;
    if !app.adopted().exists() {
        if finished {
            return Ok(Answer::new(
                "what was left of handing it back is deleted",
                json!({ "handed_back": Value::Null }),
            ));
        }
        return Err(Failure::refused(UndoError::NotAdopted(root.to_owned())).still("nothing was changed"));
    }
    let lock = DeployLock::take(&app, Duration::ZERO)
        .map_err(|error| Failure::refused(error).still("nothing was changed"))?;
    let back = adopt::undo(lock).map_err(|error| match &error {
        UndoError::NotAdopted(_) => Failure::refused(with_reasons(&error)),
        UndoError::Served => Failure::refused(with_reasons(&error))
            .still("nothing was changed")
            .next("stop it first: let another server serve the site"),
        UndoError::Deploying => Failure::refused(with_reasons(&error))
            .still("nothing was changed")
            .next("`cutover deploy` finishes or undoes it"),
        UndoError::Record(_) | UndoError::Disk(_) | UndoError::Left { .. } => {
            Failure::failed(with_reasons(&error))
                .still("the link and the releases were not touched")
                .next("run it again: what was done is not done twice")
        }
    })?;
    let mut text = match back.tool {
        Tool::Other => "handed back: all that adopting added is gone".to_owned(),
        Tool::Capistrano | Tool::Deployer | Tool::Ansistrano | Tool::Mina | Tool::Envoyer => {
            format!("handed back to {}: all that adopting added is gone", back.tool)
        }
    };
    for path in &back.litter {
        text += &format!("\n{} lies there again; remove it before the next deploy", path.display());
    }
    if let Some(kept) = &back.kept {
        text += &format!("\n{} was changed since, so it was left", kept.display());
    }
    Ok(Answer::new(text, json!({ "handed_back": back.tool, "litter": back.litter, "kept": back.kept })))
}

/// What there is, a line each.
fn seen(survey: &Survey) -> String {
    let mut lines = vec![match survey.by.as_slice() {
        [] => "a tree of releases, of no tool that is known".to_owned(),
        by => format!("a tree of {}: {}", survey.tool, by.join(", ")),
    }];
    let width = survey.releases.iter().map(|found| found.id.as_str().len()).max().unwrap_or(0);
    for found in &survey.releases {
        lines.push(format!("  {:width$}  {}: {}", found.id, found.standing.word(), found.why));
    }
    for name in &survey.nameless {
        lines.push(format!("  releases/{name:?} cannot be a release's name; it is left alone"));
    }
    let shared: Vec<&str> =
        survey.shared.dirs.iter().chain(&survey.shared.files).map(String::as_str).collect();
    if !shared.is_empty() {
        lines.push(format!("shared: {}", shared.join(", ")));
    }
    for (path, text) in &survey.shared.odd {
        lines.push(format!(
            "warning: {path} leads to {text}, under another name than its own: new releases will not have it"
        ));
    }
    for path in &survey.shared.dangling {
        lines.push(format!("warning: {path} leads into shared/, where nothing of that name is"));
    }
    for young in &survey.young {
        lines.push(format!(
            "warning: {} is young: a deploy may be running, so it was left",
            young.path.display()
        ));
    }
    lines.join("\n")
}

fn would(survey: &Survey) -> String {
    let mut lines = vec!["would:".to_owned()];
    let sealed = survey.releases.iter().filter(|found| found.standing != Standing::Unknown);
    lines.extend(sealed.map(|found| format!("  seal {}", found.id)));
    for litter in &survey.litter {
        lines.push(format!("  remove {}: {}", litter.path.display(), litter.told()));
    }
    for path in &survey.shared.beside {
        lines.push(format!("  make shared/{path}, a link to {path}"));
    }
    if let Some((path, by)) = &survey.foreign_lock {
        lines.push(format!("  refuse as long as {} is there (it says: {by})", path.display()));
    }
    lines.join("\n")
}

fn done(survey: &Survey, adopted: &Adopted, file: &Path) -> String {
    let mut lines = Vec::new();
    for litter in survey.litter.iter().filter(|litter| adopted.removed.contains(&litter.path)) {
        lines.push(format!("removed {}: {}", litter.path.display(), litter.told()));
    }
    lines.extend(adopted.made.iter().map(|path| format!("made {}, a link", path.display())));
    lines.push(format!("wrote {}", file.display()));
    let count = match adopted.sealed.len() {
        1 => "1 release".to_owned(),
        count => format!("{count} releases"),
    };
    lines.push(format!("adopted: {count} sealed; {} is still live", survey.live.id));
    lines.push("next: read cutover.toml; `cutover adopt --undo` hands the tree back".into());
    lines.join("\n")
}

fn facts(survey: &Survey) -> Value {
    let releases = survey
        .releases
        .iter()
        .map(|found| json!({ "id": found.id.as_str(), "standing": found.standing.word(), "why": found.why }));
    json!({
        "tool": survey.tool,
        "by": survey.by,
        "live": survey.live.id.as_str(),
        "releases": releases.collect::<Vec<_>>(),
        "shared_dirs": survey.shared.dirs,
        "shared_files": survey.shared.files,
        "litter": survey.litter.iter().map(|litter| &litter.path).collect::<Vec<_>>(),
        "locked": survey.foreign_lock.as_ref().map(|(path, _)| path),
    })
}

fn failed(error: &AdoptError, still: String) -> Failure {
    match error {
        AdoptError::Configured(_) => Failure::refused(with_reasons(error))
            .still("nothing was changed")
            .next("this app is Cutover's already; `cutover status` says what is live"),
        AdoptError::Locked { path, .. } => Failure::refused(with_reasons(error)).still(still).next(format!(
            "wait; if no deploy is running, it was killed: remove {} and try again",
            path.display()
        )),
        AdoptError::Unsealed { .. }
        | AdoptError::History(_)
        | AdoptError::Disk(_)
        | AdoptError::Record(_) => Failure::failed(with_reasons(error))
            .still(still)
            .next("try again: what was done is not done twice; or `cutover adopt --undo`"),
    }
}
