//! init: writes a commented cutover.toml, guessed from what lies there.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use config::Config;
use serde_json::json;

use crate::answer::{Answer, Failure};
use crate::args::Globals;

const TEMPLATE: &str = include_str!("init.toml");

pub fn run(globals: &Globals, name: Option<String>) -> Result<Answer, Failure> {
    let dir = globals.dir.as_deref().unwrap_or(Path::new("."));
    let file = globals.config.clone().unwrap_or_else(|| dir.join("cutover.toml"));
    let base = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let root = std::path::absolute(base).unwrap_or_else(|_| base.to_owned());
    let text = fill(&root, name.as_deref());
    // Whatever was guessed, what is written must be readable.
    Config::parse(&text, &file).map_err(Failure::usage)?;

    let written = OpenOptions::new().write(true).create_new(true).open(&file).and_then(|mut new| {
        new.write_all(text.as_bytes())?;
        new.sync_all()
    });
    written.map_err(|error| {
        if error.kind() != ErrorKind::AlreadyExists {
            return Failure::failed(format!("cannot write {}: {error}", file.display()));
        }
        Failure::refused(format!("{} is there already", file.display()))
            .still("it was not touched")
            .next("`cutover serve --check` says what it means")
    })?;
    let text = format!(
        "wrote {}\nnext: put a release into {}, then cutover seal, cutover flip and cutover serve",
        file.display(),
        root.join("releases").join("NAME").display(),
    );
    Ok(Answer::new(text, json!({ "wrote": file })))
}

/// The template with the app's name, docroot and front controller put in.
fn fill(root: &Path, name: Option<&str>) -> String {
    let standard = Config::standard(root);
    let name = name.unwrap_or(&standard.host.app.name);
    // The live release if there is one already, else a source tree in which init was run.
    let trees = [root.join("current"), root.to_owned()];
    let has = |path: &str| trees.iter().any(|tree| tree.join(path).exists());
    let docroot =
        ["public", "web", "htdocs", "html", "dist"].into_iter().find(|docroot| has(docroot)).unwrap_or("");
    let front = if docroot.is_empty() { "index.php".into() } else { format!("{docroot}/index.php") };
    let php = if has(&front) { "" } else { "# " };
    let quoted = |text: &str| format!("{text:?}");
    TEMPLATE.replace("{name}", &quoted(name)).replace("{docroot}", &quoted(docroot)).replace("{php}", php)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_read_as_it_is_and_with_every_comment_that_holds_a_key_taken_off() {
        let file = Path::new("/srv/shop/cutover.toml");
        let text = fill(Path::new("/srv/shop"), None);
        assert_eq!(Config::parse(&text, file).unwrap().host.app.name, "shop");
        let bare: Vec<&str> = text.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
        let keys: Vec<&str> = bare
            .into_iter()
            .filter(|line| line.contains(" = ") || line.starts_with('[') || line.is_empty())
            .collect();
        Config::parse(&keys.join("\n"), file).unwrap_or_else(|error| panic!("{error}"));
        assert!(keys.len() > 20);
    }
}
