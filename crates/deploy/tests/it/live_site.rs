//! The live site is asked after the flip, as visitors ask: what it answers decides whether the release stays.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use deploy::journal::Ending;
use release::history::{self, What};

use crate::shop::Shop;

/// A site on loopback that gives this answer; gives its port, and the heads that it was sent.
fn site(answer: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    std::thread::spawn(move || {
        for stream in socket.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
            // Whoever only looks whether somebody listens sends nothing.
            if !head.is_empty() {
                kept.lock().unwrap().push(head);
                write!(
                    reader.get_mut(),
                    "HTTP/1.1 {answer}\r\nConnection: close\r\nContent-Length: 4\r\n\r\noops"
                )
                .unwrap_or(());
            }
        }
    });
    (port, heads)
}

fn shop(port: u16) -> Shop {
    let shop = Shop::new("");
    shop.deployed("one");
    shop.configure(&format!(
        "[serve]\nlisten = ['0.0.0.0:{port}']\nhosts = ['shop.example.com']\n[health]\npath = '/index.html'\nattempts = 1\n"
    ));
    shop.page("two");
    shop
}

#[test]
fn a_live_site_that_answers_as_it_should_makes_the_release_good() {
    let (port, heads) = site("200 OK");
    let shop = shop(port);
    let told = shop.deploy();
    assert_eq!(told.outcome.ending, Ending::Live, "{:?}", told.outcome);
    assert_eq!(history::verdict(&shop.events(), &shop.live()), Some(What::Good));
    let heads = heads.lock().unwrap();
    assert!(heads[0].starts_with("GET /index.html HTTP/1.1\r\n"), "{heads:?}");
    assert!(heads[0].to_ascii_lowercase().contains("host: shop.example.com\r\n"), "{heads:?}");
}

#[test]
fn a_live_site_that_fails_is_flipped_back_and_the_release_is_bad() {
    for (answer, said) in [
        ("503 Service Unavailable", "answered 503, not 200: oops"),
        ("302 Found\r\nLocation: /login", "answered 302, not 200"),
        ("200 OK\r\nx-cutover-release: r0", "was answered by r0, not by "),
    ] {
        let (port, _) = site(answer);
        let shop = shop(port);
        let first = shop.live();
        let told = shop.deploy();
        assert_eq!(told.outcome.ending, Ending::FlippedBack, "{answer}");
        let (step, why) = told.failure();
        assert!(step == "verify" && why.contains(said), "{answer}: {why}");
        assert_eq!(shop.live(), first);
        assert_eq!(history::verdict(&shop.events(), &told.outcome.release.unwrap()), Some(What::Bad));
    }
}
