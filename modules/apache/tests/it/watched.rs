//! Watched: by valgrind, and by the size of the process.

use crate::apache::{Apache, Mpm, SITE, full};
use crate::hosts::resident_kib;
use crate::shop::Shop;
use std::path::Path;

/// A section that is read anew for each release, by several modules.
const SECTIONS: &str = "<Directory SHOP/current/public>\nRewriteEngine On\nRewriteRule ^shop$ page.txt [L]\n\
    Header set X-Section yes\n<Files *.txt>\nRequire all granted\n</Files>\n</Directory>\n";

#[test]
fn flips_and_requests_make_nothing_grow() {
    let shop = Shop::new();
    let lines =
        format!("{SITE}{SECTIONS}ServerLimit 1\nStartServers 1\nThreadsPerChild 8\nMaxRequestWorkers 8\n");
    let apache = Apache::start(&shop, Mpm::Event, &lines);
    let flips = if full() { 100_000 } else { 2_000 };
    let go = |flips: u32| {
        for flip in 0..flips {
            let id = ["r1", "r2"][flip as usize % 2];
            shop.flip(id);
            assert_eq!(apache.text("/shop"), format!("page {id}"));
        }
    };
    go(500);
    let before = resident_kib(&apache);
    go(flips);
    let grown = resident_kib(&apache).saturating_sub(before);
    assert!(grown < 2_048, "{grown} KiB more after {flips} flips");
}

#[test]
fn valgrind_finds_nothing_lost_and_nothing_wrong() {
    if !Path::new("/usr/bin/valgrind").exists() {
        println!("\nskipped: valgrind_finds_nothing_lost_and_nothing_wrong: valgrind is not installed\n");
        return;
    }
    let shop = Shop::new();
    let apache = Apache::start_under(
        &[
            "/usr/bin/valgrind",
            "--leak-check=full",
            "--show-leak-kinds=definite",
            "--keep-debuginfo=yes",
            "--num-callers=40",
        ],
        &shop,
        Mpm::Prefork,
        &format!(
            "{SITE}{SECTIONS}CutoverReleaseHeader On\nAlias /media SHOP/current/media\nErrorDocument 404 /missing.html\n"
        ),
    );
    for round in 0..if full() { 20_000 } else { 60 } {
        let id = ["r1", "r2"][round % 2];
        shop.flip(id);
        assert_eq!(apache.text("/shop"), format!("page {id}"));
        assert_eq!(apache.text("/parts.shtml"), format!("page {id}+page {id}+{id}"));
        assert_eq!(apache.text("/media/picture.txt"), format!("picture {id}"));
        assert_eq!(apache.get("/nowhere").status, 404);
    }
    std::fs::remove_file(shop.link()).unwrap();
    assert_eq!(apache.get("/page.txt").status, 200);
    let said = apache.ended();
    assert!(said.contains("ERROR SUMMARY"), "it did not end as it should: {said}");
    // What others lose (PHP, OpenSSL, httpd itself) is not ours.
    // A child that ends leaves its sites to the kernel, on purpose.
    let is_ours = |block: &&str| {
        ["mod_cutover::", "release::"].iter().any(|name| block.contains(name))
            && !block.contains("mod_cutover::hook::configured")
    };
    let blocks = said.split("\n\n").flat_map(|part| part.split("== \n"));
    let ours: Vec<&str> = blocks.filter(is_ours).collect();
    assert!(ours.is_empty(), "{}", ours.join("\n\n"));
}
