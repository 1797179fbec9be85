//! Hosts: what a client says of where it wants to go changes nothing of what is pinned.

use crate::apache::{Apache, Mpm, SITE, full};
use crate::http;
use crate::shop::Shop;
use std::fs;

#[test]
fn two_virtual_hosts_on_one_name_have_each_their_own_release() {
    let (shop, blog) = (Shop::new(), Shop::new());
    // The same name on two ports: mod_realdoc took them for one.
    let other = crate::port::free();
    let hosts = format!(
        "Listen 127.0.0.1:{other}\nUseCanonicalName Off\n<VirtualHost *:PORT>\nServerName one.test\n{SITE}</VirtualHost>\n\
         <VirtualHost *:{other}>\nServerName one.test\n{}</VirtualHost>\n",
        SITE.replace("SHOP", &blog.root().display().to_string())
    );
    blog.flip("r2");
    let apache = Apache::start(&shop, Mpm::Prefork, &hosts);
    let there = ([127, 0, 0, 1], other).into();
    for _ in 0..10 {
        for host in [
            "one.test".to_owned(),
            format!("one.test:{other}"),
            format!("one.test:{}", apache.address.port()),
        ] {
            assert_eq!(apache.get_of(&host, "/page.txt").body, "page r1", "{host}");
            assert_eq!(http::get(there, &host, "/page.txt").unwrap().body, "page r2", "{host}");
        }
    }
}

#[test]
fn a_host_that_lies_gets_the_release_of_the_server_that_answers() {
    let shop = Shop::new();
    let hosts = format!("<VirtualHost *:PORT>\nServerName a.test\n{SITE}</VirtualHost>\n");
    let apache = Apache::start(&shop, Mpm::Event, &hosts);
    for host in ["a.test", "../../etc", "SHOP/releases/r2", "r2", "a.test:99999", "", "%2e%2e", "x\0y"] {
        let answer = apache.get_of(host, "/page.txt");
        assert!(answer.body == "page r1" || answer.status == 400, "{host:?}: {answer:?}");
    }
    shop.flip("r2");
    assert_eq!(apache.get_of("a.test", "/page.txt").body, "page r2");
}

#[test]
fn many_hosts_make_nothing_grow() {
    let shop = Shop::new();
    // One process, whose memory is that of all requests.
    let lines = format!("{SITE}ServerLimit 1\nStartServers 1\nThreadsPerChild 8\nMaxRequestWorkers 8\n");
    let apache = Apache::start(&shop, Mpm::Worker, &lines);
    let hosts = if full() { 100_000 } else { 3_000 };
    let ask = |from: u32, to: u32| {
        for host in from..to {
            assert_eq!(apache.get_of(&format!("host{host}.test"), "/page.txt").body, "page r1");
        }
    };
    ask(0, 1_000);
    let before = resident_kib(&apache);
    ask(1_000, 1_000 + hosts);
    let grown = resident_kib(&apache).saturating_sub(before);
    println!("{hosts} hosts: {before} KiB before, {grown} KiB more after");
    // mod_realdoc kept 8 KiB for each.
    assert!(grown < 2_048, "{grown} KiB more after {hosts} hosts");
}

/// What the children of an Apache have in memory.
pub fn resident_kib(apache: &Apache) -> u64 {
    let of = |pid: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or(0)
    };
    apache.children().iter().map(|pid| of(pid)).sum()
}
