//! systemd: the units that this machine's people wrote (systemd.service(5)); those of packages name no app.

use std::path::Path;

use super::{By, Order};
use crate::facts::glob;
use crate::facts::ini::Ini;
use crate::finding::Blind;
use crate::machine::{Kind, Machine};
use crate::source::Sources;

/// Where units are written by hand, or by tools of deploys.
const UNITS: [&str; 3] = [
    "/etc/systemd/system/*.service",
    "/etc/systemd/system/*.service.d/*.conf",
    "/run/systemd/system/*.service",
];

/// What names a command or a directory.
const KEYS: [&str; 8] = [
    "WorkingDirectory",
    "RootDirectory",
    "ExecStart",
    "ExecStartPre",
    "ExecStartPost",
    "ExecReload",
    "ExecStop",
    "BindPaths",
];

pub(super) fn look(
    machine: &dyn Machine,
    sources: &mut Sources,
    orders: &mut Vec<Order>,
    blind: &mut Vec<Blind>,
) {
    for pattern in UNITS {
        let paths = match glob::expand(machine, Path::new(pattern)) {
            Ok(paths) => paths,
            Err(why) => {
                blind.push(why.into());
                continue;
            }
        };
        for path in paths {
            // Links are units of packages that are enabled, or masked ones.
            if !machine.stat(&path).is_ok_and(|stat| stat.kind == Kind::File) {
                continue;
            }
            match sources.read(machine, &path) {
                Ok(source) => unit(&Ini::parse(&source), orders),
                Err(why) => blind.push(why.into()),
            }
        }
    }
}

fn unit(ini: &Ini, orders: &mut Vec<Order>) {
    let short = ini.entries.iter().any(|entry| entry.key == "Type" && entry.value == "oneshot");
    for entry in ini.entries.iter().filter(|entry| KEYS.contains(&entry.key.as_str())) {
        let lives = !short
            && matches!(entry.key.as_str(), "ExecStart" | "WorkingDirectory" | "RootDirectory" | "BindPaths");
        let (key, text, at) = (entry.key.clone(), entry.value.clone(), entry.at.clone());
        orders.push(Order { by: By::Systemd, key, text, at, lives });
    }
}
