//! Pinning by cookie: a visitor stays with the release of the page, as long as that one is to be had.

use std::fs;

use super::stand::Stand;
use crate::serve::client::Reply;
use crate::web::{ids, page, spread};
use prove::page::Page;

const PAGE: &str = "Sec-Fetch-Dest: document\r\nAccept: text/html\r\n";

fn pinned(more: &str) -> Stand {
    let more = format!("{more}\n[nginx]\npin_cookie = \"probe-release\"\n");
    let stand = Stand::start(&more, "");
    for id in ids() {
        stand.file(&id, "own.txt", &format!("own of {id}"));
        stand.file(&id, "told.php", "<?php echo basename(__DIR__), ' ', basename($_SERVER['DOCUMENT_ROOT']), ' ', $_SERVER['CUTOVER_RELEASE'];");
    }
    // So that it is known to have been live.
    stand.cutover(&["flip", "r1"]);
    stand
}

fn with(stand: &Stand, cookie: &str, path: &str) -> Reply {
    stand.get_with(path, &format!("Cookie: other=1; {cookie}\r\n"))
}

#[test]
fn what_a_page_asks_for_comes_from_its_release_and_the_next_page_from_the_live_one() {
    let stand = pinned("[[site.cache]]\npath = \"*.txt\"\ncontrol = \"max-age=60\"\n");
    let first = stand.get_with("/told.php", PAGE);
    let given = first.header("set-cookie").unwrap().to_owned();
    assert_eq!(given, "probe-release=r1; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax");
    assert_eq!(first.header("cache-control"), Some("private"), "{}", first.head);
    assert!(stand.get("/own.txt").header("set-cookie").is_none(), "only pages give it");
    stand.cutover(&["flip", "r2"]);
    let cookie = "probe-release=r1";
    assert_eq!(with(&stand, cookie, "/told.php").text(), "r1 r1 r1");
    let old = with(&stand, cookie, "/own.txt");
    assert_eq!((old.text().as_str(), old.release()), ("own of r1", "r1"));
    assert!(old.head.contains("cache-control: private") && old.head.contains("cache-control: max-age=60"));
    assert!(!stand.get("/own.txt").head.contains("private"));
    let next = stand.get_with("/told.php", &format!("{PAGE}Cookie: {cookie}\r\n"));
    assert_eq!((next.text().as_str(), next.release()), ("r2 r2 r2", "r2"));
    assert!(next.header("set-cookie").unwrap().starts_with("probe-release=r2;"));
    let again = stand.get_with("/told.php", &format!("{PAGE}Cookie: probe-release=r2\r\n"));
    assert_eq!(
        (again.header("set-cookie"), again.header("cache-control")),
        (None, None),
        "it has it already"
    );
    // Who does not say what it is for, but wants a page.
    let plain = stand.get_with("/told.php", &format!("Accept: text/html,*/*\r\nCookie: {cookie}\r\n"));
    assert_eq!(plain.text(), "r2 r2 r2");
}

#[test]
fn a_visit_stays_with_its_release_whole() {
    let stand = pinned("");
    stand.change("pin_cookie", "pin_scope = \"visit\"\npin_cookie");
    stand.write();
    stand.cutover(&["flip", "r2"]);
    // The workers from before the reload go on for a moment.
    stand.until(|| {
        let page = stand.get_with("/told.php", &format!("{PAGE}Cookie: probe-release=r1\r\n"));
        (page.text().as_str(), page.header("set-cookie"), page.header("cache-control"))
            == ("r1 r1 r1", None, Some("private"))
    });
}

#[test]
fn a_cookie_leads_nowhere_but_to_a_release_that_was_live_and_is_not_bad() {
    let stand = pinned("");
    stand.file("r3", "own.txt", "own of r3, which was never live");
    fs::write(stand.path("app/.cutover/own.txt"), "a file of ours").unwrap();
    fs::write(stand.path("app/releases/own.txt"), "beside the releases").unwrap();
    stand.cutover(&["flip", "r2"]);
    let long = "r".repeat(129);
    let wrong = [
        "r3",
        "r9",
        "..",
        ".",
        "",
        "../r3",
        "../../releases/r3",
        "r1/../../../releases/r3",
        "%2e%2e",
        "..%2f",
        "/etc",
        "-r1",
        "r1\\",
        "\"r1\"",
        "r1 r2",
        "r1,r2",
        "$document_root",
        "{r1}",
        &long,
    ];
    for name in wrong {
        let reply = with(&stand, &format!("probe-release={name}"), "/own.txt");
        assert_eq!((reply.status, reply.text().as_str()), (200, "own of r2"), "{name}");
    }
    assert_eq!(with(&stand, "xprobe-release=r1", "/own.txt").text(), "own of r2", "another cookie");
    assert_eq!(with(&stand, "probe-release=r1; x=y", "/own.txt").text(), "own of r1");
    assert_eq!(with(&stand, "probe-release=r1", "/../../../r3/own.txt").status, 400);
    // A release that turns out to be bad is nobody's any more.
    assert_eq!(with(&stand, "probe-release=r2", "/own.txt").text(), "own of r2");
    stand.cutover(&["rollback", "r1"]);
    assert_eq!(with(&stand, "probe-release=r2", "/own.txt").text(), "own of r1");
    assert!(!stand.said().contains("[crit]"), "{}", stand.said());
}

#[test]
fn a_release_that_is_pruned_is_let_out_first_and_its_visitors_get_the_live_one() {
    let stand = pinned("");
    stand.cutover(&["flip", "r2"]);
    stand.change("root = \".\"", "root = \".\"\nkeep = 1\nkeep_for = \"0s\"");
    for id in ["r4", "r5"] {
        stand.file(id, "own.txt", &format!("own of {id}"));
        stand.cutover(&["seal", id]);
        stand.cutover(&["flip", id]);
    }
    assert_eq!(with(&stand, "probe-release=r1", "/own.txt").text(), "own of r1");
    let said = stand.cutover(&["prune"]);
    assert!(said.contains("r1  deleted"), "{said}");
    assert_eq!(with(&stand, "probe-release=r1", "/own.txt").text(), "own of r5");
    assert!(with(&stand, "probe-release=r4", "/own.txt").text().ends_with("own of r5"), "too long ago");
}

#[test]
fn pinned_visitors_and_others_side_by_side_under_flips() {
    // Without the header: it would tell which of two equal answers it is.
    let stand = pinned("release_header = false\n");
    stand.cutover(&["flip", "r2"]);
    let own = |path: &str, status: u16, body: &str| {
        let mut page: Page = page(path, status, body);
        page.ask = page.ask.with("Cookie", "probe-release=r1");
        page
    };
    let front = "front [release r1]\ndir [release r1]\nroot [release r1]\nroute /route/mine\n";
    let more = vec![
        own("/own.txt", 200, "own of r1"),
        own("/told.php", 200, "r1 r1 "),
        own("/sometimes.php", 200, "sometimes [release r1]\ndir [release r1]\n"),
        own("/route/mine", 200, front),
    ];
    stand.file(
        "r1",
        "told.php",
        "<?php echo basename(__DIR__), ' ', basename($_SERVER['DOCUMENT_ROOT']), ' ';",
    );
    stand.holds(&spread(), more);
}
