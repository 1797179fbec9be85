//! Several files in one server.

use super::parsed;
use config::{Config, join};
use std::path::Path;

fn app(name: &str, serve: &str) -> Config {
    let text = format!("[app]\nname = '{name}'\nroot = '/srv/{name}'\n[serve]\n{serve}\n");
    Config::parse(&text, Path::new(&format!("{name}.toml"))).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(configs: Vec<Config>) -> String {
    join(configs)
        .map(|served| panic!("joined: {served:?}"))
        .unwrap_or_else(|error: config::ConfigError| error.to_string())
}

#[test]
fn files_that_name_the_same_address_share_the_socket() {
    let served = join(vec![
        app("any", ""),
        app("shop", "hosts = ['shop.test']"),
        app("else", "listen = ['127.0.0.1:8081', '127.0.0.1:8080']\nhosts = ['*.shop.test']"),
    ])
    .unwrap();
    let shown: Vec<String> =
        served.sockets.iter().map(|socket| format!("{} {:?}", socket.at, socket.sites)).collect();
    assert_eq!(shown, ["127.0.0.1:8080 [0, 1, 2]", "127.0.0.1:8081 [2]"]);
}

#[test]
fn a_host_name_claimed_twice_names_both_files() {
    insta::assert_snapshot!(refused(vec![app("a", "hosts = ['x.test']"), app("b", "hosts = ['y.test', 'X.TEST']")]), @"
    the host name `x.test` is claimed twice on 127.0.0.1:8080
      first:  a.toml
      second: b.toml
      fix: take it out of serve.hosts in one of them
    ");
}

#[test]
fn two_apps_for_every_name_on_one_socket_are_refused() {
    insta::assert_snapshot!(refused(vec![app("a", ""), app("b", "")]), @"
    two apps answer for every host name on 127.0.0.1:8080
      first:  a.toml
      second: b.toml
      fix: write serve.hosts in one of them at least, or another serve.listen
    ");
}

#[test]
fn one_socket_cannot_speak_tls_for_one_app_only() {
    let tls = "listen = [{ addr = '127.0.0.1:8080', tls = true }]\ntls = [{ cert = 'c', key = 'k' }]\nhosts = ['a.test']";
    insta::assert_snapshot!(refused(vec![app("a", tls), app("b", "")]), @"
    the socket 127.0.0.1:8080 is described differently
      first:  a.toml
      second: b.toml
      fix: give both the same tls and proxy_protocol, or fcgi: in front
    ");
}

#[test]
fn two_apps_of_one_name_are_refused() {
    assert!(
        refused(vec![app("a", ""), app("a", "listen = ['[::1]:1']")]).starts_with("two apps are called `a`")
    );
}

#[test]
fn port_0_is_another_socket_each_time() {
    let served =
        join(vec![app("a", "listen = ['127.0.0.1:0']"), app("b", "listen = ['127.0.0.1:0']")]).unwrap();
    assert_eq!(served.sockets.len(), 2);
    parsed("[serve]\nlisten = ['127.0.0.1:0', '127.0.0.1:0']");
}
