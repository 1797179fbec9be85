//! init: looks at the project and writes a commented cutover.toml for it.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use config::Config;
use deploy::init::{Guess, Place, Sure, guess, write};
use serde_json::json;

use crate::answer::{Answer, Failure};
use crate::args::Globals;

pub fn run(globals: &Globals, name: Option<String>, force: bool) -> Result<Answer, Failure> {
    let dir = globals.dir.as_deref().unwrap_or(Path::new("."));
    let file = globals.config.clone().unwrap_or_else(|| dir.join("cutover.toml"));
    let base = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let base = std::path::absolute(base).unwrap_or_else(|_| base.to_owned());
    let guess = guess(&trees(&base)).ok_or_else(|| Failure::failed("the presets cannot be read"))?;
    let place = place(&base, &guess, name);
    let text = write(&guess, &place);
    // Whatever was guessed, what is written must be readable.
    let config = Config::parse(&text, &file).map_err(Failure::usage)?;
    put(&file, &text, force)?;

    let root = config.host.app.root;
    let next = if place.source.is_empty() {
        let release = root.join("releases").join("NAME");
        format!("put a release into {}, then cutover seal, cutover flip and cutover serve", release.display())
    } else {
        format!(
            "read it, and correct app.root ({}), where the app is to run; then cutover plan and cutover deploy",
            root.display()
        )
    };
    let docroot = match guess.docroot.as_str() {
        "" => "the whole release is served".to_owned(),
        docroot => format!("{docroot}/ is served"),
    };
    let told = format!("{}; {docroot}", guess.told());
    let (by, also) = match &guess.sure {
        Sure::Recognised { by } => (by.clone(), Vec::new()),
        Sure::Doubtful { by, also } => (by.clone(), also.clone()),
        Sure::Unknown => (Vec::new(), Vec::new()),
    };
    Ok(Answer::new(
        format!("{told}\nwrote {}\nnext: {next}", file.display()),
        json!({
            "wrote": file,
            "preset": guess.preset.name,
            "sure": matches!(guess.sure, Sure::Recognised { .. }),
            "by": by,
            "also": also,
            "docroot": guess.docroot,
        }),
    ))
}

/// Where the project may lie: the live release, the directory itself as a source tree, or a release that is there.
fn trees(base: &Path) -> Vec<PathBuf> {
    let mut trees = vec![base.join("current"), base.to_owned()];
    let entries = std::fs::read_dir(base.join("releases")).into_iter().flatten().flatten();
    let mut releases: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    releases.sort();
    trees.extend(releases.into_iter().rev());
    trees
}

fn place(base: &Path, guess: &Guess, name: Option<String>) -> Place {
    let name = name.unwrap_or_else(|| Config::standard(base).host.app.name);
    // In a source tree, releases must not lie in what they are made of.
    let is_source = guess.tree.as_deref() == Some(base)
        && !base.join("releases").is_dir()
        && base.join("current").symlink_metadata().is_err();
    if !is_source {
        return Place { name, ..Place::default() };
    }
    let exclude: Vec<&str> =
        [".git", "node_modules"].into_iter().filter(|path| base.join(path).exists()).collect();
    let mut source = vec!["dir = \".\"".to_owned()];
    if !exclude.is_empty() {
        source.push(format!("exclude = {exclude:?}"));
    }
    let root = Path::new("/srv").join(&name);
    Place { name, root: Some(root), source, ..Place::default() }
}

fn put(file: &Path, text: &str, force: bool) -> Result<(), Failure> {
    if force {
        return release::atomic::replace(file, text.as_bytes()).map_err(Failure::failed);
    }
    let written = OpenOptions::new().write(true).create_new(true).open(file).and_then(|mut new| {
        new.write_all(text.as_bytes())?;
        new.sync_all()
    });
    written.map_err(|error| {
        if error.kind() != ErrorKind::AlreadyExists {
            return Failure::failed(format!("cannot write {}: {error}", file.display()));
        }
        Failure::refused(format!("{} is there already", file.display()))
            .still("it was not touched")
            .next("`cutover serve --check` says what it means; --force writes it anew")
    })
}
