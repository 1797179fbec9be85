//! Used: who works in a release without holding a lease on it: processes by /proc, PHP workers by their pool's status.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fastcgi::blocking::{self, Limits};
use fastcgi::{Address, Params};
use release::ReleaseId;
use serde::Deserialize;

/// Where a pool tells what its workers do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workers {
    /// Its address, or that of `pm.status_listen`.
    pub at: Address,
    /// Its `pm.status_path`.
    pub path: String,
    /// Prefixes of our paths, and what the pool has in their place.
    pub map: Vec<(PathBuf, PathBuf)>,
}

/// For each release below `releases` (canonical) that is in use, by whom: `process 123 (php)`.
pub fn by_process(releases: &Path) -> HashMap<ReleaseId, String> {
    let mut used = HashMap::new();
    let Ok(processes) = std::fs::read_dir("/proc") else { return used };
    let own = std::process::id().to_string();
    for process in processes.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().filter(|name| name.bytes().all(|b| b.is_ascii_digit())) else {
            continue;
        };
        if pid == own {
            continue;
        }
        let dir = process.path();
        let mut note = |path: &Path| {
            if let Some(id) = release_of(releases, path)
                && !used.contains_key(&id)
            {
                let command = std::fs::read_to_string(dir.join("comm")).unwrap_or_default();
                used.insert(id, format!("process {pid} ({})", command.trim()));
            }
        };
        for link in ["cwd", "root", "exe"] {
            // What this user may not see, or what ended meanwhile, says nothing.
            if let Ok(path) = std::fs::read_link(dir.join(link)) {
                note(&path);
            }
        }
        for entry in std::fs::read_dir(dir.join("fd")).into_iter().flatten().flatten() {
            if let Ok(path) = std::fs::read_link(entry.path()) {
                note(&path);
            }
        }
        let maps = std::fs::read(dir.join("maps")).unwrap_or_default();
        for line in maps.split(|byte| *byte == b'\n') {
            if let Some(at) = line.iter().position(|byte| *byte == b'/') {
                note(Path::new(std::ffi::OsStr::from_bytes(line.get(at..).unwrap_or_default())));
            }
        }
    }
    used
}

/// For each release that a worker of the pool runs at this moment, which. An error is what to tell people.
pub fn by_worker(releases: &Path, workers: &Workers) -> Result<HashMap<ReleaseId, String>, String> {
    let mut params = Params::new();
    params
        .push(b"SCRIPT_FILENAME", workers.path.as_bytes())
        .push(b"SCRIPT_NAME", workers.path.as_bytes())
        .push(b"REQUEST_URI", workers.path.as_bytes())
        .push(b"QUERY_STRING", b"json&full")
        .push(b"REQUEST_METHOD", b"GET")
        .push(b"SERVER_PROTOCOL", b"HTTP/1.1")
        .push(b"GATEWAY_INTERFACE", b"CGI/1.1");
    let limits = Limits { total: Duration::from_secs(5), ..Limits::default() };
    let at = &workers.at;
    let answer = blocking::send(at, &params, b"", limits).map_err(|error| format!("{at}: {error}"))?;
    let status: Status = serde_json::from_slice(&answer.body)
        .map_err(|_| format!("{at} has no status at {} (its pm.status_path)", workers.path))?;
    let mut used = HashMap::new();
    for process in status.processes {
        // An idle worker still names what it ran last.
        if process.state == "Idle" {
            continue;
        }
        let script = PathBuf::from(&process.script);
        let back =
            workers.map.iter().find_map(|(here, there)| Some(here.join(script.strip_prefix(there).ok()?)));
        if let Some(id) = release_of(releases, back.as_deref().unwrap_or(&script)) {
            used.insert(id, format!("worker {} of {at}", process.pid));
        }
    }
    Ok(used)
}

#[derive(Deserialize)]
struct Status {
    processes: Vec<Process>,
}

#[derive(Deserialize)]
struct Process {
    pid: u64,
    state: String,
    script: String,
}

fn release_of(releases: &Path, path: &Path) -> Option<ReleaseId> {
    let name = path.strip_prefix(releases).ok()?.components().next()?;
    // The kernel says so of a directory that is gone.
    let name = name.as_os_str().to_str()?;
    ReleaseId::parse(name.strip_suffix(" (deleted)").unwrap_or(name)).ok()
}
