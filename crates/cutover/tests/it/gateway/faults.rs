//! A pool that is down, slow or full: visitors are told by a status of ours, the log by its reason, and what needs no
//! PHP is answered as ever.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::net;

use super::front::Kind;
use super::pool::Pool;
use super::stand::{CONFIG, Stand, serve_as, status, until};
use crate::serve::server::App;

const SLOW: &str = "<?php if (isset($_GET['slow'])) sleep(600); echo 'php';";

/// nginx before the gateway before whatever is at this socket; with more keys of `[php]`.
fn before(socket: &std::path::Path, php: &str) -> Stand {
    let app = App::new(CONFIG)
        .release(
            "r1",
            &[("public/index.php", SLOW), ("public/a.txt", "one"), ("public/busy.html", "our own page")],
        )
        .sealed("r1")
        .live("r1");
    let text = app.config().replace("/ROOT", &app.root().display().to_string());
    let text = text.split("[php.ini]").next().unwrap().replace("workers = 4\n", php);
    let text = text.replace("\"embedded\"", &format!("\"unix:{}\"", socket.display()));
    let text = format!("{text}[site.error]\n503 = \"/busy.html\"\n");
    Stand::of(serve_as(app, &text), Kind::Nginx, "/public")
}

/// The status, the release that it is told of, what the log says; and what is still true.
fn is_told(stand: &mut Stand, status: u16, logged: &str) {
    let reply = stand.get("/");
    assert_eq!((reply.status, reply.release()), (status, "r1"), "{}\n{}", reply.text(), stand.said());
    let wanted = format!("index.php: {status}: ");
    stand.server.wait_for(logged, |log| {
        log.lines().any(|line| line.contains("r1 ") && line.contains(&wanted) && line.contains(logged))
    });
    assert_eq!(stand.get("/a.txt").text(), "one", "{}", stand.said());
}

#[test]
fn one_that_is_down_is_a_502_and_answers_again_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let mut stand = before(&dir.path().join("fpm.sock"), "");
    is_told(&mut stand, 502, "fpm.sock");
    let pool = Pool::start(dir.path(), "");
    assert_eq!(stand.get("/").text(), "php");
    // It ends while its connections are kept.
    drop(pool);
    is_told(&mut stand, 502, "fpm.sock");
    let _pool = Pool::start(dir.path(), "");
    assert_eq!(stand.get("/").text(), "php");
}

#[test]
fn one_that_says_nothing_is_a_504() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("fpm.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            held.push(stream.unwrap());
        }
    });
    let mut stand = before(&socket, "read_timeout = \"500ms\"\n");
    is_told(&mut stand, 504, "silence");
}

#[test]
fn one_whose_workers_are_all_busy_is_a_503_with_the_page_of_the_release() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let pool = Pool::start(dir.path(), "");
    let mut stand = before(&pool.socket, "connections = 2\nexclusive = true\nqueue_timeout = \"500ms\"\n");
    let port = stand.front.port;
    let slow: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = crate::serve::client::connect(port);
            std::io::Write::write_all(&mut stream, b"GET /?slow HTTP/1.0\r\nHost: a\r\n\r\n").unwrap();
            stream
        })
        .collect();
    until("they are in hand", &stand.server, || status(&stand.server).sites[0].in_flight == 2);
    is_told(&mut stand, 503, "no connection got free");
    assert_eq!(stand.get("/").text(), "our own page");
    drop(slow);
}

/// Nobody accepts, and no more may wait: what a pool with a full `listen.backlog` looks like.
#[test]
fn one_whose_backlog_is_full_is_told_too() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("fpm.sock");
    let listener = net::socket(net::AddressFamily::UNIX, net::SocketType::STREAM, None).unwrap();
    net::bind(&listener, &net::SocketAddrUnix::new(&socket).unwrap()).unwrap();
    net::listen(&listener, 0).unwrap();
    let _waits = UnixStream::connect(&socket).unwrap();
    let mut stand = before(&socket, "connect_timeout = \"500ms\"\n");
    is_told(&mut stand, 504, "fpm.sock");
}
