//! apache: prints or writes the virtual host that makes Apache serve each request from one release.

mod front;
mod own;
mod quote;
mod text;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use config::host::Layout;
use serde_json::json;

use self::text::Apache;
use crate::answer::{Answer, Failure};
use crate::opened::Opened;
use crate::webserver::{Kind, WebServer};

/// The flags of `cutover apache`.
#[derive(Debug, Clone, Args)]
pub struct ApacheFlags {
    /// Who pins: `cutover serve` behind a stock Apache, or mod_cutover within it
    #[arg(long, value_enum, default_value = "serve")]
    with: With,
    /// What Apache listens on, as `*:80`; by default that, and with certificates `*:443`
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// Write it there, let Apache test it, and reload it gracefully if it changed; what it refuses is put back
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// With --write: how Apache is called here
    #[arg(long, value_name = "COMMAND", default_value = "apache2ctl", requires = "write")]
    apache: String,
}

/// Who pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum With {
    /// Apache hands everything to `cutover serve`: by FastCGI where serve.listen has such an address, else by HTTP
    Serve,
    /// Apache serves by itself, with mod_cutover
    Module,
}

pub fn run(opened: &Opened, flags: &ApacheFlags) -> Result<Answer, Failure> {
    if flags.with == With::Module && opened.config.host.app.layout == Layout::Slots {
        let what = "app.layout = \"slots\" is for what `cutover serve` serves: it sees who still uses a slot";
        return Err(Failure::usage(what)
            .still("nothing was written")
            .next("use layout = \"releases\", or --with serve"));
    }
    let apache = Apache {
        config: &opened.config,
        link: opened.app.link(),
        maintenance: &opened.app.maintenance(),
        listen: &flags.listen,
    };
    let written = match flags.with {
        With::Serve => apache.front(),
        With::Module => apache.own(),
    };
    let written = written.map_err(|why| {
        Failure::usage(why)
            .still("nothing was written")
            .next("change it in cutover.toml, or use `cutover serve`")
    })?;
    let text = written.whole(&opened.config.host.app.name);
    match &flags.write {
        None => Ok(Answer::new(text.trim_end(), json!({ "text": text, "left_out": written.left_out }))),
        Some(file) => {
            let server = WebServer { kind: Kind::Apache, command: &flags.apache };
            server.place(file, &text, false, &written.left_out)
        }
    }
}
