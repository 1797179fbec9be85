//! serve: reads the files, joins them, and hands over to the server.

use std::path::PathBuf;

use config::host::Fpm;
use config::{Config, ConfigError, Served};
use serde_json::{Value, json};
use serve::log::with_reasons;
use serve::process::ProcessError;
use serve::run::RunError;

use crate::answer::{Answer, Failure};
use crate::args::Globals;
use crate::opened::{Opened, config_at};

pub fn run(globals: &Globals, apps: Vec<PathBuf>, check: bool) -> Result<Answer, Failure> {
    let apps = named(globals, apps);
    let load = move || config::join(apps.iter().map(|path| config_at(path)).collect::<Result<_, _>>()?);
    if check {
        return checked(&load().map_err(Failure::usage)?);
    }
    serve::run(Box::new(move || Ok(load()?))).map_err(|error| match &error {
        RunError::Process(ProcessError::Config(error)) => Failure::usage(error),
        RunError::Process(_)
        | RunError::Ground(_)
        | RunError::Privileges(_)
        | RunError::TakeOver(_)
        | RunError::Runtime(_) => {
            Failure::failed(with_reasons(&error)).still("nothing is served by this command")
        }
    })?;
    Ok(Answer::default())
}

/// What is to be served: the files and directories that were named, else the app of `--config` or `-C`.
///
/// Absolute, because a reload reads them again, and a newer program that takes over reads them too.
fn named(globals: &Globals, apps: Vec<PathBuf>) -> Vec<PathBuf> {
    let dir = globals.dir.clone().unwrap_or_default();
    let apps = match (apps.is_empty(), &globals.config) {
        (false, _) => apps.iter().map(|path| dir.join(path)).collect(),
        (true, Some(file)) => vec![file.clone()],
        (true, None) => vec![if dir.as_os_str().is_empty() { PathBuf::from(".") } else { dir }],
    };
    apps.into_iter().map(|path| std::path::absolute(&path).unwrap_or(path)).collect()
}

/// What the files mean, site by site; and whether the live releases' own files can be read.
fn checked(served: &Served) -> Result<Answer, Failure> {
    let mut lines = Vec::new();
    let mut sites = Vec::new();
    for (index, site) in served.sites.iter().enumerate() {
        let Config { host, says } = &site.config;
        let opened = Opened::of(site.config.clone())?;
        let own = opened.live().ok().map(|live| live.dir.join("cutover.toml")).filter(|file| file.is_file());
        let own = own
            .map(|file| Config::read(&file).map(|config| config.says))
            .transpose()
            .map_err(own_is_wrong)?;
        let says = own.as_ref().unwrap_or(says);

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
        let whose = if own.is_some() { ", as the live release says" } else { "" };
        lines.push(format!("{}: ok", host.file.display()));
        lines.push(format!(
            "  {} in {} on {} for {answers}",
            host.app.name,
            host.app.root.display(),
            listen.join(", ")
        ));
        lines.push(format!("  docroot {:?}{whose}, php {php}", says.docroot.display().to_string()));
        sites.push(json!({
            "file": host.file, "app": host.app.name, "root": host.app.root, "listen": listen, "hosts": hosts,
            "docroot": says.docroot, "php": php,
        }));
    }
    Ok(Answer::new(lines.join("\n"), Value::from_iter([("sites", sites)])))
}

fn own_is_wrong(error: ConfigError) -> Failure {
    Failure::usage(format!("the live release's own cutover.toml is wrong\n{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_is_served_is_named_absolutely() {
        let globals = |dir: Option<&str>, config: Option<&str>| Globals {
            dir: dir.map(PathBuf::from),
            config: config.map(PathBuf::from),
            ..Globals::default()
        };
        let here = std::env::current_dir().unwrap();
        assert_eq!(named(&globals(None, None), vec![]), std::slice::from_ref(&here));
        assert_eq!(named(&globals(Some("/srv/shop"), None), vec![]), [Path::new("/srv/shop")]);
        assert_eq!(named(&globals(Some("/srv"), None), vec!["a.toml".into()]), [Path::new("/srv/a.toml")]);
        assert_eq!(named(&globals(None, Some("x.toml")), vec![]), [here.join("x.toml")]);
    }
}
