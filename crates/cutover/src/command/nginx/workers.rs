//! Workers: the processes of the nginx that run here, and which of them still take connections.
//!
//! A worker that was asked to finish says so in its title, and takes no connection from then on: between the two
//! nginx handles no events (ngx_worker_process_cycle in src/os/unix/ngx_process_cycle.c). Titles can be read by anybody.

use std::collections::BTreeMap;
use std::path::Path;

/// The title of a worker that takes connections.
const AT_WORK: &str = "nginx: worker process";

/// The masters that run here, each with its workers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workers(BTreeMap<u32, Vec<Worker>>);

/// A worker.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Worker {
    pid: u32,
    /// When it was started, in ticks since boot: process ids come again.
    began: u64,
    takes: bool,
}

impl Workers {
    /// Those of this master; of all masters, if it is `None` or none that can be seen.
    pub fn look(master: Option<u32>) -> Workers {
        let Ok(entries) = std::fs::read_dir("/proc") else { return Workers::default() };
        let mut masters = BTreeMap::new();
        let mut found = Vec::new();
        for pid in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
            let title = title(pid);
            if title.starts_with("nginx: master process") {
                masters.insert(pid, Vec::new());
            } else if title.starts_with(AT_WORK)
                && let Some((parent, began)) = parent(pid)
            {
                found.push((parent, Worker { pid, began, takes: title == AT_WORK }));
            }
        }
        if let Some(only) = master.filter(|pid| masters.contains_key(pid)) {
            masters.retain(|pid, _| *pid == only);
        }
        for (parent, worker) in found {
            if let Some(workers) = masters.get_mut(&parent) {
                workers.push(worker);
            }
        }
        Workers(masters)
    }

    /// Whether there is no master.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether, of one of these masters, new workers are at work and none of those it had `before` takes connections.
    pub fn took_over(&self, before: &Workers) -> bool {
        self.0.iter().any(|(master, workers)| {
            let Some(old) = before.0.get(master) else { return false };
            let is_old = |worker: &Worker| {
                old.iter().any(|other| (other.pid, other.began) == (worker.pid, worker.began))
            };
            let at_work = workers.iter().filter(|worker| worker.takes);
            at_work.clone().next().is_some() && at_work.into_iter().all(|worker| !is_old(worker))
        })
    }
}

/// What a process calls itself; empty: it is gone.
fn title(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_end_matches(['\0', ' ']).to_owned()
}

/// The parent of a process, and when it was started (proc(5): fields 4 and 22; the name before them may hold anything).
fn parent(pid: u32) -> Option<(u32, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    Some((parent, fields.nth(17)?.parse().ok()?))
}

/// The master that this configuration (the output of `nginx -T`) is run by, as its pid file says.
pub fn master(printed: &str) -> Option<u32> {
    let named = |line: &str| {
        let path = line.trim().strip_prefix("pid")?.trim_start().strip_suffix(';')?;
        path.starts_with(['/', '"', '\'']).then(|| path.trim_matches(['"', '\'']).to_owned())
    };
    let path = printed.lines().find_map(named)?;
    std::fs::read_to_string(Path::new(&path)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(of: &[(u32, &[(u32, bool)])]) -> Workers {
        let worker = |(pid, takes): &(u32, bool)| Worker { pid: *pid, began: 1, takes: *takes };
        Workers(of.iter().map(|(master, all)| (*master, all.iter().map(worker).collect())).collect())
    }

    #[test]
    fn new_workers_have_taken_over_when_no_old_one_takes_connections() {
        let before = workers(&[(1, &[(2, true), (3, true), (4, false)]), (9, &[(10, true)])]);
        let now = |of: &[(u32, &[(u32, bool)])]| workers(of).took_over(&before);
        assert!(!now(&[(1, &[(2, true), (3, true)]), (9, &[(10, true)])]));
        assert!(!now(&[(1, &[(2, false), (3, true), (5, true)])]));
        assert!(!now(&[(1, &[(2, false), (3, false)])]), "no new one yet");
        assert!(now(&[(1, &[(2, false), (5, true), (6, true)]), (9, &[(10, true)])]));
        assert!(now(&[(9, &[(11, true)])]));
        assert!(
            !now(&[(20, &[(21, true)])]),
            "a master that was not there before is not the one that was told"
        );
    }

    #[test]
    fn the_pid_file_is_found_in_what_nginx_prints() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("nginx.pid");
        std::fs::write(&file, "4711\n").unwrap();
        let printed =
            format!("# configuration file /etc/nginx/nginx.conf:\nuser www-data;\npid {};\n", file.display());
        assert_eq!(master(&printed), Some(4711));
        assert_eq!(master("pid /nowhere/nginx.pid;\n"), None);
        assert_eq!(master("pidfile x;\n"), None);
    }
}
