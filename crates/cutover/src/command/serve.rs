//! serve: reads the files, joins them, and hands over to the server.

use std::path::{Path, PathBuf};

use config::host::Fpm;
use config::{Config, Served};
use serde_json::json;

use crate::answer::{Answer, Failure};
use crate::args::Globals;
use crate::opened::{Opened, at_or_in};

pub fn run(globals: &Globals, apps: Vec<PathBuf>, check: bool) -> Result<Answer, Failure> {
    let served = load(globals, &apps)?;
    if check {
        return Ok(checked(&served));
    }
    let globals = globals.clone();
    let again = move || load(&globals, &apps).map_err(|failure| failure.error.into());
    serve::run(Box::new(again)).map_err(|error| {
        let reason = std::error::Error::source(&error).map_or(String::new(), |source| format!(": {source}"));
        Failure::failed(format!("{error}{reason}")).still("nothing is served by this process")
    })?;
    Ok(Answer::default())
}

/// Reads the files and joins them; again at each reload.
fn load(globals: &Globals, apps: &[PathBuf]) -> Result<Served, Failure> {
    let configs = if apps.is_empty() {
        vec![Opened::find(globals)?.config]
    } else {
        let dir = globals.dir.as_deref().unwrap_or(Path::new(""));
        apps.iter().map(|path| at_or_in(&dir.join(path))).collect::<Result<_, _>>()?
    };
    for config in &configs {
        Opened::of(config.clone())?;
    }
    config::join(configs).map_err(Failure::usage)
}

/// What the files mean, site by site.
fn checked(served: &Served) -> Answer {
    let mut lines = Vec::new();
    let mut sites = Vec::new();
    for (index, site) in served.sites.iter().enumerate() {
        let Config { host, says } = &site.config;
        let sockets = served.sockets.iter().filter(|socket| socket.sites.contains(&index));
        let listen: Vec<String> = sockets
            .map(|socket| format!("{}{}", socket.at, if socket.tls { " (TLS)" } else { "" }))
            .collect();
        let hosts: Vec<String> = host.serve.hosts.iter().map(ToString::to_string).collect();
        let php = match host.php.as_ref().map(|php| &php.fpm) {
            None => "none".into(),
            Some(Fpm::Embedded) => "embedded".into(),
            Some(Fpm::At(addresses)) => {
                addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            }
        };
        let answers = if hosts.is_empty() { "any host".into() } else { hosts.join(", ") };
        lines.push(format!("{}: ok", host.file.display()));
        lines.push(format!(
            "  {} in {} on {} for {answers}",
            host.app.name,
            host.app.root.display(),
            listen.join(", ")
        ));
        lines.push(format!("  docroot {:?}, php {php}", says.docroot.display().to_string()));
        sites.push(json!({
            "file": host.file, "app": host.app.name, "root": host.app.root, "listen": listen, "hosts": hosts,
            "docroot": says.docroot, "php": php,
        }));
    }
    Answer::new(lines.join("\n"), json!({ "sites": sites }))
}
