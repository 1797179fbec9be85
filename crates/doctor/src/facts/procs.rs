//! Procs: the processes of the machine, by their command lines.

use std::path::{Path, PathBuf};

use crate::machine::{Machine, NoLook};

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proc {
    /// Its id.
    pub pid: u32,
    /// Its command line, its arguments joined by blanks; a daemon may have put its title there.
    pub line: String,
}

/// What a process keeps in memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// All that is in memory for it, what it shares counted in full.
    pub rss: u64,
    /// What it shares divided among those that share it; `None`: it may not be read.
    pub pss: Option<u64>,
}

/// All processes whose command line may be read.
pub fn all(machine: &dyn Machine) -> Vec<Proc> {
    let names = machine.entries(Path::new("/proc")).unwrap_or_default();
    let pids = names.iter().filter_map(|name| name.to_str()?.parse::<u32>().ok());
    // A process that ended meanwhile is none.
    pids.filter_map(|pid| Some(Proc { pid, line: line(machine, pid).ok()? })).collect()
}

fn line(machine: &dyn Machine, pid: u32) -> Result<String, NoLook> {
    let bytes = machine.read(&dir(pid).join("cmdline"))?;
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    Ok(text.trim().to_owned())
}

/// What a process keeps in memory.
pub fn memory(machine: &dyn Machine, pid: u32) -> Option<Memory> {
    let statm = text(machine, &dir(pid).join("statm"))?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    let rollup = text(machine, &dir(pid).join("smaps_rollup"));
    let pss = rollup.and_then(|text| kilobytes(&text, "Pss:"));
    // Linux counts here in pages of 4 KiB wherever PHP is usually run.
    Some(Memory { rss: pages << 12, pss })
}

/// The machine's memory: all of it, and what could be had now, in bytes.
pub fn machine_memory(machine: &dyn Machine) -> Option<(u64, u64)> {
    let text = text(machine, Path::new("/proc/meminfo"))?;
    Some((kilobytes(&text, "MemTotal:")?, kilobytes(&text, "MemAvailable:")?))
}

/// Whether a process sees other file systems than this one (namespaces(7)); `None`: that may not be read.
pub fn is_apart(machine: &dyn Machine, pid: u32) -> Option<bool> {
    let there = machine.link(&dir(pid).join("ns/mnt")).ok()?;
    let here = machine.link(Path::new("/proc/self/ns/mnt")).ok()?;
    Some(there != here)
}

/// `/proc/PID`.
pub fn dir(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

fn text(machine: &dyn Machine, path: &Path) -> Option<String> {
    machine.read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb << 10)
}
