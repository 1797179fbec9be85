//! Links that are broken, or lead where they must not.

use crate::apache::{Apache, Mpm, SITE};
use crate::shop::Shop;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// One way in which a link can be broken, what breaks it so, and what the log says of it.
type Breakage<'a> = (&'static str, Box<dyn Fn() + 'a>, &'static str);

fn breakages(shop: &Shop) -> Vec<Breakage<'_>> {
    let elsewhere = shop.beside().join("elsewhere/r1");
    shop.fill(&elsewhere, "stranger");
    let replace = |make: Box<dyn Fn(&Path)>| {
        move || {
            drop(fs::remove_file(shop.link()));
            drop(fs::remove_dir_all(shop.link()));
            make(&shop.link());
        }
    };
    let to = |path: PathBuf| -> Box<dyn Fn(&Path)> { Box::new(move |link| symlink(&path, link).unwrap()) };
    vec![
        ("missing", Box::new(replace(Box::new(|_| {}))), "is not there"),
        ("dangling", Box::new(replace(to("releases/r9".into()))), "which is not there"),
        ("looping", Box::new(replace(to("current".into()))), "leads in a circle"),
        ("escaping", Box::new(replace(to(elsewhere))), "outside of the directories of releases"),
        ("escaping to the top", Box::new(replace(to("/".into()))), "outside of the directories of releases"),
        (
            "a directory",
            Box::new(replace(Box::new(|link| fs::create_dir_all(link.join("public")).unwrap()))),
            "is a directory",
        ),
        ("to a file", Box::new(replace(to("releases/r1/public/page.txt".into()))), "which is no directory"),
    ]
}

/// A virtual host: without a document root that is there, only the main server refuses to start.
fn host(lines: &str) -> String {
    format!("<VirtualHost *:PORT>\nServerName shop.test\n{lines}</VirtualHost>\n")
}

#[test]
fn a_broken_link_leaves_the_last_good_release_and_a_line_in_the_log() {
    let shop = Shop::new();
    for (what, breaks, why) in breakages(&shop) {
        shop.flip("r1");
        let apache = Apache::start(&shop, Mpm::Event, SITE);
        breaks();
        // Also in a process that has never seen it whole.
        for _ in 0..20 {
            assert_eq!(apache.text("/page.txt"), "page r1", "{what}");
        }
        let log = apache.log();
        let lines =
            log.lines().filter(|line| line.contains("requests go on to the last good release, r1")).count();
        assert!(log.contains(why) && (1..=3).contains(&lines), "{what}: said once by each process\n{log}");
        drop(fs::remove_dir_all(shop.link()));
        shop.flip("r2");
        assert_eq!(apache.text("/page.txt"), "page r2", "{what}: mended, and at once");
    }
}

#[test]
fn without_a_last_good_release_it_is_503_for_what_lies_below_the_link() {
    let shop = Shop::new();
    shop.write(&shop.beside().join("errors/sorry.txt"), "sorry");
    let lines = format!(
        "{SITE}Alias /errors {0}\nErrorDocument 503 /errors/sorry.txt\n<Directory {0}>\nRequire all granted\n</Directory>\n",
        shop.beside().join("errors").display()
    );
    for (what, breaks, why) in breakages(&shop) {
        breaks();
        // The link is in DocumentRoot, but as long as it is none, it has to be named.
        let apache = Apache::start(&shop, Mpm::Event, &host(&format!("CutoverLink SHOP/current\n{lines}")));
        let answer = apache.get("/page.txt");
        assert_eq!((answer.status, answer.body.as_str()), (503, "sorry"), "{what}");
        assert_eq!(apache.text("/errors/sorry.txt"), "sorry");
        assert!(apache.log().contains(why), "{what}: {}", apache.log());
        drop(fs::remove_dir_all(shop.link()));
        shop.flip("r2");
        assert_eq!(apache.text("/page.txt"), "page r2", "{what}: mended, and at once");
    }
}

#[test]
fn a_link_that_comes_later_is_found_beside_its_releases() {
    let shop = Shop::new();
    fs::remove_file(shop.link()).unwrap();
    let apache = Apache::start(&shop, Mpm::Event, &host(SITE));
    assert_eq!(apache.get("/page.txt").status, 503);
    shop.flip("r1");
    assert_eq!(apache.text("/page.txt"), "page r1");
}

#[test]
fn what_is_allowed_beside_releases_may_be_led_to() {
    let shop = Shop::new();
    let elsewhere = shop.beside().join("elsewhere/r9");
    shop.fill(&elsewhere, "r9");
    let lines = format!("{SITE}CutoverAllow {}\n", shop.beside().join("elsewhere").display());
    let apache = Apache::start(&shop, Mpm::Event, &lines);
    shop.lead_to(&elsewhere);
    assert_eq!(apache.text("/page.txt"), "page r9");
}

#[test]
fn two_trees_that_take_turns_are_a_layout_too() {
    let shop = Shop::new();
    // As at Etsy: site -> A or B, in the middle of the path.
    let dir = shop.beside().join("etsy");
    for id in ["A", "B"] {
        shop.fill(&dir.join(id), id);
    }
    let flip = |id: &str| {
        symlink(id, dir.join("next")).unwrap();
        fs::rename(dir.join("next"), dir.join("site")).unwrap();
    };
    flip("A");
    let lines = format!(
        "DocumentRoot {0}/site/public\nRealpathEvery 1\n<Directory {0}/site>\nRequire all granted\n</Directory>\n",
        dir.display()
    );
    let apache = Apache::start(&shop, Mpm::Prefork, &lines);
    for id in ["A", "B", "A"] {
        flip(id);
        assert_eq!(apache.text("/page.txt"), format!("page {id}"));
    }
}

#[test]
fn slots_are_followed_to_whose_turn_it_is() {
    let shop = Shop::new();
    for (slot, id) in [("a", "s1"), ("b", "s2")] {
        shop.fill(&shop.root().join("slots").join(slot), id);
        symlink(format!("../slots/{slot}"), shop.dir_of(id)).unwrap();
    }
    let apache = Apache::start(&shop, Mpm::Event, &format!("{SITE}CutoverReleaseHeader On\n"));
    for (id, slot) in [("s1", "a"), ("s2", "b")] {
        shop.flip(id);
        let answer = apache.get("/page.txt");
        assert_eq!(
            (answer.body.as_str(), answer.header("x-cutover-release")),
            (format!("page {id}").as_str(), Some(id))
        );
        assert!(
            apache
                .text("/show.cgi")
                .contains(&format!("DOCUMENT_ROOT={}/slots/{slot}/public\n", shop.root().display()))
        );
    }
}
