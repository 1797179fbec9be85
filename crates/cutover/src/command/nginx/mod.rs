//! nginx: prints or writes the configuration that makes stock nginx pin each request to one release.

mod http;
mod quote;
mod regex;
mod server;
mod text;

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueEnum};
use config::host::Layout;
use config::value::ListenAt;
use release::atomic;
use serde_json::json;

use self::text::{Nginx, Written};
use crate::answer::{Answer, Failure};
use crate::opened::Opened;

/// The flags of `cutover nginx`.
#[derive(Debug, Clone, Args)]
pub struct NginxFlags {
    /// What nginx listens on; by default the TCP addresses of serve.listen, or port 80
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// Only what belongs into `http { }`, or only what belongs into a `server { }` of your own
    #[arg(long, value_enum, conflicts_with = "write")]
    part: Option<Part>,
    /// Write it there, let nginx test it, and reload nginx if it changed; what nginx refuses is put back
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// With --write: how nginx is called here
    #[arg(long, value_name = "COMMAND", default_value = "nginx", requires = "write")]
    nginx: String,
}

/// A part of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Maps and upstreams
    Http,
    /// Root, locations and headers
    Server,
}

pub fn run(opened: &Opened, flags: &NginxFlags) -> Result<Answer, Failure> {
    if opened.config.host.app.layout == Layout::Slots {
        let what = "stock nginx holds no leases, so a slot would be rewritten under its requests (app.layout = \"slots\")";
        let next = "use layout = \"releases\" with nginx, or `cutover serve`";
        return Err(Failure::usage(what).still("nothing was written").next(next));
    }
    let listen = if flags.listen.is_empty() { listening(opened) } else { flags.listen.clone() };
    let link = opened.app.link();
    let maintenance = opened.app.maintenance();
    let releases = opened.app.releases();
    #[allow(
        clippy::disallowed_methods,
        reason = "releases/ lies beside the link: no flip changes what it leads to"
    )]
    let releases = releases.canonicalize().unwrap_or(releases);
    let nginx = Nginx {
        config: &opened.config,
        link,
        releases: &releases,
        maintenance: &maintenance,
        listen: &listen,
    };
    let written = nginx.write().map_err(|why| {
        Failure::usage(why)
            .still("nothing was written")
            .next("change it in cutover.toml, or use `cutover serve`")
    })?;
    let text = match flags.part {
        Some(Part::Http) => headed(opened, &written) + &written.http,
        Some(Part::Server) => written.server.clone(),
        None => headed(opened, &written) + &written.whole(),
    };
    match &flags.write {
        None => Ok(Answer::new(text.trim_end(), json!({ "text": text, "left_out": written.left_out }))),
        Some(file) => put(file, &text, &flags.nginx, &written),
    }
}

/// Who wrote it, and what it does not do.
fn headed(opened: &Opened, written: &Written) -> String {
    let name = &opened.config.host.app.name;
    let mut text = format!(
        "# {name}, pinned: every request sees exactly one release, whoever flips {}. Written by `cutover nginx`.\n\
         # Add {} to every fastcgi_cache_key and proxy_cache_key. open_file_cache is safe here: paths differ by release.\n",
        opened.app.link().display(),
        written.release,
    );
    for left in &written.left_out {
        text += &format!("# Not carried over: {left}\n");
    }
    text
}

fn listening(opened: &Opened) -> Vec<String> {
    let serve = &opened.config.host.serve;
    let ours = serve.listen.iter().filter_map(|listen| match &listen.at {
        ListenAt::Tcp(at) if at.port() != 0 => Some(format!("{at}{}", if listen.tls { " ssl" } else { "" })),
        ListenAt::Tcp(_) | ListenAt::Unix(_) | ListenAt::Systemd(_) | ListenAt::Fd(_) => None,
    });
    let ours: Vec<String> = ours.collect();
    if ours.is_empty() { vec!["80".into()] } else { ours }
}

/// Writes the file, has it tested, and reloads nginx if something changed.
fn put(file: &Path, text: &str, nginx: &str, written: &Written) -> Result<Answer, Failure> {
    let before = match std::fs::read(file) {
        Ok(before) => Some(before),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Failure::failed(format!("cannot read {}: {error}", file.display()))),
    };
    let answer = |did: &str| {
        let text = format!("{}: {did}", file.display());
        Answer::new(text, json!({ "file": file, "did": did, "left_out": written.left_out }))
    };
    if before.as_deref() == Some(text.as_bytes()) {
        return Ok(answer("unchanged; nginx was left alone"));
    }
    atomic::replace(file, text.as_bytes()).map_err(Failure::failed)?;
    if let Err(said) = call(nginx, &["-t"]) {
        let back = match &before {
            Some(before) => atomic::replace(file, before),
            None => atomic::remove(file),
        };
        let still = match back {
            Ok(()) => "what was there before is there again, and nginx was left alone".to_owned(),
            Err(error) => format!("and what was there before could not be put back: {error}"),
        };
        return Err(Failure::failed(format!("nginx refuses it:\n{said}"))
            .still(still)
            .next("cutover nginx shows it"));
    }
    match call(nginx, &["-s", "reload"]) {
        Ok(_) => Ok(answer("written, tested, and nginx reloaded")),
        Err(_) => Ok(answer("written and tested; nginx does not run")),
    }
}

/// Runs nginx; the error is what it said.
fn call(nginx: &str, words: &[&str]) -> Result<(), String> {
    let mut parts = nginx.split_whitespace();
    let program = parts.next().unwrap_or("nginx");
    let out = Command::new(program).args(parts).args(words).output();
    let out = out.map_err(|error| format!("cannot run {program}: {error}"))?;
    if out.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&out.stderr).trim_end().to_owned())
    }
}
