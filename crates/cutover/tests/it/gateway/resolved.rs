//! nginx looked in a release, and the link was flipped before it asked us: what it found there is not what counts.
//!
//! It looks when it has a request's head and asks when it has its body: who waits for `100 Continue` and flips then
//! stands exactly between the two.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::front::Kind;
use super::stand::{CONFIG, Stand, serve};
use crate::serve::client::{connect, read_reply};
use crate::serve::server::App;

const TELL: &str = "<?php echo $_SERVER['CUTOVER_RELEASE'], ' ', basename(dirname(__DIR__)), ' ', $_SERVER['SCRIPT_NAME'], \
                    $_SERVER['PATH_INFO'] ?? '', ' ', file_get_contents('php://input');";
/// Hands over a file that lies outside of the docroot, by a path of nginx's own.
const HANDS: &str = "<?php header('X-Accel-Redirect: /protected/film.txt');";

/// r1 is live; r2 has what r1 has not, and lacks what it has.
fn stand() -> Stand {
    let mut app = App::new(CONFIG);
    for id in ["r1", "r2"] {
        let film = format!("film of {id}");
        app = app.release(
            id,
            &[("public/index.php", TELL), ("public/both.php", TELL), ("public/hands.php", HANDS)],
        );
        app = app.release(id, &[("protected/film.txt", &film)]);
    }
    let app = app
        .release(
            "r1",
            &[("public/old.php", TELL), ("public/dir/index.php", TELL), ("public/turns", "a file")],
        )
        .release("r2", &[("public/new.php", TELL), ("public/new.txt", "of r2")])
        .release("r2", &[("public/turns/index.html", "a directory")]);
    Stand::of(serve(app.sealed("r1").sealed("r2").live("r1")), Kind::NginxWithFiles, "/public")
}

/// A visitor's request that nginx has looked up, and has not asked us for yet.
fn looked_up(stand: &Stand, path: &str) -> TcpStream {
    let mut stream = connect(stand.front.port);
    let head = "Host: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 4";
    stream.write_all(format!("GET {path} HTTP/1.1\r\n{head}\r\n\r\n").as_bytes()).unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n", "{path}: {}", String::from_utf8_lossy(&told));
    stream
}

/// What it gets, and of which release.
fn got(mut stream: TcpStream) -> String {
    stream.write_all(b"a=42").unwrap();
    let reply = read_reply(&mut stream).expect("an answer");
    // PHP's come in chunks.
    let text = reply.text();
    let text = match reply.header("transfer-encoding") {
        Some(_) => text.split("\r\n").nth(1).unwrap_or_default().to_owned(),
        None => text,
    };
    assert_eq!(reply.status, 200, "{}\n{text}", reply.head);
    text
}

const TABLE: [(&str, &str); 8] = [
    ("/both.php/info", "r2 r2 /both.php/info a=42"),
    ("/old.php", "r2 r2 /index.php a=42"),
    ("/new.php", "r2 r2 /new.php a=42"),
    ("/new.txt", "of r2"),
    ("/none?x=1", "r2 r2 /index.php a=42"),
    // nginx asks the front controller for directories, whichever release has them.
    ("/dir/", "r2 r2 /index.php a=42"),
    ("/turns/", "r2 r2 /index.php a=42"),
    ("/hands.php", "film of r2"),
];

#[test]
fn what_nginx_found_before_a_flip_is_answered_by_the_release_that_is_live_when_it_asks() {
    let stand = stand();
    let under_way = TABLE.map(|(path, _)| looked_up(&stand, path));
    stand.server.app.link("releases/r2");
    for ((path, wanted), visitor) in TABLE.iter().zip(under_way) {
        assert_eq!(got(visitor), *wanted, "{path}\n{}", stand.said());
    }
    // As it is answered when nginx looks in r2 itself.
    for (path, wanted) in TABLE.iter().filter(|(path, _)| *path != "/new.txt") {
        assert_eq!(got(looked_up(&stand, path)), *wanted, "{path}\n{}", stand.said());
    }
}

/// The bound: a release that is pruned within that moment cannot be asked any more what nginx saw in it. Where it
/// named the front controller, a file of that path counts.
#[test]
fn what_nginx_found_in_a_release_that_is_pruned_by_then_is_answered_too() {
    let stand = stand();
    let under_way = TABLE.map(|(path, _)| looked_up(&stand, path));
    stand.server.app.link("releases/r2");
    std::fs::remove_dir_all(stand.server.app.root().join("releases/r1")).unwrap();
    for ((path, wanted), visitor) in TABLE.iter().zip(under_way) {
        let wanted = if *path == "/turns/" { "a directory" } else { wanted };
        assert_eq!(got(visitor), wanted, "{path}\n{}", stand.said());
    }
}
