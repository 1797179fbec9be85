//! Bad input: each refused with its own status, and the server none the worse for it.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::client::{connect, read_reply, request};
use super::server::{App, Server};

fn shop() -> Server {
    App::new("").release("r1", &[("public/a.txt", "one")]).live("r1").serve()
}

#[test]
fn malformed_and_smuggled_requests_get_400_and_the_connection_ends() {
    let server = shop();
    let table: &[(&str, &[u8])] = &[
        ("both framings", b"POST /a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("two lengths", b"POST /a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd"),
        ("bare LF", b"GET /a.txt HTTP/1.1\nHost: a\n\n"),
        ("LF in the headers", b"GET /a.txt HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
        ("folded header", b"GET /a.txt HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n"),
        ("no host", b"GET /a.txt HTTP/1.1\r\n\r\n"),
        ("two hosts", b"GET /a.txt HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        ("space before colon", b"GET /a.txt HTTP/1.1\r\nHost : a\r\n\r\n"),
        ("coding nobody knows", b"POST /a.txt HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n"),
        ("NUL in a value", b"GET /a.txt HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"),
        ("no request at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        ("our own stand-in", b"CUTOVER-REFUSED / HTTP/1.1\r\nhost: refused\r\n\r\n"),
    ];
    for (what, bytes) in table {
        let mut stream = connect(server.port());
        stream.write_all(bytes).unwrap();
        stream.write_all(b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let reply = read_reply(&mut stream).unwrap_or_else(|| panic!("no answer to {what}"));
        assert_eq!(reply.status, 400, "{what}: {}", reply.head);
        assert_eq!(reply.header("connection"), Some("close"), "{what}");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "{what}: more than one answer");
    }
    assert_eq!(server.get("/a.txt").status, 200);
}

#[test]
fn a_refused_request_behind_a_good_one_does_not_spoil_the_good_one() {
    let server = shop();
    let mut stream = connect(server.port());
    stream.write_all(b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\nGET /a.txt HTTP/1.1\r\n\r\n").unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let text = String::from_utf8_lossy(&all);
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    assert!(text.contains("HTTP/1.1 400 Bad Request"), "{text}");
    assert!(text.contains("the request has no Host"), "{text}");
}

#[test]
fn oversized_heads_and_targets_have_their_own_statuses() {
    let server = App::new(
        "[serve]\nlisten = [\"127.0.0.1:0\"]\n[serve.limits]\nheader_bytes = \"8K\"\nuri_bytes = \"2K\"\nbody = \"1K\"\n",
    )
    .release("r1", &[("public/a.txt", "one")])
    .live("r1")
    .serve();
    let long = "a".repeat(3000);
    assert_eq!(server.get(&format!("/{long}")).status, 414);
    let field = format!("X: {}\r\n", "b".repeat(9000));
    assert_eq!(server.get_with("/a.txt", &field).status, 431);
    let fields = "X: y\r\n".repeat(200);
    assert_eq!(server.get_with("/a.txt", &fields).status, 431);
    assert_eq!(request(server.port(), "GET / HTTP/3.0\r\nHost: a\r\n\r\n").status, 505);
}

#[test]
fn paths_that_mean_to_leave_are_refused_however_they_are_written() {
    let server = App::new("")
        .release(
            "r1",
            &[
                ("public/a.txt", "one"),
                ("public/.env", "SECRET"),
                ("public/.git/config", "SECRET"),
                ("secret.txt", "SECRET"),
                ("public/.well-known/x", "known"),
                ("public/x.php", "<?php SECRET"),
                ("public/X.PHP", "<?php SECRET"),
                ("public/y.phtml", "<?php SECRET"),
            ],
        )
        .live("r1");
    let root = server.root().join("releases/r1/public");
    std::os::unix::fs::symlink("/etc", root.join("etc")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", root.join("passwd.txt")).unwrap();
    std::os::unix::fs::symlink("../secret.txt", root.join("inside.txt")).unwrap();
    let server = server.serve();
    let refused = [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/a/../../secret.txt",
        "/.%2e/secret.txt",
        "/%252e%252e/secret.txt",
        "/a.txt%00.html",
        "/.env",
        "/.git/config",
        "/%2egit/config",
        "/etc/passwd",
        "/passwd.txt",
        "/x.php",
        "/X.PHP",
        "/x.PHP",
        "/y.phtml",
        "/x.php/",
        "/x.php/..",
        "/x.php%20",
        "/x.php.",
        "//etc/passwd",
        "/\\..\\secret.txt",
        "/cutover.toml",
    ];
    for path in refused {
        let reply = server.get(path);
        assert!((400..500).contains(&reply.status), "{path}: {}", reply.status);
        for secret in ["SECRET", "root:"] {
            assert!(!reply.text().contains(secret), "{path} shows {secret}");
        }
    }
    assert_eq!(server.get("/.well-known/x").text(), "known");
    assert_eq!(server.get("/a%2etxt").text(), "one");
}

#[test]
fn a_client_that_trickles_its_head_is_told_so_and_let_go() {
    let server = App::new(
        "[serve]\nlisten = [\"127.0.0.1:0\"]\n[serve.limits]\nheader_timeout = \"1s\"\nidle = \"2s\"\n",
    )
    .release("r1", &[("public/a.txt", "one")])
    .live("r1")
    .serve();
    let mut slow = connect(server.port());
    let mut idle = connect(server.port());
    let began = Instant::now();
    let mut head =
        b"GET /a.txt HTTP/1.1\r\nHost: a\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".iter();
    while began.elapsed() < Duration::from_millis(900) {
        slow.write_all(&[*head.next().unwrap()]).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    let reply = read_reply(&mut slow).unwrap();
    assert_eq!(reply.status, 408);
    // Nobody answers who asks nothing: an idle connection is just closed.
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
    assert_eq!(server.get("/a.txt").status, 200);
}
