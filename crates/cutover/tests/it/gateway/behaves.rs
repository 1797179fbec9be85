//! What a visitor sees through each web server, and what PHP is told.

use std::fs;
use std::io::{Read, Write};

use super::front::Kind;
use super::stand::{CONFIG, Stand, serve};
use crate::serve::client::connect;
use crate::serve::server::App;

const TELL: &str = "<?php header('Content-Type: text/plain'); foreach ($_SERVER as $k => $v) if (is_string($v)) echo \"$k=$v\\n\";";
const TAKE: &str = "<?php $b = file_get_contents('php://input'); echo $_SERVER['CONTENT_LENGTH'] ?? 'none', ' ', strlen($b), ' ', md5($b);";
const LARGE: &str = "<?php for ($i = 0; $i < 80; $i++) echo str_repeat(chr(65 + $i % 26), 65536);";
/// Runs on behind its answer until there is a file `gate` in the app.
const FINISH: &str = "<?php echo 'done'; fastcgi_finish_request();
    while (!file_exists(dirname(__DIR__, 3) . '/gate')) { clearstatcache(); usleep(2000); }";

fn shop(kind: Kind) -> Stand {
    let mut app = App::new(CONFIG);
    for id in ["r1", "r2"] {
        let css = format!("css of {id}");
        app = app.release(
            id,
            &[
                ("public/index.php", TELL),
                ("public/a/b.php", TELL),
                ("public/take.php", TAKE),
                ("public/large.php", LARGE),
                ("public/finish.php", FINISH),
                ("public/own.css", &css),
                ("public/dir/index.html", id),
            ],
        );
    }
    Stand::of(serve(app.sealed("r1").live("r1")), kind, "/public")
}

/// Whether the line is one of what was told.
fn tells(told: &str, line: &str) {
    assert!(told.lines().any(|own| own == line), "{line} is not in\n{told}");
}

fn behaves(kind: Kind) {
    let stand = shop(kind);
    let root = fs::canonicalize(stand.server.app.root()).unwrap().join("releases/r1");
    let root = root.display();

    let reply = stand.get("/a/b.php/more%20info?x=%20&y");
    assert_eq!((reply.status, reply.release()), (200, "r1"), "{}\n{}", reply.text(), stand.said());
    let told = reply.text();
    for line in [
        format!("SCRIPT_FILENAME={root}/public/a/b.php"),
        format!("DOCUMENT_ROOT={root}/public"),
        format!("CUTOVER_RELEASE_ROOT={root}"),
        format!("PATH_TRANSLATED={root}/public/more info"),
        "CUTOVER_RELEASE=r1".into(),
        "SCRIPT_NAME=/a/b.php".into(),
        "PATH_INFO=/more info".into(),
        "PHP_SELF=/a/b.php/more info".into(),
        "REQUEST_URI=/a/b.php/more%20info?x=%20&y".into(),
        "QUERY_STRING=x=%20&y".into(),
        "REQUEST_METHOD=GET".into(),
        "REMOTE_ADDR=127.0.0.1".into(),
        "HTTP_HOST=shop.example.com".into(),
    ] {
        tells(&told, &line);
    }
    assert!(!told.contains("/current"), "{told}");
    let front = stand.get("/no/such/page?q=1").text();
    for line in ["SCRIPT_NAME=/index.php", "REQUEST_URI=/no/such/page?q=1", "QUERY_STRING=q=1"] {
        tells(&front, line);
    }
    assert!(!front.contains("PATH_INFO="), "{front}");
    tells(&stand.get("/").text(), "SCRIPT_NAME=/index.php");

    let css = stand.get("/own.css");
    assert_eq!((css.status, css.text().as_str(), css.release()), (200, "css of r1", "r1"));
    assert_eq!(css.header("content-type"), Some("text/css; charset=utf-8"));
    assert_eq!(stand.get("/dir/").text(), "r1");
    let moved = stand.get("/dir?q=1");
    assert_eq!(moved.status, 301, "{}", stand.said());
    assert!(moved.header("location").is_some_and(|to| to.ends_with("/dir/?q=1")), "{}", moved.head);
    assert_eq!(stand.get("/.git/config").status, 404);

    for len in [0, 5, 70_000, 3_000_000] {
        let body = vec![b'p'; len];
        let head =
            format!("POST /take.php HTTP/1.0\r\nHost: shop.example.com\r\nContent-Length: {len}\r\n\r\n");
        let taken = stand.ask([head.as_bytes(), &body].concat()).text();
        assert!(taken.starts_with(&format!("{len} {len} ")), "{taken}\n{}", stand.said());
    }

    let mut stream = connect(stand.front.port);
    stream
        .write_all(b"HEAD /own.css HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut head = String::new();
    stream.read_to_string(&mut head).unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    let large = stand.get("/large.php");
    let letters = large.body.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    assert_eq!(letters, 80 * 65_536, "{}", stand.said());

    // The answer does not wait for the worker.
    assert!(stand.get("/finish.php").text().contains("done"));
    stand.server.app.link("releases/r2");
    let pinned = stand.server.app.cutover(&["status", "--json"]);
    assert!(pinned.contains("r1"), "the worker still holds it: {pinned}");
    assert_eq!(stand.get("/own.css").text(), "css of r2");
    fs::write(stand.server.app.root().join("gate"), "").unwrap();
    tells(&stand.get("/no/such/page").text(), "CUTOVER_RELEASE=r2");
}

#[test]
fn nginx_in_front() {
    behaves(Kind::Nginx);
}

#[test]
fn apache_in_front_by_a_handler() {
    behaves(Kind::ApacheSetHandler);
}

#[test]
fn apache_in_front_by_a_pattern() {
    behaves(Kind::ApacheProxyPassMatch);
}

#[test]
fn lighttpd_in_front() {
    behaves(Kind::Lighttpd);
}

#[test]
fn caddy_in_front() {
    behaves(Kind::Caddy);
}

#[test]
fn haproxy_in_front() {
    behaves(Kind::Haproxy);
}
