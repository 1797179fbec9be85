//! Supervisor: its programs (supervisord.org, configuration).

use std::path::Path;

use super::{By, Order};
use crate::facts::glob;
use crate::facts::ini::Ini;
use crate::finding::Blind;
use crate::machine::Machine;
use crate::source::Sources;

/// Where programs are written: Debian, Red Hat.
const FILES: [&str; 4] = [
    "/etc/supervisor/supervisord.conf",
    "/etc/supervisor/conf.d/*.conf",
    "/etc/supervisord.conf",
    "/etc/supervisord.d/*.ini",
];

pub(super) fn look(
    machine: &dyn Machine,
    sources: &mut Sources,
    orders: &mut Vec<Order>,
    blind: &mut Vec<Blind>,
) {
    for pattern in FILES {
        let paths = match glob::expand(machine, Path::new(pattern)) {
            Ok(paths) => paths,
            Err(why) => {
                blind.push(why.into());
                continue;
            }
        };
        for path in paths {
            match sources.read(machine, &path) {
                Ok(source) => programs(&Ini::parse(&source), orders),
                Err(absent) if absent.is_absent() => {}
                Err(why) => blind.push(why.into()),
            }
        }
    }
}

fn programs(ini: &Ini, orders: &mut Vec<Order>) {
    let programs = ini.entries.iter().filter(|entry| entry.section.starts_with("program:"));
    for entry in programs.filter(|entry| matches!(entry.key.as_str(), "command" | "directory")) {
        let (key, text, at) = (entry.key.clone(), entry.value.clone(), entry.at.clone());
        orders.push(Order { by: By::Supervisor, key, text, at, lives: true });
    }
}
