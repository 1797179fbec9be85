//! What an operator has: logs that rotate, metrics, sockets from a service manager, a port that is taken.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use super::client::request;
use super::server::{App, CUTOVER, LONG};

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_rotated_access_log_is_written_anew_and_names_the_release() {
    let server = App::new(
        "[serve]\nlisten = [\"127.0.0.1:0\"]\n[serve.log]\naccess = \"access.log\"\nformat = \"json\"\n",
    )
    .release("r1", &[("public/a.txt", "one")])
    .live("r1")
    .serve();
    let log = server.app.root().join("access.log");
    let has = |text: &str| fs::read_to_string(&log).is_ok_and(|all| all.contains(text));
    assert_eq!(server.get("/a.txt?first").status, 200);
    eventually("the first line", || has("first"));
    fs::rename(&log, server.app.root().join("access.log.1")).unwrap();
    server.signal("USR1");
    eventually("the new file", || log.exists());
    assert_eq!(server.get("/a.txt?second").status, 200);
    eventually("the second line", || has("second"));
    let line = fs::read_to_string(&log).unwrap();
    let line: serde_json::Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    assert_eq!((&line["release"], &line["status"], &line["bytes"]), (&"r1".into(), &200.into(), &3.into()));
}

#[test]
fn metrics_count_by_release() {
    let server = App::new("[serve]\nlisten = [\"127.0.0.1:0\"]\nmetrics = \"unix:metrics.sock\"\n");
    // A socket's path has to be absolute.
    let metrics = server.root().join("metrics.sock");
    server
        .write_config(&server.config().replace("unix:metrics.sock", &format!("unix:{}", metrics.display())));
    let server = server
        .release("r1", &[("public/a.txt", "one")])
        .release("r2", &[("public/a.txt", "two")])
        .live("r1")
        .serve();
    for (id, path) in [("r1", "/a.txt"), ("r2", "/a.txt"), ("r2", "/none")] {
        server.app.link(&format!("releases/{id}"));
        server.get(path);
    }
    let scrape = || {
        use std::io::{Read, Write};
        let mut socket = std::os::unix::net::UnixStream::connect(&metrics).unwrap();
        socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        text
    };
    for line in [
        "cutover_requests_total{site=\"shop\",release=\"r1\",class=\"2xx\"} 1",
        "cutover_requests_total{site=\"shop\",release=\"r2\",class=\"2xx\"} 1",
        "cutover_requests_total{site=\"shop\",release=\"r2\",class=\"4xx\"} 1",
        "cutover_requests_in_flight{site=\"shop\",release=\"r2\"} 0",
        "cutover_flips_seen_total{site=\"shop\"} 1",
        "cutover_request_seconds_count{site=\"shop\"} 3",
    ] {
        eventually(line, || scrape().contains(line));
    }
}

/// What systemd does for a socket unit, in the few words of perl (which every Debian has).
const ACTIVATE: &str = r#"
use Socket;
$^F = 10;
socket(my $s, PF_INET, SOCK_STREAM, 0) or die;
bind($s, sockaddr_in(0, inet_aton("127.0.0.1"))) or die;
listen($s, 100) or die;
my ($port) = sockaddr_in(getsockname($s));
print STDERR "listening on http://127.0.0.1:$port\n";
use POSIX ();
POSIX::dup2(fileno($s), 3) if fileno($s) != 3;
$ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDS} = 1; $ENV{LISTEN_FDNAMES} = "shop";
exec @ARGV;
"#;

#[test]
fn sockets_passed_by_a_service_manager_are_used() {
    let app = App::new("[serve]\nlisten = [\"systemd:shop\"]\n")
        .release("r1", &[("public/a.txt", "one")])
        .live("r1");
    let mut command = Command::new("perl");
    command.args(["-e", ACTIVATE, CUTOVER, "serve"]).arg(app.root());
    let server = app.serve_by(command);
    server.wait_for("the activation", |log| log.matches("listening on").count() >= 2);
    let port = server.listening()[0];
    let reply = request(port, "GET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(reply.text(), "one");
}

#[test]
fn a_port_that_is_taken_is_named_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let app = App::new(&format!("[serve]\nlisten = [\"{at}\"]\n"))
        .release("r1", &[("public/a.txt", "one")])
        .live("r1");
    let out = Command::new(CUTOVER).arg("serve").arg(app.root()).output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains(&format!("cannot listen on {at}: another program listens there")), "{said}");
}

#[test]
fn what_a_killed_server_left_behind_is_no_hindrance_to_the_next() {
    let mut server = App::new("").release("r1", &[("public/a.txt", "one")]).live("r1").serve();
    server.app.cutover(&["reload"]);
    server.kill_and_start_again();
    assert_eq!(server.get("/a.txt").text(), "one");
    server.app.cutover(&["reload"]);
}

#[test]
fn a_socket_that_root_binds_is_given_to_the_group_that_may_connect() {
    use std::os::unix::fs::MetadataExt;
    if !nix::unistd::geteuid().is_root() {
        println!("\nskipped: a_socket_that_root_binds_is_given_to_the_group_that_may_connect: not root\n");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let sockets = ["http.sock", "fcgi.sock"].map(|name| dir.path().join(name));
    let [http, fcgi] = sockets.each_ref().map(|socket| socket.display());
    let server = App::new(&format!(
        "[serve]\nlisten = [\"127.0.0.1:0\", \"unix:{http}\", \"fcgi:unix:{fcgi}\"]\nuser = \"nobody\"\ngroup = \"www-data\"\n"
    ))
    .release("r1", &[("public/a.txt", "one")])
    .live("r1")
    .serve();
    let group = nix::unistd::Group::from_name("www-data").unwrap().unwrap().gid.as_raw();
    for socket in &sockets {
        let stat = fs::metadata(socket).unwrap();
        assert_eq!((stat.gid(), stat.mode() & 0o777), (group, 0o660), "{}", socket.display());
    }
    assert_eq!(server.get("/a.txt").status, 200);
}
