//! Scaffold: the probe application, with a cutover.toml and sealed, so that ours can serve it as well as any server.

use std::path::Path;

use prove::probe::scaffold_as;
use release::ReleaseId;
use serde_json::json;

use crate::answer::{Answer, Failure};
use crate::command::prove::flags::Setup;
use crate::command::prove::scenario::kind;
use crate::command::seal;
use crate::opened::{Opened, config_at};
use serve::log::with_reasons;

/// Writes it.
pub fn write(dir: &Path, ids: &[String], setup: Setup) -> Result<Answer, Failure> {
    let ids: Vec<ReleaseId> = ids
        .iter()
        .map(|id| ReleaseId::parse(id).map_err(|error| Failure::usage(format!("{id}: {error}"))))
        .collect::<Result<_, _>>()?;
    let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
    scaffold_as(dir, &names, kind(setup)).map_err(|error| Failure::usage(with_reasons(&error)))?;
    let file = dir.join("cutover.toml");
    std::fs::write(&file, config(setup))
        .map_err(|error| Failure::failed(format!("cannot write {}: {error}", file.display())))?;
    let opened = Opened::of(config_at(dir).map_err(Failure::failed)?)?;
    for id in &ids {
        seal::run(&opened, id, false)?;
    }
    let (shown, list) = (dir.display(), names.join(","));
    let text = format!(
        "wrote the probe application to {shown}: {list}, sealed, {} is live\n\
         serve {shown}/current with the server under judgement (or: cutover serve {shown}), then\n  \
         cutover prove http://127.0.0.1:8080 --kind {} --releases {list} --link {shown}/current",
        names.first().map_or("nothing", String::as_str),
        name(setup)
    );
    Ok(Answer::new(text, json!({ "dir": dir, "releases": names, "kind": name(setup) })))
}

fn name(setup: Setup) -> &'static str {
    match setup {
        Setup::Php => "php",
        Setup::PhpWithoutFront => "php-without-front",
        Setup::Static => "static",
        Setup::Cgi => "cgi",
    }
}

fn config(setup: Setup) -> String {
    let fpm = "[php]\nfpm = \"embedded\"\nworkers = 8\n";
    // Its files are seconds old when they are asked for, and opcache caches nothing so young.
    let ini = "[php.ini]\n\"opcache.file_update_protection\" = \"0\"\n";
    let runs = match setup {
        Setup::Php => format!("{fpm}front = \"index.php\"\n{ini}"),
        Setup::PhpWithoutFront => format!("{fpm}{ini}"),
        Setup::Static => String::new(),
        Setup::Cgi => "[serve.cgi]\n".to_owned(),
    };
    format!(
        "# The probe application of `cutover prove`: every part of an answer names its release.\n\
         [app]\nname = \"probe\"\nroot = \".\"\ndocroot = \"\"\n\n[serve]\nlisten = [\"127.0.0.1:8080\"]\n\n{runs}"
    )
}
