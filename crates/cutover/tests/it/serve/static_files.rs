//! Static files: what the wire carries. (What a path stands for is tested in `serve` itself.)

use std::io::Write;

use super::client::{connect, read_reply, request};
use super::server::App;

#[test]
fn a_release_answers_until_it_is_flipped_and_the_next_from_then_on() {
    let server = App::new("")
        .release("r1", &[("public/a.txt", "one"), ("public/only1.txt", "one")])
        .release("r2", &[("public/a.txt", "two")])
        .sealed("r1")
        .sealed("r2")
        .live("r1")
        .serve();
    let mut kept = connect(server.port());
    let mut get = |path: &str| {
        write!(kept, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        read_reply(&mut kept).unwrap()
    };
    for _flip in 0..50 {
        server.app.cutover(&["flip", "r1"]);
        let reply = get("/a.txt");
        assert_eq!((reply.status, reply.release(), reply.text().as_str()), (200, "r1", "one"));
        assert_eq!(get("/only1.txt").status, 200);
        server.app.link("releases/r2");
        let reply = get("/a.txt");
        assert_eq!((reply.status, reply.release(), reply.text().as_str()), (200, "r2", "two"));
        let gone = get("/only1.txt");
        assert_eq!((gone.status, gone.release()), (404, "r2"));
    }
}

#[test]
fn a_large_file_arrives_whole_though_the_release_is_flipped_and_pruned_meanwhile() {
    let line = |id: &str| format!("{id} says this in every line of its largest file\n");
    let large = |id: &str| line(id).repeat(400_000);
    let server = App::new("")
        .release("r1", &[("public/large.txt", &large("r1"))])
        .release("r2", &[("public/large.txt", &large("r2"))])
        .sealed("r1")
        .sealed("r2")
        .live("r1")
        .serve();
    let mut slow = connect(server.port());
    write!(slow, "GET /large.txt HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    // The answer begins: r1 is what it is of.
    slow.peek(&mut [0]).unwrap();
    server.app.cutover(&["flip", "r2"]);
    assert_eq!(server.get("/large.txt").body, large("r2").into_bytes());
    let reply = read_reply(&mut slow).unwrap();
    assert_eq!((reply.status, reply.release()), (200, "r1"));
    assert!(reply.body == large("r1").into_bytes(), "{} bytes", reply.body.len());
}

#[test]
fn pipelined_requests_are_answered_in_order_large_and_small() {
    let large = "0123456789abcdef".repeat(200_000);
    let server = App::new("")
        .release("r1", &[("public/a.txt", "a"), ("public/large.txt", &large)])
        .sealed("r1")
        .live("r1")
        .serve();
    let mut stream = connect(server.port());
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let all = [get("/a.txt"), get("/large.txt"), get("/none"), get("/large.txt"), get("/a.txt")].concat();
    stream.write_all(all.as_bytes()).unwrap();
    let statuses: Vec<(u16, usize)> = (0..5).map(|_| one(&mut stream)).collect();
    assert_eq!(statuses[..2], [(200, 1), (200, large.len())]);
    assert_eq!(statuses[2].0, 404);
    assert_eq!(statuses[3..], [(200, large.len()), (200, 1)]);
}

/// Reads exactly one response off a pipelined connection.
fn one(stream: &mut std::net::TcpStream) -> (u16, usize) {
    use std::io::Read;
    let mut head = Vec::new();
    let mut byte = [0u8];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), length)
}

#[test]
fn ranges_of_a_large_file_are_cut_exactly() {
    let large: String = (0..300_000).map(|n| format!("{n:09}\n")).collect();
    let server = App::new("").release("r1", &[("public/large.txt", &large)]).sealed("r1").live("r1").serve();
    let bytes = large.as_bytes();
    let reply = server.get_with("/large.txt", "Range: bytes=1000000-1999999\r\n");
    assert_eq!(reply.status, 206);
    assert!(reply.body == bytes[1_000_000..2_000_000]);
    let reply = server.get_with("/large.txt", "Range: bytes=-10\r\n");
    assert_eq!((reply.status, reply.text().as_str()), (206, "000299999\n"));
    let reply = server.get_with("/large.txt", "Range: bytes=0-9,2000000-2999999\r\n");
    assert_eq!(reply.status, 206);
    assert!(reply.header("content-type").unwrap().starts_with("multipart/byteranges"), "{}", reply.head);
    assert!(reply.body.windows(1000).any(|window| window == &bytes[2_000_000..2_001_000]));
    assert_eq!(server.get_with("/large.txt", "Range: bytes=9999999-\r\n").status, 416);
}

#[test]
fn head_gives_the_same_fields_and_no_body() {
    let server = App::new("").release("r1", &[("public/a.txt", "one")]).live("r1").serve();
    let reply =
        request(server.port(), "HEAD /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".as_bytes());
    assert_eq!(reply.header("content-length"), Some("3"));
    // A body of three bytes was promised and must not come: the connection ends instead.
    assert!(reply.body.is_empty());
}
