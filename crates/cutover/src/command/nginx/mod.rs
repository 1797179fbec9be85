//! nginx: prints or writes the configuration that makes stock nginx pin each request to one release.

mod follow;
mod http;
mod quote;
mod server;
mod text;
mod turn;
mod visitor;
mod workers;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use config::host::{Layout, NginxMode};
use config::value::ListenAt;
use deploy::follower::Follower;
use serde_json::json;

pub use self::follow::following;
use self::follow::{included, server};
use self::text::{Nginx, Written};
use crate::answer::{Answer, Failure};
use crate::args::Lock;
use crate::opened::Opened;
use crate::working::take;

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
    /// With --write: how nginx is called here, instead of the configured nginx.command
    #[arg(long, value_name = "COMMAND", requires = "write")]
    nginx: Option<String>,
    /// How nginx comes to know what is live, instead of the configured nginx.mode
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// In reload mode, after another tool has flipped: let nginx serve what the link names, and wait until it does
    #[arg(long, conflicts_with_all = ["listen", "part", "write", "mode"])]
    follow: bool,
    #[command(flatten)]
    lock: Lock,
}

/// How nginx comes to know what is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// It looks at the link, once per request
    Link,
    /// Each flip rewrites a file of its configuration and reloads it
    Reload,
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
    if flags.follow {
        return follow(opened, flags.lock);
    }
    let configured = opened.config.host.nginx.mode;
    let mode = match flags.mode {
        None => configured,
        Some(Mode::Link) => NginxMode::Link,
        Some(Mode::Reload) => NginxMode::Reload,
    };
    if mode != configured && flags.write.is_some() {
        let name = if mode == NginxMode::Reload { "reload" } else { "link" };
        return Err(Failure::usage("cutover.toml says otherwise, and flips go by that")
            .still("nothing was written")
            .next(format!("write mode = \"{name}\" below [nginx]; then leave --mode out")));
    }
    let listen = if flags.listen.is_empty() { listening(opened) } else { flags.listen.clone() };
    let nginx = Nginx { listen: &listen, ..of_app(opened, mode) };
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
    let Some(file) = &flags.write else {
        return Ok(Answer::new(text.trim_end(), json!({ "text": text, "left_out": written.left_out })));
    };
    let others = match following(opened) {
        Some(nginx) => nginx.write().map_err(|why| {
            Failure::failed(why).still("nothing was written").next("`cutover flip RELEASE` makes one live")
        })?,
        None => false,
    };
    let command = flags.nginx.as_deref().unwrap_or(&opened.config.host.nginx.command);
    server(command).place(file, &text, others, &written.left_out)
}

/// Lets nginx serve what the link names.
fn follow(opened: &Opened, lock: Lock) -> Result<Answer, Failure> {
    let Some(following) = following(opened) else {
        return Err(Failure::usage("nginx looks at the link itself: nothing has to be told")
            .next("--follow is for mode = \"reload\" below [nginx]"));
    };
    let _lock = take(opened, lock, "nginx --follow")?;
    following.follow().map_err(|why| Failure::failed(why).still(opened.still()))?;
    let live = opened.live().map(|live| live.id.to_string()).unwrap_or_default();
    Ok(Answer::new(format!("{live}: nginx goes by it"), json!({ "live": live })))
}

/// What is written from: the app as nginx sees it, listening nowhere yet.
fn of_app(opened: &Opened, mode: NginxMode) -> Nginx<'_> {
    let app = &opened.app;
    let keys = &opened.config.host.nginx;
    let releases = app.releases();
    #[allow(
        clippy::disallowed_methods,
        reason = "releases/ lies beside the link: no flip changes what it leads to"
    )]
    let real = releases.canonicalize().unwrap_or_else(|_| releases.clone());
    let seen = |path: &Path| match (&keys.tree, path.strip_prefix(app.root())) {
        (Some(tree), Ok(below)) => tree.join(below),
        (Some(_), Err(_)) | (None, _) => path.to_owned(),
    };
    let file = (mode == NginxMode::Reload).then(|| seen(&included(opened)));
    Nginx {
        config: &opened.config,
        link: seen(app.link()),
        releases: if keys.tree.is_some() { seen(&releases) } else { real.clone() },
        here: real,
        maintenance: seen(&app.maintenance()),
        pinnable: seen(&app.pinnable()),
        included: file,
        listen: &[],
    }
}

/// Who wrote it, and what it does not do.
fn headed(opened: &Opened, written: &Written) -> String {
    let name = &opened.config.host.app.name;
    let mut text = format!(
        "# {name}, pinned: every request sees exactly one release{}. Written by `cutover nginx`.\n\
         # Add {} to every fastcgi_cache_key and proxy_cache_key. open_file_cache is safe here: paths differ by release.\n",
        written.whose, written.release,
    );
    for left in &written.left_out {
        text += &format!("# Not carried over: {left}\n");
    }
    text
}

fn listening(opened: &Opened) -> Vec<String> {
    let serve = &opened.config.host.serve;
    let ours = serve.listen.iter().filter_map(|listen| match &listen.at {
        ListenAt::Tcp(at) if at.port() != 0 && !listen.fastcgi => {
            Some(format!("{at}{}", if listen.tls { " ssl" } else { "" }))
        }
        ListenAt::Tcp(_) | ListenAt::Unix(_) | ListenAt::Systemd(_) | ListenAt::Fd(_) => None,
    });
    let ours: Vec<String> = ours.collect();
    if ours.is_empty() { vec!["80".into()] } else { ours }
}
