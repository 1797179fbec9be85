//! A long-lived worker per release, behind Cutover: blue and green.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use prove::probe::{self, pages::Kind, pages::pages};
use prove::scenario::{Load, Pace, Scenario};
use prove::{Flipper, Target, judge, report, run_blocking};

use super::recipe;
use crate::serve::server::{App, CUTOVER, Server};
use crate::web::{full, ids};

/// In the place of FrankenPHP: serves the release it was started in, from what it read at its start.
const WORKER: &str = r#"
import http.server, os, signal, socketserver, sys, threading
held = {}
for folder, _, names in os.walk('.'):
    for name in names:
        path = os.path.join(folder, name)
        held[path[1:]] = open(path, 'rb').read()
        if name == 'index.html':
            held[folder[1:] + '/'] = held[path[1:]]
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        body = held.get(self.path.split('?')[0])
        self.send_response(404 if body is None else 200)
        self.send_header('Content-Length', str(len(body or b'')))
        self.send_header('Connection', 'close')
        self.end_headers()
        self.wfile.write(body or b'')
    do_HEAD = do_GET
    def log_message(self, *words): pass
class Worker(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads, request_queue_size = False, 1024
worker = Worker(sys.argv[1] + '/' + os.environ['CUTOVER_RELEASE'] + '.sock', Answer)
os.chmod(worker.server_address, 0o666)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=worker.shutdown).start())
worker.serve_forever()
worker.server_close()
"#;

/// The documented script and configuration, with the stand-in; `keys` are more of [app] and the rest.
fn app(keys: &str) -> App {
    let app = App::new("");
    let root = app.root().to_owned();
    let here = |name: &str| root.join(name).display().to_string();
    let config = recipe("workers cutover.toml")
        .replace("/run/shop", &here("run"))
        .replace("/srv/shop/bin", &here("bin"));
    app.write_config(&format!(
        "[app]\nname = \"shop\"\nkeep = 1\nkeep_for = \"0s\"\n{keys}[serve]\nlisten = [\"127.0.0.1:0\"]\nrelease_header = false\n{config}"
    ));
    let script = recipe("workers")
        .replace("/run/shop", &here("run"))
        .replace("setsid cutover", &format!("setsid {CUTOVER}"))
        .replace(
            "frankenphp run --config frankenphp.Caddyfile",
            &format!("python3 {} {}", here("worker.py"), here("run")),
        );
    assert!(script.contains("worker.py"), "{script}");
    for dir in ["run", "bin"] {
        fs::create_dir(root.join(dir)).unwrap();
    }
    fs::write(root.join("worker.py"), WORKER).unwrap();
    fs::write(root.join("bin/workers"), script).unwrap();
    fs::set_permissions(&root, PermissionsExt::from_mode(0o755)).unwrap();
    app
}

/// Ends the workers with the test.
struct Workers(std::path::PathBuf);

impl Drop for Workers {
    fn drop(&mut self) {
        for entry in fs::read_dir(&self.0).unwrap().flatten() {
            if entry.path().extension().is_some_and(|end| end == "pid") {
                let pid = fs::read_to_string(entry.path()).unwrap();
                Command::new("/bin/kill").arg(pid.trim()).output().unwrap();
            }
        }
    }
}

fn holds(server: &Server, by: Flipper, requests: u64, flips: u64) {
    let target = Target::parse(&format!("http://127.0.0.1:{}", server.port())).unwrap();
    let mut scenario = Scenario::new(target, ids(), pages(&ids(), Kind::Static), by);
    let at_most = Duration::from_secs(3600);
    scenario.load = Load { connections: 8, closing: 3, requests, at_most, ..Load::default() };
    scenario.flips.count = flips;
    scenario.flips.pace = Pace::Spread;
    let observed = run_blocking(scenario).unwrap();
    let verdicts = judge(&observed).unwrap();
    println!("{}", report::text(&observed, &verdicts));
    assert!(verdicts.holds(), "{:?}\n{}", verdicts.total, server.log());
    assert!(verdicts.total.ok >= requests, "{:?}", verdicts.total);
}

#[test]
fn each_request_goes_to_the_worker_of_its_own_release() {
    let app = app("");
    let work = app.root().join("probe");
    probe::scaffold_as(&work, &ids(), Kind::Static).unwrap();
    for name in ["releases", "current"] {
        fs::rename(work.join(name), app.root().join(name)).unwrap();
    }
    ids().iter().for_each(|id| drop(app.cutover(&["seal", id])));
    let server = app.serve();
    let _workers = Workers(server.app.root().join("run"));
    ids().iter().for_each(|id| begin(server.app.root(), id));
    let (requests, flips) = if full() { (100_000, 3_000) } else { (4_000, 400) };
    holds(&server, Flipper::link(server.app.root().join("current")), requests, flips);
}

/// As the hook does.
fn begin(root: &Path, id: &str) {
    let mut command = Command::new("sh");
    command.arg(root.join("bin/workers")).arg("begin").env("CUTOVER_ROOT", root).env("CUTOVER_RELEASE", id);
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// Each deploy begins a worker before its flip, and ends the one before when nobody is on it any more.
#[test]
fn deploys_begin_and_end_workers_and_no_visitor_notices() {
    let probe = tempfile::tempdir().unwrap();
    let source = probe.path().join("source");
    probe::scaffold_as(&probe.path().join("made"), &ids(), Kind::Static).unwrap();
    let (made, next, now) = (probe.path().join("made/releases"), probe.path().join("next"), source.clone());
    let take = move |id: &str| {
        std::os::unix::fs::symlink(made.join(id), &next).unwrap();
        fs::rename(&next, &now).unwrap();
    };
    take("r1");
    let app = app(&format!("[source]\ndir = \"{}\"\n", source.display()));
    let server = app.serve();
    let _workers = Workers(server.app.root().join("run"));
    server.app.cutover(&["deploy"]);
    let root = server.app.root().to_owned();
    let deploy = move |id: &str| {
        take(id);
        let out = Command::new(CUTOVER).arg("-C").arg(&root).arg("deploy").output();
        let out = out.map_err(|why| why.to_string())?;
        match out.status.success() {
            true => Ok(()),
            false => {
                Err(String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
            }
        }
    };
    holds(&server, Flipper::call(deploy), 2_000, 3);
    let at_work = fs::read_dir(server.app.root().join("run")).unwrap().flatten();
    let at_work = at_work.filter(|entry| entry.path().extension().is_some_and(|end| end == "pid")).count();
    assert_eq!(at_work, 1, "the old ones were ended");
}
