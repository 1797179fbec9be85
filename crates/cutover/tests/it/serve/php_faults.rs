//! PHP that is not there, is slow, is full, or is no PHP at all: each has its status, and its line in the log.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::{Duration, Instant};

use super::client::request;
use super::server::{App, LONG, Server};

fn site(php: &str) -> App {
    App::new(&format!("[php]\n{php}\n"))
        .release("r1", &[("public/index.php", "<?php echo 'hello';")])
        .live("r1")
}

/// A site whose php-fpm is a socket that treats each connection so.
fn behind(php: &str, conduct: fn(std::os::unix::net::UnixStream)) -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fpm.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || conduct(stream.unwrap()));
        }
    });
    (site(&format!("fpm = \"unix:{}\"\n{php}", path.display())).serve(), dir)
}

fn assert_told(server: &Server, status: u16, logged: &str) {
    let reply = server.get("/");
    assert_eq!(reply.status, status, "{}", server.log());
    assert_eq!(reply.release(), "r1");
    server.wait_for(logged, |log| log.contains(logged) && log.contains("index.php"));
}

#[test]
fn nobody_listens() {
    assert_told(&site("fpm = \"unix:/nowhere/fpm.sock\"").serve(), 502, "unix:/nowhere/fpm.sock");
    assert_told(&site("fpm = \"127.0.0.1:1\"").serve(), 502, "127.0.0.1:1");
}

#[test]
fn it_does_not_speak_fastcgi() {
    let (server, _dir) = behind("", |mut stream| stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").unwrap());
    assert_told(&server, 502, "not FastCGI");
}

#[test]
fn it_closes_early() {
    let (server, _dir) = behind("", |mut stream| {
        let mut bytes = [0; 100];
        stream.read_exact(&mut bytes).unwrap();
    });
    assert_told(&server, 502, "closed before the response");
}

#[test]
fn it_hangs() {
    let (server, _dir) = behind("read_timeout = \"300ms\"", |_stream| thread::sleep(LONG));
    assert_told(&server, 504, "silence");
}

/// Works for as long as the file stands that tells of it.
const BUSY: &str = "<?php $begun = dirname(__DIR__, 3) . '/begun'; touch($begun);
    while (file_exists($begun)) { clearstatcache(); usleep(2000); }";

#[test]
fn all_workers_are_busy_for_too_long() {
    let server = App::new("[php]\nworkers = 1\nconnections = 1\nqueue_timeout = \"300ms\"\n")
        .release("r1", &[("public/index.php", BUSY)])
        .live("r1");
    // What the script writes there belongs to another user than root.
    std::fs::set_permissions(server.root(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let server = server.serve();
    let begun = server.app.root().join("begun");
    let port = server.port();
    let first =
        thread::spawn(move || request(port, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").status);
    let until = Instant::now() + LONG;
    while !begun.exists() {
        assert!(Instant::now() < until, "the first request never came to PHP");
        thread::sleep(Duration::from_millis(5));
    }
    assert_told(&server, 503, "no connection got free");
    std::fs::remove_file(begun).unwrap();
    assert_eq!(first.join().unwrap(), 200);
}

#[test]
fn a_script_that_dies_says_so_in_the_log_with_its_release() {
    let server = App::new(
        "[php]\nworkers = 1\nconnections = 1\nini = { log_errors = \"1\", display_errors = \"0\" }\n",
    )
    .release("r1", &[("public/index.php", "<?php error_log('a word'); nothing_of_that_name();")])
    .live("r1")
    .serve();
    assert_eq!(server.get("/").status, 500);
    server.wait_for("its words", |log| {
        let all = ["r1 public/index.php: ", "a word", "nothing_of_that_name"];
        all.iter().all(|word| log.contains(word))
    });
}

#[test]
fn a_body_beyond_the_limit_is_refused() {
    let server = App::new("[php]\nworkers = 1\nconnections = 1\n[serve]\nlisten = [\"127.0.0.1:0\"]\nlimits = { body = \"1k\" }\n")
        .release("r1", &[("public/index.php", "<?php echo strlen(file_get_contents('php://input'));")])
        .live("r1")
        .serve();
    let post = |len: usize| {
        let head =
            format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n");
        request(server.port(), [head.as_bytes(), &vec![b'x'; len]].concat())
    };
    assert_eq!(post(1_024).text(), "1024");
    assert_eq!(post(1_025).status, 413);
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        2_000,
        "x".repeat(2_000)
    );
    assert_eq!(request(server.port(), chunked).status, 413);
}
