//! Who is still on which release: requests, PHP workers, processes, and since when.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use deploy::used::{self, User, Work};
use release::{Live, ReleaseId};
use serde_json::{Value, json};
use serve::control::{SiteStatus, Status};

use crate::opened::Opened;
use crate::pools::workers;
use crate::when;

/// Who uses one release.
#[derive(Debug, Default, PartialEq)]
struct Users {
    /// Requests that the server has in flight on it, and for how long it has had it pinned.
    requests: Option<(i64, Duration)>,
    workers: Vec<Work>,
    processes: Vec<User>,
}

/// Who is on which release, told.
pub struct Told {
    /// For people.
    pub lines: Vec<String>,
    /// For programs.
    pub json: Value,
}

/// Asks the server, the pools and the kernel.
pub fn users(opened: &Opened, live: &Live, server: Option<&Status>) -> Told {
    let name = &opened.config.host.app.name;
    let site = server.and_then(|server| server.sites.iter().find(|site| site.name == *name));
    let beside = live.dir.parent().unwrap_or(&live.dir);
    let mut problems = Vec::new();
    let mut at_work = Vec::new();
    for pool in workers(opened, site.map_or(&[], |site| &site.masters)) {
        match used::at_work(beside, &pool) {
            Ok(found) => at_work.extend(found),
            Err(why) => problems.push(format!("  users    what PHP workers do could not be asked: {why}")),
        }
    }
    // The server holds what it has pinned, which is told already; a worker may be seen with its release open.
    let told = |pid: u32| {
        server.is_some_and(|server| server.pid == pid) || at_work.iter().any(|work| work.pid == pid)
    };
    let processes = used::processes(beside).into_iter().filter(|user| !told(user.pid)).collect();
    let users = by_release(site, at_work, processes, &slots(opened));
    let mut lines: Vec<String> = users
        .iter()
        .filter_map(|(release, users)| Some(format!("  users    {release}: {}", sentence(users)?)))
        .collect();
    lines.extend(problems);
    Told { lines, json: users.iter().map(|(release, users)| object(release, users)).collect() }
}

/// The release that each slot bears; none where there are no slots.
fn slots(opened: &Opened) -> HashMap<String, String> {
    let Ok(releases) = std::fs::read_dir(opened.app.releases()) else { return HashMap::new() };
    let borne = releases.flatten().filter_map(|release| {
        let slot = std::fs::read_link(release.path()).ok()?;
        Some((slot.file_name()?.to_str()?.to_owned(), release.file_name().into_string().ok()?))
    });
    borne.collect()
}

fn by_release(
    site: Option<&SiteStatus>,
    workers: Vec<Work>,
    processes: Vec<User>,
    slots: &HashMap<String, String>,
) -> BTreeMap<String, Users> {
    // What runs in a slot is seen by the slot's name.
    let named = |id: &ReleaseId| slots.get(id.as_str()).cloned().unwrap_or_else(|| id.to_string());
    let mut users: BTreeMap<String, Users> = BTreeMap::new();
    for pinned in site.map(|site| &site.pinned).into_iter().flatten() {
        let since = Duration::from_secs(pinned.seconds);
        users.entry(pinned.release.clone()).or_default().requests = Some((pinned.in_flight, since));
    }
    for work in workers {
        if let Some(id) = &work.release {
            users.entry(named(id)).or_default().workers.push(work);
        }
    }
    for user in processes {
        users.entry(named(&user.release)).or_default().processes.push(user);
    }
    users
}

/// `2 requests in flight, pinned for 3 minutes; worker 12 runs /index.php for 4 s; process 99 (php)`.
fn sentence(users: &Users) -> Option<String> {
    let mut parts = Vec::new();
    if let Some((in_flight, since)) = users.requests {
        let requests = if in_flight == 1 { "1 request".into() } else { format!("{in_flight} requests") };
        parts.push(format!("{requests} in flight, pinned for {}", when::length(since)));
    }
    parts.extend(users.workers.iter().map(|work| {
        let (pid, script, since) = (work.pid, &work.script, when::took(work.since));
        format!("worker {pid} ({}) has run {script} for {since}", work.state.to_lowercase())
    }));
    parts.extend(users.processes.iter().map(|user| format!("process {} ({})", user.pid, user.command)));
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn object(release: &str, users: &Users) -> Value {
    let worker = |work: &Work| json!({ "pid": work.pid, "state": work.state, "script": work.script, "seconds": work.since.as_secs_f64() });
    let process = |user: &User| json!({ "pid": user.pid, "command": user.command });
    json!({
        "release": release,
        "in_flight": users.requests.map(|(in_flight, _)| in_flight),
        "pinned_seconds": users.requests.map(|(_, since)| since.as_secs()),
        "workers": users.workers.iter().map(worker).collect::<Vec<_>>(),
        "processes": users.processes.iter().map(process).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_on_a_release_is_told_in_one_sentence() {
        let release = ReleaseId::parse("r1").unwrap();
        let work = Work {
            pid: 12,
            state: "Running".into(),
            release: Some(release.clone()),
            script: "/srv/r1/a.php".into(),
            since: Duration::from_millis(4_200),
        };
        let user = User { pid: 99, command: "php".into(), release };
        let users = by_release(None, vec![work], vec![user], &HashMap::new());
        assert_eq!(
            sentence(&users["r1"]).unwrap(),
            "worker 12 (running) has run /srv/r1/a.php for 4.2 s; process 99 (php)"
        );
        let in_slot = User { pid: 7, command: "php".into(), release: ReleaseId::parse("a").unwrap() };
        let slots = HashMap::from([("a".to_owned(), "r9".to_owned())]);
        assert!(by_release(None, Vec::new(), vec![in_slot], &slots).contains_key("r9"));
        let idle = Users { requests: Some((1, Duration::from_secs(180))), ..Users::default() };
        assert_eq!(sentence(&idle).unwrap(), "1 request in flight, pinned for 3 minutes");
        assert_eq!(sentence(&Users::default()), None);
    }
}
