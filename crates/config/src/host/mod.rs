//! Host: where an app runs: its place on disk, its pool, its sockets. What a release may not decide.

mod app;
mod doctor;
mod fleet;
mod hooks;
mod nginx;
mod notify;
mod php;
mod serve;
mod slots;
mod stage;
mod warm;

use std::path::{Path, PathBuf};

pub use app::{AppKeys, Layout, LinkMode};
pub use doctor::IgnoredCheck;
pub use fleet::{FleetHost, Health, Origin, SourceTree};
pub use hooks::{HookCommand, Hooks, Moment};
pub use nginx::{NginxKeys, NginxMode, PinScope};
pub use notify::{Notice, NoticeFormat, Notify, Secret};
pub use php::{Fpm, Php};
pub use serve::{AccessLog, Cgi, ErrorLog, Forward, Level, Limits, Log, LogFormat, Serve, TlsPair};
pub use stage::{Packing, StageKeys};
pub use warm::{LoggedRequests, Warm};

use crate::complaint::ConfigError;
use crate::read::Section;

/// Where an app runs and who may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The file this was read from, as it was named.
    pub file: PathBuf,
    /// `[app]`, but for the docroot, which the release says.
    pub app: AppKeys,
    /// `[source]`; `None`: releases are made elsewhere.
    pub source: Option<SourceTree>,
    /// `[stage]`.
    pub stage: StageKeys,
    /// `[php]`; `None`: no PHP.
    pub php: Option<Php>,
    /// `[serve]`.
    pub serve: Serve,
    /// `[nginx]`.
    pub nginx: NginxKeys,
    /// `[health]`; `None`: no probe.
    pub health: Option<Health>,
    /// `[warm]`.
    pub warm: Warm,
    /// `[[notify]]`.
    pub notify: Vec<Notify>,
    /// `[hooks]`.
    pub hooks: Hooks,
    /// `[[doctor.ignore]]`.
    pub ignored: Vec<IgnoredCheck>,
    /// `[[host]]`: the other ends of a fleet; empty: this machine.
    pub fleet: Vec<FleetHost>,
}

impl Host {
    /// What an app in the standard layout gets without any file: `root` with `current` in it, no PHP.
    pub fn standard(root: &Path) -> Host {
        Host {
            file: root.join("cutover.toml"),
            app: AppKeys::standard(root),
            source: None,
            stage: StageKeys::default(),
            php: None,
            serve: Serve::default(),
            nginx: NginxKeys::default(),
            health: None,
            warm: Warm::default(),
            notify: Vec::new(),
            hooks: Hooks::default(),
            ignored: Vec::new(),
            fleet: Vec::new(),
        }
    }

    pub(crate) fn read(top: &Section<'_>, file: &Path) -> Result<Host, ConfigError> {
        let base = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let host = Host {
            file: file.to_owned(),
            app: AppKeys::read(&top.section("app")?, base)?,
            source: top
                .maybe_section("source")?
                .map(|section| SourceTree::read(&section, base))
                .transpose()?,
            stage: StageKeys::read(&top.section("stage")?)?,
            php: top.maybe_section("php")?.map(|section| Php::read(&section)).transpose()?,
            serve: Serve::read(&top.section("serve")?, base)?,
            nginx: NginxKeys::read(&top.section("nginx")?)?,
            health: top.maybe_section("health")?.map(|section| Health::read(&section)).transpose()?,
            warm: Warm::read(&top.section("warm")?, base)?,
            notify: top
                .each("notify")?
                .iter()
                .map(|section| Notify::read(section, base))
                .collect::<Result<_, _>>()?,
            hooks: Hooks::read(&top.section("hooks")?)?,
            ignored: top
                .section("doctor")?
                .each("doctor.ignore")?
                .iter()
                .map(IgnoredCheck::read)
                .collect::<Result<_, _>>()?,
            fleet: top.each("host")?.iter().map(FleetHost::read).collect::<Result<_, _>>()?,
        };
        slots::check(&host, &top.section("app")?, top.maybe_section("serve")?.is_some())?;
        Ok(host)
    }
}
