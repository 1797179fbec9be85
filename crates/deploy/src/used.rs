//! Used: who works in a release without holding a lease on it: processes by /proc, PHP workers by their pool's status.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

/// A process that has a release open, works in it, or runs from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The process.
    pub pid: u32,
    /// Its name.
    pub command: String,
    /// The release.
    pub release: ReleaseId,
}

/// A PHP worker that is at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// The worker.
    pub pid: u32,
    /// What php-fpm says it is doing, such as `Running`.
    pub state: String,
    /// The release whose script it runs; `None`: it is not said yet, or it is none of the app's.
    pub release: Option<ReleaseId>,
    /// The script, as the pool sees it; empty: not said yet.
    pub script: String,
    /// For how long it has been at it.
    pub since: Duration,
}

/// A worker that reads the head of a request for longer than this has none: somebody keeps a connection to it. Web
/// servers write that head at once.
const KEPT: Duration = Duration::from_secs(2);
/// Between two looks at workers that do not say yet what they run.
const AGAIN: Duration = Duration::from_millis(50);

/// For each release below `releases` (canonical) that a process is in, by whom: `process 123 (php)`.
pub fn by_process(releases: &Path) -> HashMap<ReleaseId, String> {
    let named = |user: User| (user.release, format!("process {} ({})", user.pid, user.command));
    processes(releases).into_iter().map(named).collect()
}

/// The processes that are in a release below `releases` (canonical), other than this one.
pub fn processes(releases: &Path) -> Vec<User> {
    let mut users: Vec<User> = Vec::new();
    let Ok(processes) = std::fs::read_dir("/proc") else { return users };
    for process in processes.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        if pid == std::process::id() {
            continue;
        }
        let dir = process.path();
        let mut found: Vec<ReleaseId> = Vec::new();
        let mut note = |path: &Path| {
            found.extend(release_of(releases, path).filter(|id| !found.contains(id)));
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
        if !found.is_empty() {
            let command = std::fs::read_to_string(dir.join("comm")).unwrap_or_default();
            let command = command.trim().to_owned();
            users.extend(found.into_iter().map(|release| User { pid, command: command.clone(), release }));
        }
    }
    users
}

/// For each release that a worker of the pool runs at this moment, which. An error is what to tell people.
///
/// A worker that reads the head of a request runs something of which it does not say yet what: it is looked at again
/// until it does, for two seconds at most.
pub fn by_worker(releases: &Path, workers: &Workers) -> Result<HashMap<ReleaseId, String>, String> {
    let mut used = HashMap::new();
    let mut note = |work: &Work| {
        if let Some(id) = &work.release {
            used.insert(id.clone(), format!("worker {} of {}", work.pid, workers.at));
        }
    };
    let first = at_work(releases, workers)?;
    first.iter().for_each(&mut note);
    let mut unsaid: Vec<u32> = first.iter().filter(|work| work.is_unsaid()).map(|work| work.pid).collect();
    let until = Instant::now() + KEPT + AGAIN;
    while !unsaid.is_empty() && Instant::now() < until {
        std::thread::sleep(AGAIN);
        let now = at_work(releases, workers)?;
        let known = now.iter().filter(|work| unsaid.contains(&work.pid) && !work.is_unsaid());
        known.for_each(&mut note);
        // One that is idle again has run it to its end. What began since runs what is live now.
        unsaid.retain(|pid| now.iter().any(|work| work.pid == *pid && work.is_unsaid()));
    }
    Ok(used)
}

/// The workers of the pool that are at work: all that are not idle. An error is what to tell people.
pub fn at_work(releases: &Path, workers: &Workers) -> Result<Vec<Work>, String> {
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
    // An idle worker still names what it ran last; one that was started this moment is not idle yet, and has had no
    // request; the one that answers this names the status page.
    let at_work =
        status.processes.into_iter().filter(|process| process.state != "Idle" && process.requests > 0);
    let works = at_work.map(|process| {
        let since = process.since();
        let script = PathBuf::from(&process.script);
        let back =
            workers.map.iter().find_map(|(here, there)| Some(here.join(script.strip_prefix(there).ok()?)));
        Work {
            pid: process.pid,
            state: process.state,
            release: release_of(releases, back.as_deref().unwrap_or(&script)),
            since,
            script: process.script,
        }
    });
    Ok(works.filter(|work| work.script != workers.path).collect())
}

impl Work {
    /// It has a request, and does not say yet which script that is for.
    fn is_unsaid(&self) -> bool {
        self.script.is_empty() && self.since < KEPT
    }
}

#[derive(Deserialize)]
struct Status {
    processes: Vec<Process>,
}

#[derive(Deserialize)]
struct Process {
    pid: u32,
    state: String,
    requests: u64,
    script: String,
    #[serde(rename = "request duration")]
    duration: i128,
}

impl Process {
    /// php-fpm prints it without a sign: one that is less than nothing, when its request began after the page had taken
    /// the time, comes as nearly 2^64.
    fn since(&self) -> Duration {
        let micros = i64::try_from(self.duration).ok().and_then(|micros| u64::try_from(micros).ok());
        Duration::from_micros(micros.unwrap_or(0))
    }
}

fn release_of(releases: &Path, path: &Path) -> Option<ReleaseId> {
    let name = path.strip_prefix(releases).ok()?.components().next()?;
    // The kernel says so of a directory that is gone.
    let name = name.as_os_str().to_str()?;
    ReleaseId::parse(name.strip_suffix(" (deleted)").unwrap_or(name)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_php_fpm_counted_backwards_is_none() {
        let page = r#"{"processes":[
            {"pid":7,"state":"Running","requests":1,"request duration":18446744073709551000,"script":"/a.php"},
            {"pid":8,"state":"Running","requests":1,"request duration":-3,"script":"/b.php"},
            {"pid":9,"state":"Running","requests":1,"request duration":1500,"script":"/c.php"}]}"#;
        let status: Status = serde_json::from_str(page).unwrap();
        let since: Vec<_> = status.processes.iter().map(Process::since).collect();
        assert_eq!(since, [Duration::ZERO, Duration::ZERO, Duration::from_micros(1500)]);
    }
}
