//! A visitor who leaves in mid-answer: the web server tells the gateway, and worker and release are free.

use std::io::{Read, Write};

use super::front::Kind;
use super::stand::{CONFIG, Stand, serve, status, until};
use crate::serve::client::connect;
use crate::serve::server::App;

const EVER: &str = "<?php for (;;) { echo str_repeat('x', 9000); flush(); usleep(10000); }";

fn is_let_go(kind: Kind) {
    let mut app = App::new(CONFIG);
    for id in ["r1", "r2"] {
        app = app.release(id, &[("public/ever.php", EVER), ("public/index.php", id)]).sealed(id);
    }
    let stand = Stand::of(serve(app.live("r1")), kind, "/public");
    let mut visitors: Vec<_> = (0..2).map(|_| connect(stand.front.port)).collect();
    for visitor in &mut visitors {
        visitor.write_all(b"GET /ever.php HTTP/1.0\r\nHost: a\r\n\r\n").unwrap();
    }
    let site = || status(&stand.server).sites[0].clone();
    until("both are in hand", &stand.server, || (site().in_flight, site().masters[0].busy) == (2, 2));
    for visitor in &mut visitors {
        visitor.read_exact(&mut [0; 20_000]).unwrap();
    }
    stand.server.app.link("releases/r2");
    assert_eq!(stand.get("/").text(), "r2");
    assert!(site().pinned.iter().any(|pinned| pinned.release == "r1" && pinned.in_flight == 2));
    drop(visitors);
    until("all is let go", &stand.server, || {
        let site = site();
        site.masters[0].busy == 0
            && site.pinned.iter().all(|pinned| pinned.release == "r2" && pinned.in_flight == 0)
    });
    assert_eq!(stand.get("/").text(), "r2", "{}", stand.said());
}

#[test]
fn behind_nginx() {
    is_let_go(Kind::Nginx);
}

#[test]
fn behind_apache() {
    is_let_go(Kind::ApacheSetHandler);
}

#[test]
fn behind_lighttpd() {
    is_let_go(Kind::Lighttpd);
}

#[test]
fn behind_caddy() {
    is_let_go(Kind::Caddy);
}

#[test]
fn behind_haproxy() {
    is_let_go(Kind::Haproxy);
}
