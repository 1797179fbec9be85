//! nginx: each bad fixture as the configuration of a real one, what fixes make of it, and Debian's own.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use doctor::machine::Here;
use doctor::patch::patches;
use doctor::{Check, Facts, Report, Targets, checks};

const NGINX: &str = "/usr/sbin/nginx";

/// A fixture's tree with its paths moved below a temporary directory.
struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn of(check: &Check, kind: &str) -> Site {
        let site = Site { dir: tempfile::tempdir().unwrap() };
        fs::set_permissions(site.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(check.id).join(kind);
        site.copied(&fixture.join("root"), site.dir.path());
        fs::create_dir_all(site.path("var/cache/nginx")).unwrap();
        fs::create_dir_all(site.path("run/php")).unwrap();
        site
    }

    #[allow(clippy::disallowed_methods, reason = "no flip: there was no link before")]
    fn copied(&self, from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let (path, here) = (entry.path(), to.join(entry.file_name()));
            if let Ok(text) = fs::read_link(&path) {
                let below = text.strip_prefix("/").map_or(text.clone(), |below| self.dir.path().join(below));
                std::os::unix::fs::symlink(below, here).unwrap();
            } else if path.is_dir() {
                self.copied(&path, &here);
            } else {
                fs::write(here, self.moved(&fs::read_to_string(&path).unwrap())).unwrap();
            }
        }
    }

    /// The same configuration, for a place and a socket of its own.
    fn moved(&self, text: &str) -> String {
        let dir = self.dir.path().display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("    {name}_temp_path {dir}/run/{name};\n"))
            .concat();
        let mut text = text.to_owned();
        for place in ["/srv/", "/etc/", "/run/", "/var/"] {
            text = text.replace(place, &format!("{dir}{place}"));
        }
        text.replace("listen 80;", &format!("listen unix:{dir}/run/nginx.sock;"))
            .replace("http {\n", &format!("http {{\n    access_log off;\n{temporary}"))
            .replace(
                "events { }",
                &format!("daemon off;\npid {dir}/run/pid;\nerror_log {dir}/run/log;\nevents {{ }}"),
            )
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn conf(&self) -> PathBuf {
        self.path("etc/nginx/nginx.conf")
    }

    fn start(&self) -> Running {
        let said = fs::File::create(self.path("run/said")).unwrap();
        let mut command = Command::new(NGINX);
        command.arg("-c").arg(self.conf()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        let child = command.spawn().unwrap_or_else(|why| panic!("{NGINX} is needed (scripts/setup): {why}"));
        let mut running = Running(child);
        let late = Instant::now() + Duration::from_secs(60);
        let line = PathBuf::from(format!("/proc/{}/cmdline", running.0.id()));
        // It listens before it takes the name by which masters are found.
        let named = || fs::read(&line).is_ok_and(|line| line.starts_with(b"nginx: master"));
        while UnixStream::connect(self.path("run/nginx.sock")).is_err() || !named() {
            let said = fs::read_to_string(self.path("run/said")).unwrap_or_default();
            assert!(running.0.try_wait().unwrap().is_none() && Instant::now() < late, "{said}");
            std::thread::sleep(Duration::from_millis(5));
        }
        running
    }

    fn facts(&self) -> Facts {
        Facts::look(&Here, &Targets { nginx: vec![self.conf()], ..Targets::default() })
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM, so that the master takes its workers with it.
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.0.wait().unwrap();
    }
}

fn ids(report: &Report) -> BTreeSet<&'static str> {
    report.findings().map(|(check, _)| check.id).collect()
}

fn of_nginx() -> impl Iterator<Item = &'static Check> {
    checks::all().filter(|check| check.id.starts_with('N'))
}

#[test]
fn each_bad_pattern_is_found_in_a_real_nginx_and_each_exact_fix_is_one_that_nginx_takes() {
    let mut fixed = Vec::new();
    for check in of_nginx() {
        let site = Site::of(check, "bad");
        let running = site.start();
        let facts = site.facts();
        let [nginx] = &facts.nginx[..] else { panic!("{}: {:?}", check.id, facts.blind) };
        assert!(nginx.master.is_some(), "{}: the running master was not found", check.id);
        assert!(nginx.version.is_some() && facts.blind.is_empty(), "{}: {:?}", check.id, facts.blind);
        let report = Report::of(&facts);
        let before = ids(&report);
        assert!(before.contains(check.id), "{}: {before:?}", check.id);
        drop(running);

        let (patches, _) = patches(&report, &facts.sources);
        if patches.is_empty() {
            continue;
        }
        for patch in &patches {
            assert_eq!(fs::read_to_string(&patch.path).unwrap(), patch.before);
            fs::write(&patch.path, &patch.after).unwrap();
        }
        let said = Command::new(NGINX).arg("-t").arg("-c").arg(site.conf()).output().unwrap();
        let text = fs::read_to_string(site.conf()).unwrap();
        assert!(said.status.success(), "{}: {}\n{text}", check.id, String::from_utf8_lossy(&said.stderr));
        let after = ids(&Report::of(&site.facts()));
        if report.findings().all(|(judged, finding)| judged.id != check.id || !finding.fix.edits.is_empty()) {
            assert!(!after.contains(check.id), "{} is still found: {text}", check.id);
            fixed.push(check.id);
        }
        // N01's fix is the one that is usually recommended, which leaves what N05 is about.
        let new: Vec<_> = after.difference(&before).filter(|id| **id != "N05").collect();
        assert!(new.is_empty(), "the fix of {} makes {new:?}: {text}", check.id);
    }
    for id in ["N01", "N02", "N03", "N04", "N05", "N06", "N07", "N08", "N09", "N11", "N12", "N16"] {
        assert!(fixed.contains(&id), "{id} has no exact fix: {fixed:?}");
    }
}

#[test]
fn what_is_good_is_no_finding_in_a_real_nginx_either() {
    for check in of_nginx() {
        let site = Site::of(check, "good");
        let _running = site.start();
        let facts = site.facts();
        assert_eq!(facts.blind, []);
        assert!(!ids(&Report::of(&facts)).contains(check.id), "{}", check.id);
    }
}

#[test]
fn a_file_that_nginx_refuses_is_told_in_its_own_words() {
    let check = checks::of("N01").unwrap();
    let site = Site::of(check, "bad");
    let _running = site.start();
    let text = fs::read_to_string(site.conf()).unwrap();
    fs::write(site.conf(), text.replace("listen unix:", "lisstn unix:")).unwrap();
    let facts = site.facts();
    let told: Vec<&str> = facts.blind.iter().map(|blind| &*blind.why).collect();
    assert!(told.len() == 1 && told[0].contains("unknown directive \"lisstn\""), "{told:?}");

    fs::write(site.conf(), "http {\n server {\n").unwrap();
    let facts = site.facts();
    assert!(facts.nginx.is_empty() && facts.blind[0].why.contains("expecting \"}\""), "{:?}", facts.blind);
}

#[test]
fn debians_stock_configuration_is_no_finding() {
    let conf = Path::new("/etc/nginx/nginx.conf");
    let targets = Targets { nginx: vec![conf.to_owned()], ..Targets::default() };
    let facts = Facts::look(&Here, &targets);
    assert_eq!((facts.nginx.len(), &facts.blind[..]), (1, &[][..]));
    assert!(facts.nginx[0].servers().count() > 0, "nginx is needed (scripts/setup)");
    assert_eq!(ids(&Report::of(&facts)), BTreeSet::new());
}
