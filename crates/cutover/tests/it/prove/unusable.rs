//! Sites that cannot be judged, and words that cannot be meant: told at once, and nothing is flooded or flipped.

use super::site::{peer, prove};

/// Proves this address; wants exit code 2 and no flip; gives what it said.
fn refused(url: &str, words: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("current").display().to_string();
    let ran = prove(&[&[url, "--link", &link], words].concat());
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    assert!(!ran.out.contains("flooding"), "{}", ran.out);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was flipped");
    ran.err
}

fn at(text: &'static str) -> String {
    format!("http://{}", peer(text))
}

#[test]
fn a_site_that_is_down() {
    let nobody = crate::port::free();
    let said = refused(&format!("http://127.0.0.1:{nobody}"), &[]);
    assert!(said.contains("the site is down") && said.contains("refused"), "{said}");
    assert!(said.contains("still: nothing was flooded, nothing was flipped"), "{said}");
    let said = refused("unix:/nowhere/at/all.sock", &[]);
    assert!(said.contains("the site is down"), "{said}");
}

#[test]
fn a_site_that_answers_nothing_of_the_probe() {
    let said = refused(&at("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"), &[]);
    assert!(said.contains("/static/small.txt is answered as no release would (small.txt)"), "{said}");
    assert!(said.contains("hello"), "{said}");
    let said = refused(
        &at("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"),
        &["--header", "x-none"],
    );
    assert!(said.contains("/ is answered as no release would"), "{said}");
}

#[test]
fn a_site_that_redirects() {
    let said = refused(
        &at(
            "HTTP/1.1 301 Moved\r\nLocation: https://shop.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        &[],
    );
    assert!(said.contains("leads to https://shop.example/ (status 301)"), "{said}");
}

#[test]
fn a_site_that_resets_or_cuts_short_or_speaks_something_else() {
    let said = refused(&at(""), &[]);
    assert!(said.contains("is not answered"), "{said}");
    let said = refused(&at("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhel"), &[]);
    assert!(said.contains("cut short after"), "{said}");
    let said = refused(&at("220 mail.example ESMTP\r\n\r\n"), &[]);
    assert!(said.contains("bad framing: no HTTP/1 status line"), "{said}");
    let said = refused(&at("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), &["--http2"]);
    assert!(said.contains("does the site speak HTTP/2 there"), "{said}");
}

#[test]
fn a_site_that_is_silent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let said = refused(&url, &["--patience", "200ms"]);
    assert!(said.contains("no whole answer within 200ms"), "{said}");
}

#[test]
fn another_machine_is_not_flooded_unless_it_is_yours() {
    // TEST-NET-1 (RFC 5737): nobody is there, and nobody is asked.
    let said = refused("http://192.0.2.1:8080", &[]);
    assert!(said.contains("is not this machine"), "{said}");
    assert!(said.contains("add --i-own-this-host if it is yours to flood"), "{said}");
}

#[test]
fn words_that_cannot_be_meant() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().to_str().unwrap();
    let url = "http://127.0.0.1:9";
    for (words, why) in [
        (&[url][..], "nobody flips"),
        (&[url, "--flip", "true"], "does not say {release}"),
        (&[url, "--link", here], "is not a link"),
        (&[url, "--link", "x", "--closing", "9", "--connections", "4"], "--closing 9 of 4 connections"),
        (&[url, "--link", "x", "--only", "nothing"], "no page's name contains \"nothing\""),
        (&[url, "--link", "x", "--flips-per-second", "0"], "not between 0 and ten million"),
        (&[url, "--link", "x", "--save", "/nowhere/at/all"], "cannot write /nowhere/at/all"),
        (&[url, "--link", "x", "--known", "/nowhere/at/all"], "cannot read /nowhere/at/all"),
        (&["ftp://127.0.0.1", "--link", "x"], "give http://HOST:PORT"),
        (&["https://127.0.0.1", "--link", "x", "--cacert", "/nowhere/at/all"], "cannot speak TLS"),
        (&["--replay", "/nowhere/at/all"], "cannot open /nowhere/at/all"),
        (&["--scaffold", "/proc/nowhere"], "cannot write /proc/nowhere"),
        (&[], "required"),
    ] {
        let ran = prove(words);
        assert_eq!(ran.code, 2, "{words:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(why), "{words:?}: {}", ran.err);
    }
}
