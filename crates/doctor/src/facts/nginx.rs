//! nginx: its configuration as it sees it: includes in their places, inheritance, variables, and where roots lead.
//!
//! ```text
//!   masters in /proc, --nginx, /etc/nginx ──> load (lex, parse, includes) ──> levels ──> lead, pass: what checks ask
//! ```

pub mod lead;
pub mod level;
pub mod lex;
mod load;
mod look;
pub mod parse;
pub mod pass;
pub mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::look::look;

use self::level::{Id, Kind, Level, Levels};
use self::parse::Directive;
use super::gateways::Gateways;
use super::links::Way;
use crate::finding::{Blind, Finding};
use crate::machine::Program;

/// One nginx: a main file and all it leads to.
#[derive(Debug, Clone, Default)]
pub struct Nginx {
    /// Its main file.
    pub conf: PathBuf,
    /// What relative roots are relative to.
    pub prefix: PathBuf,
    /// `-p`, if it was started so.
    pub started_with: Option<PathBuf>,
    /// Its version, if it was told.
    pub version: Option<Version>,
    /// The master that runs with this file.
    pub master: Option<Master>,
    /// Its blocks.
    pub levels: Levels,
    /// Every file that was read, and by how many places it is included.
    pub files: BTreeMap<Arc<Path>, usize>,
    /// Its maps, by the name of their variable.
    pub maps: BTreeMap<String, Directive>,
    /// Its upstreams, by name.
    pub upstreams: BTreeMap<String, Directive>,
    /// How the paths in it lead.
    pub ways: BTreeMap<PathBuf, Way>,
    /// Where `cutover serve` speaks FastCGI.
    pub gateways: Gateways,
    /// What of it could not be read: a finding may hold, or not, by what stands there.
    pub blind: Vec<Blind>,
}

/// A version of nginx.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

/// A running master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Master {
    /// Its process.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// It sees other file systems than we do.
    pub apart: bool,
}

/// Files that come with nginx: what a site needs does not belong there.
const PACKAGED: [&str; 6] = [
    "/etc/nginx/fastcgi.conf",
    "/etc/nginx/fastcgi_params",
    "/etc/nginx/fastcgi_params.default",
    "/etc/nginx/fastcgi.conf.default",
    "/etc/nginx/snippets/fastcgi-php.conf",
    "/etc/nginx/nginx.conf.default",
];

impl Nginx {
    /// What nginx itself thinks of its files (`nginx -t`).
    pub fn trial(&self) -> Program {
        let mut switches = vec!["-t".into(), "-q".into(), "-c".into(), self.conf.clone().into_os_string()];
        if let Some(prefix) = &self.started_with {
            switches.extend(["-p".into(), prefix.clone().into_os_string()]);
        }
        Program { file: "nginx".into(), switches }
    }

    /// The levels that hand requests to PHP-FPM by FastCGI; `cutover serve` takes what it is told for what it means.
    pub fn fastcgi(&self) -> impl Iterator<Item = &Level> {
        let ours = |level: &Level| {
            let passes = self.passes(level.id);
            !passes.is_empty() && passes.iter().all(|pass| self.gateways.named_in(&pass.to_string()))
        };
        self.levels.all().filter(move |level| level.last("fastcgi_pass").is_some() && !ours(level))
    }

    /// The servers.
    pub fn servers(&self) -> impl Iterator<Item = &Level> {
        self.levels.of_kind(Kind::Server)
    }

    /// The levels of a server at which nginx looks for files itself. The server's own only if requests may end there.
    pub fn serving(&self, server: Id) -> impl Iterator<Item = &Level> {
        let mut within = self.levels.within(server);
        let caught = within.any(|level| {
            level.kind == Kind::Location
                && level.up == Some(server)
                && matches!(&*level.block.args, [all] if &*all.text == "/")
        });
        self.levels.within(server).filter(move |level| {
            let handed = ["proxy_pass", "return", "uwsgi_pass", "grpc_pass", "scgi_pass"];
            let handed = handed.iter().any(|name| level.last(name).is_some());
            let handed = handed || level.last("fastcgi_pass").is_some() && level.last("try_files").is_none();
            let conditional = level.kind == Kind::If && level.last("root").is_none();
            !handed && !conditional && (level.id != server || !caught)
        })
    }

    /// The parameter of this name that PHP-FPM sees: of several the last.
    pub fn param(&self, id: Id, name: &str) -> Option<&Directive> {
        let (_, params) = self.levels.list(id, "fastcgi_param");
        params.into_iter().rev().find(|param| param.arg(0) == name)
    }

    /// A finding, as sure as it can be: by a link that was seen, in a configuration of which nothing is missing.
    pub fn as_sure(&self, finding: Finding, seen: bool) -> Finding {
        if seen && self.blind.is_empty() { finding } else { finding.likely() }
    }

    /// Whether a file may be changed for the sake of one place in it: it is nobody else's.
    pub fn owned(&self, file: &Path) -> bool {
        self.files.get(file).is_some_and(|times| *times == 1)
            && !PACKAGED.iter().any(|is| file == Path::new(is))
    }
}

impl Version {
    /// From `nginx version: nginx/1.22.1 (Ubuntu)`.
    pub fn parse(text: &str) -> Option<Version> {
        let (_, version) = text.split_once("nginx/")?;
        let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
        let mut numbers = version[..end].split('.').map(|number| number.parse().ok());
        Some(Version(numbers.next()??, numbers.next()??, numbers.next().unwrap_or(Some(0))?))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}
