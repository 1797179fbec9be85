//! `cutover prove` floods each web server with the gateway behind it, while the link is flipped a thousand times a second.

use std::process::Command;

use super::front::Kind;
use super::stand::{CONFIG, Stand, probe, serve_as};
use crate::serve::server::{App, CUTOVER};

/// How many requests; `CUTOVER_PROMISE=full`: 100,000.
fn requests() -> &'static str {
    match std::env::var("CUTOVER_PROMISE").as_deref() {
        Ok("full") => "100000",
        Ok(_) | Err(_) => "3000",
    }
}

fn holds(kind: Kind) {
    let app = App::new(CONFIG);
    let text = probe(&app);
    let stand = Stand::of(serve_as(app, &text), kind, "");
    let out = Command::new(CUTOVER)
        .arg("prove")
        .arg(format!("http://127.0.0.1:{}", stand.front.port))
        .arg("--link")
        .arg(stand.server.app.root().join("current"))
        .args(["--kind", "php", "--requests", requests(), "--flips-per-second", "1000", "--connections", "8"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    println!("{said}{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.status.code(), Some(0), "{said}\n{}", stand.said());
}

#[test]
fn nginx_holds_it() {
    holds(Kind::Nginx);
}

#[test]
fn nginx_holds_it_with_files_of_its_own() {
    holds(Kind::NginxWithFiles);
}

#[test]
fn apache_holds_it_by_a_handler() {
    holds(Kind::ApacheSetHandler);
}

#[test]
fn apache_holds_it_by_a_pattern() {
    holds(Kind::ApacheProxyPassMatch);
}

#[test]
fn lighttpd_holds_it() {
    holds(Kind::Lighttpd);
}

#[test]
fn caddy_holds_it() {
    holds(Kind::Caddy);
}

#[test]
fn haproxy_holds_it() {
    holds(Kind::Haproxy);
}
