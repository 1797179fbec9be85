//! Facts: all that was looked at, parsed; what a check may go by.
//!
//! Each kind of fact has a file of its own below `facts/`, asks the [`Machine`] and nothing else, and tells what it
//! could not look at as a [`Blind`] beside what it saw.

pub mod allowance;
pub mod apache;
pub mod app;
pub mod asked;
pub mod caddy;
mod discovered;
pub mod fpm;
pub mod gateways;
pub mod glob;
pub mod ini;
pub mod lighttpd;
pub mod linked;
pub mod links;
pub mod mounts;
pub mod nginx;
pub mod orders;
pub mod php;
pub mod place;
pub mod procs;
pub mod tree;
mod trial;
pub mod users;

use std::path::{Path, PathBuf};

use crate::finding::Blind;
use crate::machine::{Bounded, Machine, NoLook, Why};
use crate::source::{Source, Sources};

/// What is to be looked at. Empty: what is found on the machine.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    /// Roots of apps: directories with a link and `releases/`. Those that web servers serve are found without.
    pub apps: Vec<PathBuf>,
    /// Main configuration files of nginx.
    pub nginx: Vec<PathBuf>,
    /// Main configuration files of Apache.
    pub apache: Vec<PathBuf>,
    /// Caddyfiles, or Caddy's configuration as JSON.
    pub caddy: Vec<PathBuf>,
    /// Main configuration files of lighttpd.
    pub lighttpd: Vec<PathBuf>,
    /// Main configuration files of PHP-FPM.
    pub fpm: Vec<PathBuf>,
}

/// All that was looked at.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Every file that was read.
    pub sources: Sources,
    /// The apps.
    pub apps: Vec<app::App>,
    /// Where `cutover serve` speaks FastCGI for them.
    pub gateways: gateways::Gateways,
    /// Every nginx.
    pub nginx: Vec<nginx::Nginx>,
    /// The Apache servers.
    pub apache: Vec<apache::Apache>,
    /// Every Caddy.
    pub caddy: Vec<caddy::Caddy>,
    /// Every lighttpd.
    pub lighttpd: Vec<lighttpd::Lighttpd>,
    /// The users of the machine.
    pub users: users::Users,
    /// Whether SELinux refuses what it does not know.
    pub selinux: bool,
    /// Command lines that deploys, cron, systemd and supervisor run.
    pub orders: Vec<orders::Order>,
    /// Masters of PHP-FPM with their pools.
    pub fpm: Vec<fpm::Master>,
    /// The machine's memory: all of it, and what could be had now, in bytes.
    pub memory: Option<(u64, u64)>,
    /// PHP in Apache, if it is loaded there.
    pub mod_php: Vec<php::Php>,
    /// What could not be looked at, whichever check may have wanted it.
    pub blind: Vec<Blind>,
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look<T> {
    /// It was seen.
    Seen(T),
    /// It is not on this machine.
    Absent,
    /// It could not be looked at.
    Blind(Blind),
}

impl Targets {
    /// Whether servers are searched for: none was named.
    pub fn searches(&self) -> bool {
        [&self.nginx, &self.apache, &self.caddy, &self.lighttpd, &self.fpm]
            .iter()
            .all(|files| files.is_empty())
    }
}

impl Facts {
    /// Looks at a machine; no more of it than is sensible.
    pub fn look(machine: &dyn Machine, targets: &Targets) -> Facts {
        let machine = &Bounded::of(machine);
        let mut facts = Facts::default();
        facts.apps =
            targets.apps.iter().map(|root| app::App::look(machine, &mut facts.sources, root, None)).collect();
        nginx::look(machine, targets, &mut facts);
        apache::look(machine, targets, &mut facts);
        caddy::look(machine, targets, &mut facts);
        lighttpd::look(machine, targets, &mut facts);
        facts.discover_apps(machine);
        facts.look_around_apps(machine, targets);
        facts.look_at_php(machine, targets);
        facts
    }

    fn look_around_apps(&mut self, machine: &dyn Machine, targets: &Targets) {
        self.blind.extend(self.apps.iter().flat_map(|app| app.blind.clone()));
        self.gateways = gateways::Gateways::of(&self.apps);
        self.nginx.iter_mut().for_each(|nginx| nginx.gateways = self.gateways.clone());
        self.users = users::Users::look(machine);
        self.selinux =
            machine.read(Path::new("/sys/fs/selinux/enforce")).is_ok_and(|text| text.starts_with(b"1"));
        let system = targets.searches();
        let (orders, blind) = orders::look(machine, &mut self.sources, &self.apps, system);
        self.orders = orders;
        self.blind.extend(blind);
    }

    fn look_at_php(&mut self, machine: &dyn Machine, targets: &Targets) {
        let (fpm, blind) = fpm::look(machine, &mut self.sources, &targets.fpm, targets.searches());
        self.blind.extend(blind);
        self.fpm = fpm;
        self.memory = procs::machine_memory(machine);
        self.mod_php = php::in_apache(machine, &mut self.sources, &self.apache);
        for master in &self.fpm {
            self.blind.extend(master.blind.iter().chain(&master.php.blind).cloned());
            self.blind.extend(master.pools.iter().filter_map(|pool| pool.php.blind()));
        }
    }

    /// All pools, each with its master.
    pub fn pools(&self) -> impl Iterator<Item = (&fpm::Master, &fpm::Pool)> {
        self.fpm.iter().flat_map(|master| master.pools.iter().map(move |pool| (master, pool)))
    }

    /// The pools that serve an app: those that its cutover.toml names, that have run it, or that are given its link; else the
    /// only one that there is.
    pub fn pools_of<'f>(&'f self, app: &'f app::App) -> Vec<(&'f fpm::Master, &'f fpm::Pool)> {
        let php = app.ours.as_ref().and_then(|ours| ours.config.host.php.as_ref());
        let named = |pool: &fpm::Pool| match php.map(|php| &php.fpm) {
            Some(config::host::Fpm::At(addresses)) => pool
                .listen
                .as_ref()
                .is_some_and(|own| addresses.iter().any(|address| address.to_string() == own.to_string())),
            Some(config::host::Fpm::Embedded) | None => false,
        };
        let ran = |pool: &fpm::Pool| {
            let homes = pool.php.opcache().into_iter().flat_map(|opcache| opcache.shares.keys());
            homes.map(Path::new).any(|home| app.is_in_releases(home))
        };
        let given =
            |pool: &fpm::Pool| self.linked(&pool.php).is_some_and(|linked| linked.link == app.current.path);
        let all: Vec<_> = self.pools().collect();
        let sure: Vec<_> =
            all.iter().copied().filter(|(_, pool)| named(pool) || ran(pool) || given(pool)).collect();
        if sure.is_empty() && all.len() == 1 { all } else { sure }
    }

    /// Every PHP that serves requests.
    pub fn phps(&self) -> impl Iterator<Item = &php::Php> {
        self.pools().map(|(_, pool)| &pool.php).chain(&self.mod_php)
    }
}

impl Sources {
    /// Reads a file as text, and keeps it.
    pub fn read(&mut self, machine: &dyn Machine, path: &Path) -> Result<Source, NoLook> {
        let bytes = machine.read(path)?;
        if !self.has_room_for(bytes.len()) {
            return Err(NoLook::at(path, Why::TooMuch));
        }
        let text = String::from_utf8(bytes).map_err(|_| NoLook::at(path, Why::NotText))?;
        let source = Source::new(path, text);
        self.add(source.clone());
        Ok(source)
    }
}
