//! Reload, upgrade, drain: a web server in front loses no request, and its kept connections go over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fastcgi::record::Role;
use fastcgi::request::{write_begin, write_stdin_end};

use super::front::Kind;
use super::stand::{CONFIG, Stand, serve, status};
use super::wire::{Wire, params};
use crate::serve::client::{connect, read_reply, request};
use crate::serve::server::{App, LONG, Server, signal};

fn stand(kind: Kind) -> Stand {
    let app = App::new(CONFIG)
        .release("r1", &[("public/index.php", "<?php echo 'php';"), ("public/a.txt", "file")]);
    Stand::of(serve(app.sealed("r1").live("r1")), kind, "/public")
}

/// Visitors that ask for PHP, for a file, and send a form in turn, and panic at anything but the answer. What they get
/// may end in the release that it is of.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    visitors: Vec<std::thread::JoinHandle<()>>,
}

const ASKS: [(&str, &str); 3] = [
    ("GET /x HTTP/1.0\r\nHost: a\r\n\r\n", "php"),
    ("GET /a.txt HTTP/1.0\r\nHost: a\r\n\r\n", "file"),
    // Nobody may send it a second time.
    ("POST /x HTTP/1.0\r\nHost: a\r\nContent-Length: 4\r\n\r\na=42", "php"),
];

impl Load {
    pub fn on(port: u16) -> Load {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let visitors = (0..6)
            .map(|_| {
                let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        for (ask, wanted) in ASKS {
                            let reply = request(port, ask);
                            let (text, release) = (reply.text(), reply.release());
                            let own = text.strip_prefix(wanted);
                            let whole =
                                own.is_some_and(|own| own.is_empty() || own == format!(" of {release}"));
                            assert!(reply.status == 200 && whole, "{ask}\n{}\n{text}", reply.head);
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        Load { stop, answered, visitors }
    }

    /// Waits until so many more requests were answered.
    pub fn goes_on(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        let until = Instant::now() + LONG;
        while Instant::now() < until {
            if self.answered.load(Ordering::Relaxed) > before + 100 {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the load stands still at {before}");
    }

    pub fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.visitors.into_iter().for_each(|visitor| visitor.join().unwrap());
    }
}

/// Ends the process that took over: it is nobody's child here.
pub fn end_successor(server: &Server) {
    let pid = status(server).pid;
    assert_ne!(pid, server.child.id());
    signal(pid, "TERM");
}

/// Reloads, then upgrades, under load.
fn goes_over(kind: Kind) {
    let mut stand = stand(kind);
    let load = Load::on(stand.front.port);
    load.goes_on();
    let text = std::fs::read_to_string(stand.server.app.root().join("cutover.toml")).unwrap();
    for n in 1..=3 {
        let rule = format!("\n[[site.header]]\npath = \"/**\"\nset = {{ x-n = \"{n}\" }}\n");
        stand.server.app.write_config(&format!("{text}{rule}"));
        stand.server.app.cutover(&["reload"]);
        assert_eq!(stand.get("/a.txt").header("x-n"), Some(n.to_string().as_str()));
        load.goes_on();
    }
    for n in 1..=3 {
        let before = status(&stand.server).pid;
        stand.server.app.cutover(&["upgrade"]);
        assert_ne!(status(&stand.server).pid, before);
        load.goes_on();
        if n == 1 {
            assert!(stand.server.ends(), "the old process stays:\n{}", stand.said());
        }
    }
    load.end();
    end_successor(&stand.server);
}

#[test]
fn behind_nginx_with_kept_connections() {
    goes_over(Kind::Nginx);
}

#[test]
fn behind_haproxy_with_kept_connections() {
    goes_over(Kind::Haproxy);
}

#[test]
fn an_upgrade_closes_no_kept_connection_whatever_it_is_at() {
    let app = App::new(CONFIG).release("r1", &[("public/index.php", "<?php echo getmypid();")]);
    let mut server = serve(app.live("r1"));
    let front = [("SCRIPT_NAME", "/index.php"), ("REQUEST_METHOD", "POST")];
    let mut fresh = Wire::to(server.port());
    let mut kept = Wire::to(server.port());
    kept.ask(&front, b"");
    // The beginning of a request; one whose body is still to come.
    let mut begun = Vec::new();
    write_begin(&mut begun, 1, Role::Responder, true, &params(&front));
    let (mut half, mut whole) = (Wire::to(server.port()), Wire::to(server.port()));
    half.send(&begun[..20]);
    whole.send(&begun);
    let connections = || status(&server).connections;
    while connections() < 4 {}
    server.app.cutover(&["upgrade"]);
    for wire in [&mut fresh, &mut kept] {
        assert_eq!(wire.ask(&front, b"x").status(), 200, "{}", server.log());
    }
    half.send(&begun[20..]);
    for wire in [&mut half, &mut whole] {
        let mut end = Vec::new();
        write_stdin_end(&mut end, 1);
        wire.send(&end);
        assert_eq!(wire.answer().status(), 200, "{}", server.log());
    }
    assert!(server.ends(), "the old process stays:\n{}", server.log());
    for wire in [&mut fresh, &mut kept, &mut half, &mut whole] {
        assert_eq!(wire.ask(&front, b"x").status(), 200, "{}", server.log());
    }
    end_successor(&server);
}

#[test]
fn what_is_in_hand_is_answered_before_the_end_and_a_kept_connection_is_closed_behind_it() {
    let app = App::new(CONFIG)
        .release("r1", &[("public/index.php", "<?php while (!file_exists(dirname(__DIR__, 3) . '/gate')) { clearstatcache(); usleep(2000); } echo str_repeat('x', 300000);")]);
    let mut server = serve(app.live("r1"));
    let mut wire = Wire::to(server.port());
    let mut out = Vec::new();
    write_begin(&mut out, 1, Role::Responder, true, &params(&[("SCRIPT_NAME", "/index.php")]));
    write_stdin_end(&mut out, 1);
    wire.send(&out);
    let status = || server.app.cutover(&["status", "--json"]).replace(' ', "");
    let until = Instant::now() + LONG;
    while !status().contains("\"in_flight\":1") {
        assert!(Instant::now() < until, "{}", status());
    }
    server.signal("TERM");
    server.wait_for("the drain", |log| log.contains("draining"));
    std::fs::write(server.app.root().join("gate"), "").unwrap();
    let answer = wire.answer();
    assert_eq!((answer.status(), answer.body.len()), (200, 300_000));
    assert!(wire.is_closed());
    assert!(server.ends(), "{}", server.log());
}

#[test]
fn a_socket_may_change_from_fastcgi_to_http_by_a_reload() {
    let app = App::new(CONFIG).release("r1", &[("public/a.txt", "one")]);
    let server = serve(app.live("r1"));
    assert_eq!(Wire::to(server.port()).ask(&[("SCRIPT_NAME", "/a.txt")], b"").text(), "one");
    let text = std::fs::read_to_string(server.app.root().join("cutover.toml")).unwrap();
    server.app.write_config(&text.replace("fcgi:127.0.0.1:0", "127.0.0.1:0"));
    server.app.cutover(&["reload"]);
    let mut stream = connect(server.port());
    std::io::Write::write_all(&mut stream, b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut stream).unwrap().text(), "one");
}
