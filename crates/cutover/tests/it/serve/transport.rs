//! TLS, HTTP/2, the PROXY protocol and side servers, with real peers.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use super::client::{connect, read_reply};
use super::server::App;

fn certificate(dir: &std::path::Path, name: &str) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

fn curl(args: &[&str]) -> String {
    let out = Command::new("curl").args(["-sS", "--max-time", "20"]).args(args).output().unwrap();
    assert!(out.status.success(), "curl {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn tls_speaks_http_1_and_2_and_follows_its_files() {
    let app = App::new(
        "[serve]\nlisten = [{ addr = \"127.0.0.1:0\", tls = true }]\ntls = [{ cert = \"cert.pem\", key = \"key.pem\" }]\n",
    )
    .release("r1", &[("public/a.txt", "one")])
    .live("r1");
    certificate(app.root(), "shop.test");
    let server = app.serve();
    let (port, dir) = (server.port(), server.app.root().to_owned());
    let url = format!("https://shop.test:{port}/a.txt");
    let resolve = format!("shop.test:{port}:127.0.0.1");
    let ask = |version: &str| {
        let cert = dir.join("cert.pem");
        curl(&[
            version,
            "--cacert",
            cert.to_str().unwrap(),
            "--resolve",
            &resolve,
            "-w",
            " %{http_version}",
            &url,
        ])
    };
    assert_eq!(ask("--http1.1"), "one 1.1");
    assert_eq!(ask("--http2"), "one 2");
    // A new pair is taken up by itself; while its two halves do not match, the old one stays.
    let old_key = std::fs::read(dir.join("key.pem")).unwrap();
    certificate(&dir, "shop.test");
    let new_key = std::fs::read(dir.join("key.pem")).unwrap();
    std::fs::write(dir.join("key.pem"), old_key).unwrap();
    server.wait_for("the mismatch", |log| log.contains("do not belong together"));
    let insecure = curl(&["-k", "--resolve", &resolve, &url]);
    assert_eq!(insecure, "one");
    std::fs::write(dir.join("key.pem"), new_key).unwrap();
    server.wait_for("the new pair", |log| log.contains("new certificates are in use"));
    assert_eq!(ask("--http2"), "one 2");
}

#[test]
fn http_2_with_prior_knowledge_works_without_tls() {
    let server = App::new("").release("r1", &[("public/a.txt", "one")]).live("r1").serve();
    let url = format!("http://127.0.0.1:{}/a.txt", server.port());
    assert_eq!(curl(&["--http2-prior-knowledge", "-w", " %{http_version}", &url]), "one 2");
}

#[test]
fn the_proxy_protocol_is_believed_from_trusted_peers_only() {
    let config = |trusted: &str| {
        format!(
            "[serve]\nlisten = [{{ addr = \"127.0.0.1:0\", proxy_protocol = true }}]\ntrusted_proxies = [\"{trusted}\"]\n\
             [serve.log]\naccess = \"access.log\"\n"
        )
    };
    let hello = b"PROXY TCP4 192.0.2.7 192.0.2.1 5555 80\r\nGET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let trusted =
        App::new(&config("127.0.0.0/8")).release("r1", &[("public/a.txt", "one")]).live("r1").serve();
    let mut stream = connect(trusted.port());
    stream.write_all(hello).unwrap();
    assert_eq!(read_reply(&mut stream).unwrap().text(), "one");
    let log = trusted.app.root().join("access.log");
    let until = std::time::Instant::now() + super::server::LONG;
    while !std::fs::read_to_string(&log).is_ok_and(|text| text.starts_with("192.0.2.7 ")) {
        assert!(std::time::Instant::now() < until, "{:?}", std::fs::read_to_string(&log));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let stranger =
        App::new(&config("10.0.0.0/8")).release("r1", &[("public/a.txt", "one")]).live("r1").serve();
    let mut stream = connect(stranger.port());
    // It may be closed before or after this was written.
    drop(stream.write_all(hello));
    assert!(read_reply(&mut stream).is_none());
}

#[test]
fn a_side_server_gets_its_path_and_a_websocket_goes_through() {
    let side = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = side.local_addr().unwrap().port();
    let server = App::new(&format!("[[serve.forward]]\npath = \"/ws\"\nto = \"127.0.0.1:{port}\"\n"))
        .release("r1", &[("public/a.txt", "one")])
        .live("r1")
        .serve();
    let peer = std::thread::spawn(move || {
        let (mut stream, _) = side.accept().unwrap();
        let head = read_head(&mut stream);
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
            .unwrap();
        let mut bytes = [0u8; 5];
        stream.read_exact(&mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
        head
    });
    let mut client = connect(server.port());
    client
        .write_all(b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n")
        .unwrap();
    let head = read_head(&mut client);
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    client.write_all(b"hello").unwrap();
    let mut echo = [0u8; 5];
    client.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"hello");
    let seen = peer.join().unwrap().to_lowercase();
    assert!(seen.contains("x-forwarded-for: 127.0.0.1"), "{seen}");
    assert!(!seen.contains("9.9.9.9"), "{seen}");
    // The side server is gone now: its visitors are told, and the rest of the site is as it was.
    assert_eq!(server.get("/ws").status, 502);
    assert_eq!(server.get("/a.txt").text(), "one");
}

fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0u8];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}
