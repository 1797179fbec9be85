//! Kept by others: the unit for systemd, the program for a real supervisord, the line for cron, as they are shipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::follower::{diary, link};
use super::until;
use crate::shop::Shop;

const CUTOVER: &str = env!("CARGO_BIN_EXE_cutover");

/// A queue worker as PHP frameworks have them: it finishes on SIGTERM.
const ARTISAN: &str = r#"<?php
    $tell = fn($what) => file_put_contents(getenv('DIARY'), "$what " . getenv('CUTOVER_RELEASE') . ' ' . getmypid() . "\n", FILE_APPEND);
    if ($argv[1] !== 'queue:work') { $tell('begin'); exit; }
    $goes_on = true;
    pcntl_async_signals(true);
    pcntl_signal(SIGTERM, function () use (&$goes_on) { $goes_on = false; });
    $tell('begin');
    while ($goes_on) { usleep(20000); }
    $tell('end');
"#;

fn shop() -> Shop {
    let shop = Shop::with_releases(&["r1", "r2"]);
    for id in ["r1", "r2"] {
        fs::write(shop.path("releases").join(id).join("artisan"), ARTISAN).unwrap();
    }
    link(&shop, "r1");
    shop
}

fn shipped(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)).unwrap()
}

#[test]
fn systemd_takes_the_worker_unit() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("skipped: exec::hosted::systemd_takes_the_worker_unit: there is no systemd-analyze");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let unit = shipped("packaging/systemd/cutover-worker@.service").replace("/usr/bin/cutover", CUTOVER);
    fs::write(dir.path().join("cutover-worker@.service"), unit).unwrap();
    let out = Command::new("systemd-analyze")
        .current_dir(dir.path())
        .args(["verify", "./cutover-worker@shop-queue.service"])
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && said.is_empty(), "{said}");
}

/// What systemd would hear, from a socket in its place; and the unit's own command line.
#[test]
fn systemd_hears_when_the_first_worker_runs_and_on_which_release() {
    let shop = shop();
    let unit = shipped("packaging/systemd/cutover-worker@.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/cutover ")).unwrap();
    let line = line.replace("${APP}", shop.root().to_str().unwrap()).replace("${GRACE}", "60s");
    let line = line.replace("$WORKER", "php8.2 artisan queue:work --tries=3");
    let socket = std::os::unix::net::UnixDatagram::bind(shop.path("notify")).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    let mut child = Command::new(CUTOVER)
        .args(line.split(' '))
        .env("NOTIFY_SOCKET", shop.path("notify"))
        .env("DIARY", shop.path("diary"))
        .spawn()
        .unwrap();
    let hears = |words: &str| {
        let mut bytes = [0; 4096];
        loop {
            let length = socket.recv(&mut bytes).unwrap_or_else(|why| panic!("{words}: {why}"));
            let heard = String::from_utf8_lossy(&bytes[..length]);
            if heard.contains(words) {
                return;
            }
        }
    };
    hears("runs on r1");
    hears("READY=1");
    until("the worker", || diary(&shop).len() == 1);
    link(&shop, "r2");
    hears("STATUS=r2 is live");
    hears("runs on r2");
    until("the next worker", || diary(&shop).len() == 3);
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id().try_into().unwrap()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    hears("STOPPING=1");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_line_for_cron_runs_on_the_live_release() {
    let shop = shop();
    let (_, rest) = shipped("docs/exec.md").split_once("<!-- run: cron -->\n```\n").map(own).unwrap();
    let line = rest.lines().next().unwrap().strip_prefix("* * * * * www-data ").unwrap().to_owned();
    let line = line.replace("/usr/bin/cutover", CUTOVER).replace("/srv/shop", shop.root().to_str().unwrap());
    let line = line.replace("-- php ", "-- php8.2 ");
    // As cron does: by a shell, with next to no environment, from somewhere else.
    let cron = |path: &str| {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &line]).env_clear().env("PATH", path).env("DIARY", shop.path("diary"));
        command.current_dir("/").stdin(Stdio::null()).output().unwrap()
    };
    for id in ["r1", "r2"] {
        link(&shop, id);
        let out = cron("/usr/bin:/bin");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(diary(&shop).last().unwrap().release, id);
    }
    assert_eq!(cron("/nowhere").status.code(), Some(127));
}

fn own((one, other): (&str, &str)) -> (String, String) {
    (one.to_owned(), other.to_owned())
}

/// A real supervisord with the program that is shipped.
struct Supervisord {
    child: Child,
    config: PathBuf,
}

impl Supervisord {
    fn start(shop: &Shop) -> Supervisord {
        let root = shop.root().to_str().unwrap();
        let program = shipped("packaging/supervisor/cutover-worker.conf")
            .replace("/usr/bin/cutover", CUTOVER)
            .replace("-- php ", "-- php8.2 ")
            .replace("/srv/shop", root)
            .replace("user=www-data\n", "")
            .replace("/var/log/cutover", root);
        let config = shop.path("supervisord.conf");
        fs::write(
            &config,
            format!(
                "[supervisord]\nnodaemon=true\nlogfile={root}/supervisord.log\npidfile={root}/supervisord.pid\nchildlogdir={root}\n\
                 environment=DIARY=\"{root}/diary\"\n\
                 [unix_http_server]\nfile={root}/supervisor.sock\n[supervisorctl]\nserverurl=unix://{root}/supervisor.sock\n\
                 [rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n{program}"
            ),
        )
        .unwrap();
        let mut command = Command::new("supervisord");
        command.arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Supervisord { child: command.spawn().unwrap(), config }
    }

    fn ctl(&self, words: &[&str]) -> Output {
        Command::new("supervisorctl").arg("-c").arg(&self.config).args(words).output().unwrap()
    }
}

impl Drop for Supervisord {
    fn drop(&mut self) {
        // It stops its programs first.
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn supervisord_keeps_workers_that_follow_and_stops_them_as_they_want_it() {
    if !Path::new("/usr/bin/supervisord").exists() {
        println!("skipped: exec::hosted::supervisord_keeps_workers_that_follow: there is no supervisord");
        return;
    }
    let shop = shop();
    let supervisord = Supervisord::start(&shop);
    let begun = |id: &str| diary(&shop).iter().filter(|line| line.begins && line.release == id).count();
    let ended = |id: &str| diary(&shop).iter().filter(|line| !line.begins && line.release == id).count();
    until("two workers on r1", || begun("r1") == 2);
    until("supervisor to call them running", || {
        String::from_utf8_lossy(&supervisord.ctl(&["status"]).stdout).matches("RUNNING").count() == 2
    });
    link(&shop, "r2");
    until("two workers on r2", || begun("r2") == 2);
    assert_eq!(ended("r1"), 2, "each was finished before the next one began");
    let stopped = supervisord.ctl(&["stop", "shop-queue:*"]);
    assert!(stopped.status.success(), "{}", String::from_utf8_lossy(&stopped.stdout));
    assert_eq!((ended("r2"), diary(&shop).len()), (2, 8));
    let log = fs::read_to_string(shop.path("shop-queue.log")).unwrap();
    assert!(log.contains("r2 is live: worker"), "{log}");
}
