//! A second php-fpm master for a release to come: who runs where, before the flip, at it and long after.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serve::control::{self, Answer, Command, MasterStatus};

use super::client::{connect, read_reply};
use super::server::{App, CUTOVER, LONG, Server, signal};

const PHP: &str = "[php]\nfpm = \"embedded\"\nworkers = 3\nlinger = \"0s\"\n";

const SCRIPTS: [(&str, &str); 4] = [
    ("public/master.php", "<?php echo posix_getppid();"),
    (
        "public/waits.php",
        "<?php while (!file_exists('../../../go')) { usleep(10000); clearstatcache(); } echo posix_getppid();",
    ),
    (
        "public/behind.php",
        "<?php echo posix_getppid(); fastcgi_finish_request(); \
         while (!file_exists('../../../go')) { usleep(10000); clearstatcache(); } \
         file_put_contents(sys_get_temp_dir() . '/' . $_GET['to'], __DIR__ . ' ' . posix_getppid());",
    ),
    ("public/kept.php", "<?php echo function_exists('kept') ? kept() : 'nothing kept';"),
];

fn app(config: &str) -> App {
    let app = App::new(config);
    // PHP runs as another user than root.
    std::fs::set_permissions(app.root(), PermissionsExt::from_mode(0o755)).unwrap();
    let (one, two) = ("<?php function kept() { return 'r1'; }", "<?php function kept() { return 'r2'; }");
    let app = app.release("r1", &SCRIPTS).release("r2", &SCRIPTS).release("r3", &SCRIPTS);
    app.release("r1", &[("preload.php", one)]).release("r2", &[("preload.php", two)]).live("r1")
}

fn ask(server: &Server, command: &Command) -> Answer {
    let socket = server.app.root().join(".cutover/run/serve.sock");
    control::ask(&socket, command, Duration::from_secs(60)).unwrap()
}

fn order(server: &Server, release: &str) -> Answer {
    ask(server, &Command::Fresh { site: "shop".into(), release: release.into() })
}

fn fresh(server: &Server, release: &str) -> MasterStatus {
    let answer = order(server, release);
    let Answer::Fresh(master) = answer else { panic!("{answer:?}\n{}", server.log()) };
    *master
}

/// Why there is none.
fn refused(server: &Server, release: &str) -> String {
    let answer = order(server, release);
    let Answer::Failed(why) = answer else { panic!("{answer:?}\n{}", server.log()) };
    why
}

fn masters(server: &Server) -> Vec<MasterStatus> {
    let answer = ask(server, &Command::Status);
    let Answer::Status(status) = answer else { panic!("{answer:?}") };
    status.sites[0].masters.clone()
}

fn text(server: &Server, path: &str) -> String {
    let reply = server.get(path);
    assert_eq!(reply.status, 200, "{path}: {}\n{}", reply.text(), server.log());
    reply.text()
}

fn master(server: &Server) -> u32 {
    text(server, "/master.php").parse().unwrap()
}

/// What `cutover status` says of who is on a release.
fn user(server: &Server, release: &str) -> Option<serde_json::Value> {
    let status: serde_json::Value = serde_json::from_str(&server.app.cutover(&["status", "--json"])).unwrap();
    status["users"].as_array().unwrap().iter().find(|users| users["release"] == release).cloned()
}

/// A request that is answered only after [`go`]; a worker is at it.
fn waiting(server: &Server) -> TcpStream {
    let busy = || masters(server)[0].busy;
    // The one before may not have been told yet to be over.
    eventually("none has anything", || busy() == 0);
    let mut stream = connect(server.port());
    write!(stream, "GET /waits.php HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    eventually("a worker has it", || busy() == 1);
    stream
}

fn go(server: &Server) {
    std::fs::write(server.app.root().join("go"), "").unwrap();
}

fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < LONG, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_flip_goes_to_the_fresh_master_and_what_the_old_one_works_on_is_finished() {
    let server = app(PHP).serve();
    let old = master(&server);
    let new = fresh(&server, "r2").pid.unwrap();
    assert_ne!(old, new);
    assert_eq!(fresh(&server, "r2").pid, Some(new), "asked for twice, it is the same one");
    assert_eq!(master(&server), old, "before the flip nothing changes");

    let mut slow = waiting(&server);
    let note = format!("cutover-behind-{new}");
    assert_eq!(text(&server, &format!("/behind.php?to={note}")), old.to_string());
    server.app.link("releases/r2");
    assert_eq!(master(&server), new);
    let roles: Vec<String> = masters(&server).into_iter().map(|master| master.role).collect();
    assert_eq!(roles, ["current", "leaving"]);
    let on_old = user(&server, "r1").unwrap();
    assert_eq!(on_old["in_flight"], 1, "{on_old}");
    let at_work: Vec<&str> =
        on_old["workers"].as_array().unwrap().iter().map(|work| work["script"].as_str().unwrap()).collect();
    assert!(at_work.len() == 2 && at_work.iter().all(|script| script.contains("/r1/public/")), "{on_old}");
    go(&server);
    let reply = read_reply(&mut slow).unwrap();
    assert_eq!((reply.status, reply.text(), reply.release()), (200, old.to_string(), "r1"));
    // What runs behind a finished response is work too.
    let note = std::env::temp_dir().join(note);
    eventually("the script behind the response ends", || note.exists());
    eventually("the old master ends", || !lives(old));
    let behind = std::fs::read_to_string(&note).unwrap();
    std::fs::remove_file(&note).unwrap();
    assert!(behind.ends_with(&format!("/releases/r1/public {old}")), "{behind}");
    assert_eq!(masters(&server).len(), 1);
    assert!(user(&server, "r1").is_none() && user(&server, "r2").is_some());
    assert_eq!(master(&server), new);
    // The way back: the old master is gone, so it is this one.
    server.app.link("releases/r1");
    assert_eq!(master(&server), new);
}

#[test]
fn an_old_master_that_lingers_has_the_release_back_after_a_rollback() {
    let server = app(&PHP.replace("0s", "1h")).serve();
    let old = master(&server);
    let new = fresh(&server, "r2").pid.unwrap();
    server.app.link("releases/r2");
    assert_eq!(master(&server), new);
    server.app.link("releases/r1");
    assert_eq!(master(&server), old);
    server.app.link("releases/r2");
    assert_eq!(master(&server), new);
    // One that is used by nobody gives way to a third.
    let third = fresh(&server, "r3").pid.unwrap();
    server.app.link("releases/r3");
    assert_eq!(master(&server), third);
    fresh(&server, "r1");
    eventually("one of the old ones gives way", || !lives(old) || !lives(new));
    assert!(lives(old) != lives(new) && lives(third));
}

#[test]
fn there_are_never_more_than_three_and_none_is_left_over() {
    let server = app(PHP).serve();
    let mut old = vec![master(&server)];
    let mut slow = Vec::new();
    for release in ["r2", "r3"] {
        slow.push(waiting(&server));
        let unused = fresh(&server, "r1").pid.unwrap();
        old.push(fresh(&server, release).pid.unwrap());
        eventually("the unused one ends", || !lives(unused));
        server.app.link(&format!("releases/{release}"));
        assert_eq!(master(&server), old[old.len() - 1]);
    }
    let why = refused(&server, "r1");
    assert!(why.contains("3 php-fpm masters") && why.contains(&format!("process {}", old[0])), "{why}");
    go(&server);
    for (stream, pid) in slow.iter_mut().zip(&old) {
        assert_eq!(read_reply(stream).unwrap().text(), pid.to_string());
    }
    eventually("the old ones end", || !lives(old[0]) && !lives(old[1]));
    let unused = fresh(&server, "r1").pid.unwrap();
    let told = ask(&server, &Command::Discard { site: "shop".into(), release: Some("r1".into()) });
    assert!(matches!(told, Answer::Done(_)));
    eventually("it ends", || !lives(unused));
    assert_eq!(master(&server), old[2]);
}

#[test]
fn a_request_that_never_ends_holds_an_old_master_for_as_long_as_is_allowed() {
    let server = app(&format!("{PHP}drain = \"1s\"\n")).serve();
    let old = master(&server);
    let _ever = waiting(&server);
    fresh(&server, "r2");
    server.app.link("releases/r2");
    assert_ne!(master(&server), old);
    server.wait_for("it is said", |log| {
        log.contains(&format!("process {old} is ended: 1 requests still ran in it 1 s after the flip"))
    });
}

#[test]
fn a_reload_and_an_upgrade_pass_both_masters_on() {
    let mut server = app(PHP).serve();
    let (old, new) = (master(&server), fresh(&server, "r2").pid.unwrap());
    server.app.write_config(&format!(
        "{}connections = 2\n[[site.header]]\npath = \"/**\"\nset = {{ x-n = \"1\" }}\n",
        server.app.config()
    ));
    server.app.cutover(&["reload"]);
    assert_eq!((master(&server), lives(new)), (old, true));
    server.app.cutover(&["upgrade"]);
    assert!(server.ends(), "{}", server.log());
    let told: Vec<_> = masters(&server).into_iter().map(|master| (master.role, master.pid)).collect();
    assert_eq!(told, [("current".to_owned(), Some(old)), ("fresh".to_owned(), Some(new))]);
    assert_eq!(master(&server), old);
    server.app.link("releases/r2");
    assert_eq!(master(&server), new);
    eventually("the old master ends", || !lives(old));
    let status: serde_json::Value = serde_json::from_str(&server.app.cutover(&["status", "--json"])).unwrap();
    let pid = super::hand_over::find_pid(&status).unwrap();
    // kill -9: nobody is left who serves, so php-fpm ends too.
    signal(pid.try_into().unwrap(), "KILL");
    eventually("the new master ends", || !lives(new));
}

#[test]
fn a_fresh_master_that_is_killed_is_started_again() {
    let server = app(PHP).serve();
    let new = fresh(&server, "r2").pid.unwrap();
    signal(new, "KILL");
    eventually("it is back", || {
        masters(&server).iter().any(|m| m.role == "fresh" && m.pid.is_some_and(|pid| pid != new))
    });
    server.app.link("releases/r2");
    assert_ne!(master(&server), new);
}

#[test]
fn each_release_finds_what_it_has_preloaded_however_it_was_flipped_to() {
    let server = app(&format!("{PHP}preload = \"preload.php\"\n")).serve();
    assert_eq!(text(&server, "/kept.php"), "r1");
    fresh(&server, "r2");
    assert_eq!(text(&server, "/kept.php"), "r1");
    server.app.link("releases/r2");
    assert_eq!(text(&server, "/kept.php"), "r2");
    // By a flip that nobody announced: the server starts the master itself.
    server.app.link("releases/r1");
    assert_eq!(text(&server, "/kept.php"), "r1");
    // A release from before there was anything to preload.
    server.app.link("releases/r3");
    assert_eq!(text(&server, "/kept.php"), "nothing kept");
}

#[test]
fn a_preload_that_fails_is_told_in_phps_words_and_the_live_release_is_served() {
    let server = app(&format!("{PHP}preload = \"preload.php\"\n"))
        .release("r2", &[("preload.php", "<?php throw new Exception('not today');")])
        .serve();
    let why = refused(&server, "r2");
    assert!(why.contains("not today"), "{why}");
    let why = refused(&server, "r3");
    assert!(why.contains("php.preload: r3 has no preload.php"), "{why}");
    assert_eq!(text(&server, "/kept.php"), "r1");
    assert_eq!(masters(&server).len(), 1);
}

#[test]
fn a_server_that_dropped_its_privileges_has_masters_of_another_user_started() {
    let config =
        format!("[serve]\nlisten = [\"127.0.0.1:0\"]\nuser = \"nobody\"\n{PHP}user = \"www-data\"\n");
    let who = [("public/who.php", "<?php echo posix_getpwuid(posix_getuid())['name'];")];
    let server = app(&config).release("r1", &who).release("r2", &who).serve();
    assert_eq!(text(&server, "/who.php"), "www-data");
    let old = master(&server);
    fresh(&server, "r2");
    server.app.link("releases/r2");
    assert_ne!(master(&server), old);
    assert_eq!(text(&server, "/who.php"), "www-data");
}

#[test]
fn a_reload_preloads_another_file_though_privileges_were_dropped() {
    let config =
        format!("[serve]\nlisten = [\"127.0.0.1:0\"]\nuser = \"nobody\"\n{PHP}user = \"www-data\"\n");
    let server = app(&config).serve();
    assert_eq!(text(&server, "/kept.php"), "nothing kept");
    let old = master(&server);
    server.app.write_config(&format!("{}preload = \"preload.php\"\n", server.app.config()));
    server.app.cutover(&["reload"]);
    assert_eq!(text(&server, "/kept.php"), "r1");
    eventually("the old master ends", || !lives(old));
}

#[test]
fn a_php_fpm_that_is_not_there_any_more_is_said_and_the_one_that_runs_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let binary = dir.path().join("php-fpm");
    let real = ["8.4", "8.3", "8.2", "8.1"].map(|version| format!("/usr/sbin/php-fpm{version}"));
    let real = real.iter().find(|path| std::path::Path::new(path).exists()).expect("php-fpm (scripts/setup)");
    std::os::unix::fs::symlink(real, &binary).unwrap();
    let server = app(&format!("{PHP}binary = \"{}\"\n", binary.display())).serve();
    let old = master(&server);
    std::fs::remove_file(&binary).unwrap();
    let why = refused(&server, "r2");
    assert!(why.contains("No such file"), "{why}");
    assert_eq!((master(&server), masters(&server).len()), (old, 1));
}

#[test]
fn a_deploy_preloads_its_release_and_fails_in_phps_words_if_that_fails() {
    let source = tempfile::tempdir().unwrap();
    let write = |preload: &str| {
        std::fs::create_dir_all(source.path().join("public")).unwrap();
        std::fs::write(source.path().join("public/kept.php"), "<?php echo kept();").unwrap();
        std::fs::write(source.path().join("preload.php"), format!("<?php {preload}")).unwrap();
    };
    let config = format!("[source]\ndir = \"{}\"\n{PHP}preload = \"preload.php\"\n", source.path().display());
    let app = App::new(&config);
    std::fs::set_permissions(app.root(), PermissionsExt::from_mode(0o755)).unwrap();
    write("function kept() { return 'one'; }");
    app.cutover(&["deploy"]);
    let server = app.serve();
    assert_eq!(text(&server, "/kept.php"), "one");
    write("function kept() { return 'two'; }");
    server.app.cutover(&["deploy"]);
    assert_eq!(text(&server, "/kept.php"), "two");

    write("throw new Exception('not today');");
    let out =
        std::process::Command::new(CUTOVER).arg("-C").arg(server.app.root()).arg("deploy").output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("not today") && said.contains("is still live"), "{said}");
    assert_eq!(text(&server, "/kept.php"), "two");
    assert!(masters(&server).iter().all(|master| master.role != "fresh"));

    server.app.cutover(&["rollback"]);
    assert_eq!(text(&server, "/kept.php"), "one");
    assert!(server.log().contains("is ready for"), "{}", server.log());
}
