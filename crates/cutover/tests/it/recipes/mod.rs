//! Recipes: each block of docs/recipes.md, run with the real program, over thousands of flips.

#![expect(clippy::disallowed_methods, reason = "tests flip as other tools do")]

mod fronts;
mod varnish;
mod workers;

use std::fs;
use std::net::TcpStream;
use std::process::Command;

use crate::web::{CUTOVER, Site};

/// The block of docs/recipes.md with this mark.
fn recipe(name: &str) -> String {
    let text = include_str!("../../../../../docs/recipes.md");
    let mark = format!("<!-- recipe: {name} -->\n```");
    let (_, rest) = text.split_once(&mark).unwrap_or_else(|| panic!("docs/recipes.md has no recipe {name}"));
    let (_, block) = rest.split_once('\n').unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

/// The probe application, served by `cutover serve`; `more` is appended to its `[serve]`.
fn served(more: &str) -> Site {
    let mut site = Site::lay(more, 1);
    serve(&mut site);
    site
}

fn serve(site: &mut Site) {
    site.run(Command::new(CUTOVER).arg("serve").arg(site.path("app")));
    answers(site, site.port);
}

fn answers(site: &Site, port: u16) {
    site.until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
}

/// Puts a server in front, by its configuration, in which `:FRONT` is its port; visitors come by it from now on.
fn behind(site: &mut Site, conf: &str, start: impl FnOnce(&Site, u16) -> Command) {
    let port = crate::port::free();
    fs::write(site.path("front.conf"), conf.replace("FRONT", &port.to_string())).unwrap();
    let mut command = start(site, port);
    site.run(&mut command);
    answers(site, port);
    site.port = port;
}
