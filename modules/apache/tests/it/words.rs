//! Words: directives that are taken, refused, inherited, and those of mod_realdoc.

use crate::apache::{Apache, Mpm, SITE};
use crate::shop::Shop;
use std::time::{Duration, Instant};

/// What Apache says of a configuration.
fn said(shop: &Shop, lines: &str) -> (bool, String) {
    let out = Apache::test(shop, &format!("{SITE}{lines}"));
    (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned())
}

#[test]
fn wrong_values_end_the_start_with_what_is_right() {
    let shop = Shop::new();
    for (line, why) in [
        ("Cutover Yes", "Cutover takes On or Off, not \"Yes\""),
        ("CutoverStale 1", "CutoverStale takes On or Off, not \"1\""),
        ("CutoverReleaseHeader X-Release", "CutoverReleaseHeader takes On or Off, not \"X-Release\""),
        ("CutoverLink current", "CutoverLink takes an absolute path, not \"current\""),
        ("CutoverLink /srv/../current", "CutoverLink takes a path without \"..\", not \"/srv/../current\""),
        ("CutoverLink /srv/*/current", "CutoverLink takes one path, not the pattern \"/srv/*/current\""),
        ("CutoverAllow /", "CutoverAllow takes a path below /, not / itself"),
        ("CutoverAllow releases", "CutoverAllow takes an absolute path, not \"releases\""),
        (
            "RealpathEvery often",
            "RealpathEvery takes a whole number of seconds up to a year, or -1 for each request, not \"often\"",
        ),
        ("RealpathEvery -2", "RealpathEvery takes a whole number of seconds"),
        ("RealpathEvery 2.5", "RealpathEvery takes a whole number of seconds"),
        ("RealpathEvery 99999999999999999999", "RealpathEvery takes a whole number of seconds"),
        ("UseReadlink Maybe", "UseReadlink takes On, Off or an absolute path above the link, not \"Maybe\""),
        ("Cutover", "Cutover takes one argument"),
        ("<Directory SHOP>\nCutover On\n</Directory>", "Cutover not allowed in <Directory> context"),
    ] {
        let (fine, text) = said(&shop, &format!("{line}\n"));
        assert!(!fine && text.contains(why), "{line}: {text}");
    }
}

#[test]
fn a_configuration_for_mod_realdoc_runs_unchanged_and_is_told_so() {
    let shop = Shop::new();
    let site = SITE.replace("Cutover On\n", "");
    for lines in
        ["RealpathEvery 2\n", "UseReadlink On\n", "UseReadlink Off\nRealpathEvery 0\n", "RealpathEvery -1\n"]
    {
        shop.flip("r1");
        let apache = Apache::start(&shop, Mpm::Prefork, &format!("{site}{lines}"));
        assert_eq!(apache.text("/page.txt"), "page r1");
        shop.flip("r2");
        assert_eq!(apache.text("/page.txt"), "page r2", "{lines}: the very next request");
        assert!(apache.log().contains("are no longer needed"), "{}", apache.log());
    }
}

#[test]
fn use_readlink_finds_the_link_that_is_the_document_root_itself_and_below_a_path() {
    let shop = Shop::new();
    // Another link above it, as /srv may be one.
    std::os::unix::fs::symlink(shop.beside(), shop.beside().join("srv")).unwrap();
    for lines in [
        "DocumentRoot SHOP/current\nUseReadlink On\n".to_owned(),
        format!("DocumentRoot {0}/srv/app/current\nUseReadlink {0}/srv/app\n", shop.beside().display()),
    ] {
        let guard = "<Directory SHOP>\nRequire all granted\n</Directory>\n";
        let apache = Apache::start(&shop, Mpm::Prefork, &format!("{lines}{guard}"));
        for id in ["r1", "r2"] {
            shop.flip(id);
            assert_eq!(apache.text("/public/page.txt"), format!("page {id}"));
            assert!(apache.access_log_has(&format!("/public/page.txt HTTP/1.0 200 {id}\n")));
        }
    }
}

#[test]
fn without_a_word_nothing_is_pinned() {
    let shop = Shop::new();
    let apache = Apache::start(&shop, Mpm::Event, &SITE.replace("Cutover On\n", ""));
    assert_eq!(apache.text("/page.txt"), "page r1");
    assert!(apache.access_log_has("/page.txt HTTP/1.0 200 -\n"));
    assert!(apache.log().contains("nothing is pinned"), "{}", apache.log());
}

#[test]
fn a_virtual_host_says_otherwise_also_with_zero_and_off() {
    let shop = Shop::new();
    let hosts = "CutoverReleaseHeader On\nCutoverStale On\nRealpathEvery 3600\n\
        <VirtualHost *:PORT>\nServerName slow.test\n</VirtualHost>\n\
        <VirtualHost *:PORT>\nServerName zero.test\nRealpathEvery 0\nCutoverReleaseHeader Off\n</VirtualHost>\n\
        <VirtualHost *:PORT>\nServerName strict.test\nCutoverStale Off\n</VirtualHost>\n\
        <VirtualHost *:PORT>\nServerName off.test\nCutover Off\n</VirtualHost>\n";
    let apache = Apache::start(&shop, Mpm::Event, &format!("{SITE}{hosts}"));
    let answer = |host: &str| {
        let answer = apache.get_of(host, "/page.txt");
        (answer.body.clone(), answer.header("x-cutover-release").map(str::to_owned))
    };
    for (host, header) in
        [("slow.test", Some("r1")), ("zero.test", None), ("strict.test", Some("r1")), ("off.test", None)]
    {
        assert_eq!(answer(host), ("page r1".to_owned(), header.map(str::to_owned)), "{host}");
    }
    shop.flip("r2");
    assert_eq!(answer("zero.test").0, "page r2", "0 seconds are none");
    assert_eq!(answer("strict.test"), ("page r2".to_owned(), Some("r2".to_owned())));
    assert_eq!(answer("off.test"), ("page r2".to_owned(), None), "Apache follows the link by itself");
}

#[test]
fn stale_is_so_for_exactly_so_long_in_one_process() {
    let shop = Shop::new();
    // One process, so that there is one reading of the link.
    let lines = format!(
        "{SITE}CutoverStale On\nRealpathEvery 2\nServerLimit 1\nMaxRequestWorkers 1\nStartServers 1\nMinSpareServers 1\n"
    );
    let apache = Apache::start(&shop, Mpm::Prefork, &lines);
    for (from, to) in [("r1", "r2"), ("r2", "r1"), ("r1", "r2")] {
        // The reading is made between these two moments.
        let before = Instant::now();
        while apache.text("/page.txt") != format!("page {from}") {
            assert!(before.elapsed() < Duration::from_secs(60));
        }
        shop.flip(to);
        let flipped = Instant::now();
        let seen = loop {
            let asked = Instant::now();
            if apache.text("/page.txt") == format!("page {to}") {
                break asked;
            }
            assert!(
                asked - flipped < Duration::from_millis(2_000),
                "asked 2 s after the flip, and answered the old release"
            );
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(seen - flipped <= Duration::from_secs(60));
    }
}
