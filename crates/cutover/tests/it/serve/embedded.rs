//! The embedded php-fpm, as long as the server lives and not longer; across an upgrade, the same one.

use std::process::Command;
use std::time::{Duration, Instant};

use super::server::{App, CUTOVER, LONG, Server, signal};

const PHP: &str = "[php]\nfpm = \"embedded\"\nworkers = 2\n";

fn app(config: &str) -> App {
    let app = App::new(config);
    // PHP runs as another user than root.
    std::fs::set_permissions(app.root(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    app.release("r1", &[("public/master.php", "<?php echo posix_getppid();")]).live("r1")
}

fn master(server: &Server) -> u32 {
    let reply = server.get("/master.php");
    assert_eq!(reply.status, 200, "{}\n{}", reply.text(), server.log());
    reply.text().parse().unwrap()
}

fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn is_gone(pid: u32) -> bool {
    let until = Instant::now() + LONG;
    while lives(pid) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    !lives(pid)
}

#[test]
fn php_fpm_is_gone_when_the_server_ends_and_when_it_is_killed() {
    let mut server = app(PHP).serve();
    let fpm = master(&server);
    server.signal("TERM");
    assert!(server.ends());
    assert!(!lives(fpm), "it outlives a server that ended by itself:\n{}", server.log());

    let mut server = app(PHP).serve();
    let fpm = master(&server);
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    assert!(is_gone(fpm));
}

#[test]
fn php_fpm_that_is_killed_is_started_again_and_no_request_fails() {
    let server = app(PHP).serve();
    let before = master(&server);
    signal(before, "KILL");
    let begun = Instant::now();
    let mut now = before;
    while now == before {
        // Workers of the dead one may answer once more; everybody is answered.
        let reply = server.get("/master.php");
        assert_eq!(reply.status, 200, "{}\n{}", reply.text(), server.log());
        now = reply.text().parse().unwrap_or(before);
        now = if lives(now) && now != 1 { now } else { before };
        assert!(begun.elapsed() < LONG, "it does not come back");
    }
}

#[test]
fn an_upgrade_keeps_the_php_fpm_that_runs() {
    let mut server = app(PHP).serve();
    let before = master(&server);
    server.app.cutover(&["upgrade"]);
    assert!(server.ends(), "{}", server.log());
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(master(&server), before);
    let status: serde_json::Value = serde_json::from_str(&server.app.cutover(&["status", "--json"])).unwrap();
    let pid = super::hand_over::find_pid(&status).unwrap_or_else(|| panic!("no pid in {status}"));
    signal(pid.try_into().unwrap(), "TERM");
    assert!(is_gone(before));
}

#[test]
fn changed_php_options_start_another_php_fpm_and_the_old_one_ends() {
    let server = app(PHP).serve();
    let before = master(&server);
    server.app.write_config(&format!("{}ini = {{ memory_limit = \"64M\" }}\n", server.app.config()));
    server.app.cutover(&["reload"]);
    assert_ne!(master(&server), before);
    assert!(is_gone(before));
}

#[test]
fn a_php_fpm_that_does_not_start_is_told_in_its_own_words() {
    let app = app("[php]\nfpm = \"embedded\"\nuser = \"www-data\"\n\
        ini = { \"opcache.preload\" = \"/missing.php\", \"opcache.preload_user\" = \"www-data\" }\n");
    let out = Command::new(CUTOVER).arg("serve").arg(app.root()).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success());
    assert!(said.contains("Failed opening required '/missing.php'"), "{said}");
}
