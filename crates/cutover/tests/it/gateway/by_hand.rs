//! The protocol, by hand: what every web server may say, and what none should.

use std::time::{Duration, Instant};

use fastcgi::record::{Kind, ProtocolStatus, Role, write_record};
use fastcgi::request::{write_abort, write_begin, write_probe, write_stdin, write_stdin_end};

use super::stand::{CONFIG, serve, serve_as};
use super::wire::{Wire, params};
use crate::serve::server::{App, LONG, Server};

const FRONT: [(&str, &str); 2] = [("SCRIPT_NAME", "/index.php"), ("REQUEST_URI", "/")];

fn app(code: &str) -> App {
    App::new(CONFIG).release("r1", &[("public/index.php", code), ("public/a.txt", "one")]).live("r1")
}

fn shop(code: &str) -> Server {
    serve(app(code))
}

/// With one worker and more keys of `[serve.limits]` and `[php]`.
fn tight(code: &str, limits: &str, php: &str) -> Server {
    let app = app(code);
    let text = app.config().replace("/ROOT", &app.root().display().to_string());
    let text = text.replace("workers = 4\n", &format!("workers = 1\nconnections = 1\n{php}"));
    serve_as(app, &format!("{text}\n[serve.limits]\n{limits}"))
}

fn begun(pairs: &[(&str, &str)], keep: bool) -> Vec<u8> {
    let mut out = Vec::new();
    write_begin(&mut out, 1, Role::Responder, keep, &params(pairs));
    out
}

#[test]
fn a_kept_connection_is_used_again_and_another_is_closed() {
    let server = shop("<?php echo 'php';");
    let mut wire = Wire::to(server.port());
    for _ in 0..3 {
        let answer = wire.ask(&FRONT, b"");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "php"));
        assert_eq!(answer.header("content-length"), Some("3"));
        assert_eq!(wire.ask(&[("SCRIPT_NAME", "/a.txt")], b"").text(), "one");
    }
    let mut out = begun(&FRONT, false);
    write_stdin_end(&mut out, 1);
    wire.send(&out);
    assert_eq!(wire.answer().text(), "php");
    assert!(wire.is_closed());
}

#[test]
fn questions_about_the_gateway_are_answered_also_within_a_request() {
    let server = shop("<?php usleep(200000); echo 'php';");
    let mut wire = Wire::to(server.port());
    let mut out = Vec::new();
    write_record(&mut out, Kind::GetValues, 0, b"\x0f\x00FCGI_MPXS_CONNS\x0e\x00FCGI_MAX_CONNS\x05\x00OTHER");
    wire.send(&out);
    let values = wire.record().unwrap();
    assert_eq!(values.kind, Kind::GetValuesResult.byte());
    let told: Vec<_> = fastcgi::params::pairs(&values.content).map(|pair| pair.unwrap()).collect();
    assert_eq!(told, [(&b"FCGI_MPXS_CONNS"[..], &b"0"[..]), (b"FCGI_MAX_CONNS", b"4096")]);

    wire.send(&[1, 99, 0, 0, 0, 3, 5, 0, b'a', b'b', b'c', 0, 0, 0, 0, 0]);
    let unknown = wire.record().unwrap();
    assert_eq!((unknown.kind, unknown.content[0]), (Kind::UnknownType.byte(), 99));

    let mut out = begun(&FRONT, true);
    write_stdin_end(&mut out, 1);
    write_probe(&mut out);
    // A second request meanwhile.
    write_begin(&mut out, 2, Role::Responder, true, &params(&FRONT));
    write_stdin_end(&mut out, 2);
    wire.send(&out);
    assert_eq!(wire.record().unwrap().kind, Kind::GetValuesResult.byte());
    let refused = wire.record().unwrap();
    let (kind, id) = (refused.kind, refused.id);
    assert_eq!((kind, id), (Kind::Stdout.byte(), 2));
    let ended = wire.record().unwrap();
    assert_eq!((ended.kind, ended.id), (Kind::EndRequest.byte(), 2));
    assert_eq!(ProtocolStatus::from_byte(ended.content[4]), Some(ProtocolStatus::CantMultiplex));
    assert_eq!(wire.answer().text(), "php");
    assert_eq!(wire.ask(&FRONT, b"").text(), "php");
}

#[test]
fn other_roles_are_refused_and_the_connection_goes_on() {
    let server = shop("<?php echo 'php';");
    let mut wire = Wire::to(server.port());
    for role in [Role::Authorizer, Role::Filter] {
        let mut out = Vec::new();
        write_begin(&mut out, 1, role, true, &params(&FRONT));
        write_stdin_end(&mut out, 1);
        wire.send(&out);
        assert_eq!(wire.answer().protocol, ProtocolStatus::UnknownRole);
    }
    let mut out = Vec::new();
    write_record(&mut out, Kind::BeginRequest, 1, &[0, 77, 1, 0, 0, 0, 0, 0]);
    wire.send(&out);
    assert_eq!(wire.answer().protocol, ProtocolStatus::UnknownRole);
    assert_eq!(wire.ask(&FRONT, b"").text(), "php");
}

#[test]
fn a_request_that_is_given_up_ends_and_its_worker_is_free() {
    let server = tight(
        "<?php if (isset($_GET['slow'])) for (;;) { echo str_repeat('x', 9000); flush(); usleep(10000); } echo 'php';",
        "",
        "",
    );
    let slow = [("SCRIPT_NAME", "/index.php"), ("REQUEST_URI", "/?slow"), ("QUERY_STRING", "slow")];
    let mut wire = Wire::to(server.port());
    let mut out = begun(&slow, true);
    write_stdin_end(&mut out, 1);
    wire.send(&out);
    assert_eq!(wire.record().unwrap().kind, Kind::Stdout.byte());
    let mut out = Vec::new();
    write_abort(&mut out, 1);
    wire.send(&out);
    wire.answer();
    // The connection is as good as before, and so is the one worker.
    assert_eq!(wire.ask(&FRONT, b"").text(), "php");

    let mut gone = Wire::to(server.port());
    let mut out = begun(&slow, true);
    write_stdin_end(&mut out, 1);
    gone.send(&out);
    assert_eq!(gone.record().unwrap().kind, Kind::Stdout.byte());
    drop(gone);
    assert_eq!(wire.ask(&FRONT, b"").text(), "php");

    // Before its parameters were whole.
    let mut out = Vec::new();
    write_record(&mut out, Kind::BeginRequest, 1, &[0, 1, 1, 0, 0, 0, 0, 0]);
    write_abort(&mut out, 1);
    wire.send(&out);
    assert_eq!(wire.answer().protocol, ProtocolStatus::Complete);
    assert_eq!(wire.ask(&FRONT, b"").text(), "php");
}

#[test]
fn what_is_no_fastcgi_is_told_in_the_log_and_harms_nobody_else() {
    let server = shop("<?php echo 'php';");
    let mut other = Wire::to(server.port());
    assert_eq!(other.ask(&FRONT, b"").text(), "php");
    let mut too_long = begun(&[], true);
    too_long.truncate(16);
    for _ in 0..20 {
        write_record(&mut too_long, Kind::Params, 1, &[b'x'; 60_000]);
    }
    let mut cut_pairs = begun(&[], true);
    cut_pairs.truncate(16);
    write_record(&mut cut_pairs, Kind::Params, 1, b"\x7f\x7fshort");
    write_record(&mut cut_pairs, Kind::Params, 1, b"");
    let mut twice = begun(&FRONT, true);
    twice.extend_from_slice(&begun(&FRONT, true));
    let answer = [1, 6, 0, 1, 0, 0, 0, 0];
    let table: [(&str, &[u8]); 6] = [
        ("FastCGI version 71", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("Stdout record where none may come", &answer),
        ("more than 1048576 bytes", &too_long),
        ("pairs that are cut short", &cut_pairs),
        ("BeginRequest record where none may come", &twice),
        ("BeginRequest record with 0 bytes", &[1, 1, 0, 1, 0, 0, 0, 0]),
    ];
    for (told, bytes) in table {
        let mut wire = Wire::to(server.port());
        wire.try_send(bytes);
        while wire.record().is_some() {}
        server.wait_for(told, |log| log.contains(told) && log.contains("the connection is closed"));
    }
    assert_eq!(other.ask(&FRONT, b"").text(), "php");
}

#[test]
fn requests_that_are_too_large_or_make_no_sense_have_their_statuses_and_the_connection_goes_on() {
    let server = tight(
        "<?php echo strlen(file_get_contents('php://input'));",
        "body = \"1K\"\nuri_bytes = \"2K\"\n",
        "",
    );
    let mut wire = Wire::to(server.port());
    let ask = |wire: &mut Wire, more: (&str, &str), body: &[u8]| {
        wire.ask(&[FRONT[0], FRONT[1], ("REQUEST_METHOD", "POST"), more], body).status()
    };
    assert_eq!(ask(&mut wire, ("CONTENT_LENGTH", "2000"), &[b'x'; 2000]), 413);
    assert_eq!(ask(&mut wire, ("HTTP_X", "no length"), &[b'x'; 70_000]), 413);
    assert_eq!(ask(&mut wire, ("CONTENT_LENGTH", "nonsense"), b""), 400);
    assert_eq!(ask(&mut wire, ("REQUEST_METHOD", "B D"), b""), 400);
    assert_eq!(ask(&mut wire, ("REQUEST_URI", "no path"), b""), 400);
    assert_eq!(ask(&mut wire, ("REQUEST_URI", &format!("/{}", "x".repeat(3_000))), b""), 414);
    assert_eq!(ask(&mut wire, ("HTTP_COOKIE", &"x".repeat(40_000)), b""), 431);
    let whole =
        wire.ask(&[FRONT[0], FRONT[1], ("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", "")], &[b'x'; 1000]);
    assert_eq!(
        (whole.status(), whole.text().as_str()),
        (200, "1000"),
        "its length is counted where it was not told"
    );
}

#[test]
fn who_sends_too_slowly_is_told_or_closed_and_holds_no_worker() {
    let server = tight(
        "<?php echo strlen(file_get_contents('php://input'));",
        "header_timeout = \"1s\"\nbody_timeout = \"1s\"\nidle = \"3s\"\n",
        "",
    );
    let mut slow = Wire::to(server.port());
    let mut out = begun(&[FRONT[0], FRONT[1], ("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", "10")], true);
    write_stdin(&mut out, 1, b"12345");
    slow.send(&out);
    assert_eq!(Wire::to(server.port()).ask(&FRONT, b"").text(), "0", "the one worker is free");
    assert_eq!(slow.answer().status(), 408);

    let mut half = Wire::to(server.port());
    half.send(&begun(&FRONT, true)[..20]);
    assert!(half.is_closed());
    server.wait_for("the complaint", |log| log.contains("the rest of a request did not come in time"));
    let mut idle = Wire::to(server.port());
    assert!(idle.is_closed(), "an idle one is closed after a while");
}

#[test]
fn a_body_goes_on_as_it_comes_where_it_is_not_to_be_taken_whole() {
    let server = tight(
        "<?php $in = fopen('php://input', 'r'); $n = 0; while (!feof($in)) $n += strlen(fread($in, 8192)); echo $n;",
        "",
        "buffer_request = false\n",
    );
    let mut wire = Wire::to(server.port());
    let length = (100 * 30_000).to_string();
    wire.send(&begun(
        &[FRONT[0], FRONT[1], ("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", length.as_str())],
        true,
    ));
    for _ in 0..100 {
        let mut piece = Vec::new();
        write_stdin(&mut piece, 1, &[b'x'; 30_000]);
        wire.send(&piece);
    }
    let mut out = Vec::new();
    write_stdin_end(&mut out, 1);
    wire.send(&out);
    assert_eq!(wire.answer().text(), length);
    assert_eq!(wire.ask(&FRONT, b"").text(), "0");
}

#[test]
fn what_php_writes_for_the_log_reaches_the_web_server_where_that_is_wanted() {
    for wanted in [true, false] {
        let app = app("<?php file_put_contents('php://stderr', ''); error_log('a word'); echo 'php';");
        let text = app.config().replace("/ROOT", &app.root().display().to_string());
        let text = text.replace("[serve]\n", &format!("[serve]\nfastcgi_stderr = {wanted}\n"));
        let server = serve_as(app, &format!("{text}\"error_log\" = \"\"\n\"log_errors\" = \"1\"\n"));
        let answer = Wire::to(server.port()).ask(&FRONT, b"");
        assert_eq!(answer.text(), "php");
        assert_eq!(answer.stderr.contains("a word"), wanted, "{answer:?}");
        server.wait_for("the word", |log| log.contains("a word"));
    }
}

#[test]
fn a_file_that_php_names_is_the_pinned_ones_and_what_is_not_there_is_the_web_servers() {
    let code = "<?php header($_GET['h']); header('X-Accel-Expires: 5'); echo 'body';";
    let server = shop(code);
    let root = server.app.root().display().to_string();
    let mut wire = Wire::to(server.port());
    let mut ask =
        |header: &str| wire.ask(&[FRONT[0], FRONT[1], ("QUERY_STRING", &format!("h={header}"))], b"");
    for header in ["X-Accel-Redirect: /a.txt".to_owned(), format!("X-Sendfile: {root}/current/public/a.txt")]
    {
        let sent = ask(&header);
        assert_eq!(sent.text(), "one", "{header}: {}", sent.head);
        assert!(
            !sent.head.contains("x-sendfile") && !sent.head.contains("x-accel-redirect"),
            "{}",
            sent.head
        );
        assert_eq!(sent.header("x-accel-expires"), Some("5"));
    }
    for header in ["x-accel-redirect: /of-the-web-server/film", "x-sendfile: /data/film"] {
        let (name, value) = header.split_once(": ").unwrap();
        assert_eq!(ask(header).header(name), Some(value));
    }
}

#[test]
fn requests_of_web_servers_are_counted_and_logged_like_others() {
    let app = app(
        "<?php while (!file_exists(dirname(__DIR__, 3) . '/gate')) { clearstatcache(); usleep(2000); } echo 'php';",
    );
    let text = app.config().replace("/ROOT", &app.root().display().to_string());
    let log = app.root().join("access.log");
    let text = format!("{text}\n[serve.log]\naccess = \"access.log\"\n");
    let server = serve_as(app, &text);
    let mut wire = Wire::to(server.port());
    let mut out = begun(
        &[
            FRONT[0],
            ("REQUEST_URI", "/?slow"),
            ("QUERY_STRING", "slow"),
            ("REMOTE_ADDR", "192.0.2.7"),
            ("REMOTE_USER", "ann"),
        ],
        true,
    );
    write_stdin_end(&mut out, 1);
    wire.send(&out);
    let until = Instant::now() + LONG;
    while !server.app.cutover(&["status", "--json"]).replace(' ', "").contains("\"in_flight\":1") {
        assert!(Instant::now() < until, "{}", server.app.cutover(&["status", "--json"]));
    }
    std::fs::write(server.app.root().join("gate"), "").unwrap();
    assert_eq!(wire.answer().text(), "php");
    let line = || std::fs::read_to_string(&log).unwrap_or_default();
    while !line().contains("r1") {
        assert!(Instant::now() < until, "{}", line());
        std::thread::sleep(Duration::from_millis(20));
    }
    for part in ["192.0.2.7", "ann", "GET /?slow HTTP/1.1", " 200 3 "] {
        assert!(line().contains(part), "{part} is not in {}", line());
    }
}
