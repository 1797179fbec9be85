//! The link breaks: the last good release is served, it is said, and the next flip mends it.

use std::fs;
use std::os::unix::fs::symlink;

use super::server::App;

#[test]
fn whatever_becomes_of_the_link_the_last_good_release_is_served() {
    let server = App::new("").release("r1", &[("public/a.txt", "one")]).live("r1").serve();
    let link = server.app.root().join("current");
    type Breakage = (&'static str, fn(&std::path::Path));
    let breakages: [Breakage; 5] = [
        ("missing", |_link| {}),
        ("dangling", |link| symlink("releases/r9", link).unwrap()),
        ("a loop", |link| symlink("current", link).unwrap()),
        ("a directory", |link| fs::create_dir(link).unwrap()),
        ("outside", |link| symlink("/etc", link).unwrap()),
    ];
    for (n, (what, breakage)) in breakages.into_iter().enumerate() {
        fs::remove_file(&link).unwrap();
        breakage(&link);
        let reply = server.get("/a.txt");
        assert_eq!((reply.status, reply.release(), reply.text().as_str()), (200, "r1", "one"), "{what}");
        server.wait_for(what, |log| log.matches("is still served").count() > n);
        if link.is_dir() && !link.is_symlink() {
            fs::remove_dir(&link).unwrap();
        }
        server.app.link("releases/r1");
        assert_eq!(server.get("/a.txt").status, 200, "{what}");
        server.wait_for(what, |log| log.matches("names a release again").count() > n);
    }
}

#[test]
fn without_any_good_release_visitors_get_503_until_there_is_one() {
    let server = App::new("").release("r1", &[("public/a.txt", "one")]).serve();
    assert_eq!(server.get("/a.txt").status, 503);
    server.app.link("releases/r1");
    assert_eq!(server.get("/a.txt").text(), "one");
}

#[test]
fn a_release_that_moves_its_docroot_says_so_itself() {
    let server = App::new("")
        .release("r1", &[("public/a.txt", "one")])
        .release("r2", &[("web/a.txt", "two"), ("cutover.toml", "[app]\ndocroot = \"web\"\n")])
        .live("r1")
        .serve();
    assert_eq!(server.get("/a.txt").text(), "one");
    server.app.link("releases/r2");
    assert_eq!(server.get("/a.txt").text(), "two");
    server.app.link("releases/r1");
    assert_eq!(server.get("/a.txt").text(), "one");
}

#[test]
fn an_unsealed_release_that_is_edited_by_hand_shows_its_edits() {
    let server = App::new("").release("r1", &[("public/a.txt", "one")]).live("r1").serve();
    for text in ["two", "three", "four"] {
        fs::write(server.app.root().join("releases/r1/public/a.txt"), text).unwrap();
        assert_eq!(server.get("/a.txt").text(), text);
    }
}

#[test]
fn a_release_that_is_sealed_while_it_is_live_is_served_as_sealed_from_then_on() {
    let server = App::new("").release("r1", &[("public/a.txt", "one")]).live("r1").serve();
    assert_eq!(server.get("/a.txt").text(), "one");
    server.app.cutover(&["seal", "r1"]);
    assert_eq!(server.get("/a.txt").text(), "one");
    // Nobody may edit a sealed release; who does it all the same sees what the seal says, from memory.
    fs::write(server.app.root().join("releases/r1/public/a.txt"), "two").unwrap();
    assert_eq!(server.get("/a.txt").text(), "one");
}
