//! A lease between two uses: it holds nothing up, and is taken again only if the name still leads to the same tree.

use crate::shop::{Shop, build, foreign_flip, id};
use release::live::{self, LiveError};
use release::prune::{RetireError, retire};
use release::{App, Lease};
use std::fs;
use std::fs::FileTimes;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

fn lease(shop: &Shop, name: &str) -> Box<Lease> {
    Lease::take(&shop.app, &live::at(&shop.app, &shop.app.release(&id(name))).unwrap()).unwrap().into()
}

fn live_lease(shop: &Shop) -> Box<Lease> {
    Lease::take_live(&shop.app).unwrap().into()
}

#[test]
fn a_resting_lease_holds_up_no_prune_and_an_awake_one_does() {
    let shop = Shop::with(&["r1", "r2"]);
    shop.flip("r2");
    let resting = lease(&shop, "r1").rest();
    assert_eq!(resting.live().id, id("r1"));
    let awake = resting.wake().unwrap();
    assert!(awake.is_held());
    assert!(matches!(retire(&shop.app, &id("r1")), Err(RetireError::InUse { .. })));
    let resting = awake.rest();
    retire(&shop.app, &id("r1")).unwrap().delete().unwrap();
    assert!(resting.wake().is_none(), "what was pruned is not taken again");
}

#[test]
fn what_was_renamed_removed_or_remade_is_not_taken_again() {
    let shop = Shop::with(&["r1"]);
    let dir = shop.app.release(&id("r1"));
    let aside = shop.root().join("aside");
    for remade in [false, true] {
        let resting = lease(&shop, "r1").rest();
        fs::rename(&dir, &aside).unwrap();
        if remade {
            build(&dir, "another r1");
        }
        assert!(resting.wake().is_none(), "renamed, remade: {remade}");
        fs::remove_dir_all(&dir).unwrap_or(());
        fs::rename(&aside, &dir).unwrap();
    }
    let resting = lease(&shop, "r1").rest();
    fs::remove_dir_all(&dir).unwrap();
    assert!(resting.wake().is_none(), "removed");
}

#[test]
fn a_rename_shows_also_where_the_directory_has_been_left_alone_for_long() {
    let shop = Shop::with(&["r1"]);
    let dir = shop.app.release(&id("r1"));
    // Its ctime has to be some seconds old before it is relied on.
    std::thread::sleep(Duration::from_secs(4));
    let awake = lease(&shop, "r1").rest().wake().unwrap();
    let awake = awake.rest().wake().unwrap();
    fs::File::open(&dir).unwrap().set_times(FileTimes::new().set_modified(std::time::UNIX_EPOCH)).unwrap();
    let resting = awake.rest().wake().expect("a change of its own is no rename").rest();
    let aside = shop.root().join("aside");
    fs::rename(&dir, &aside).unwrap();
    build(&dir, "another r1");
    assert!(resting.wake().is_none());
}

#[test]
fn with_the_link_read_again_a_flip_is_seen_and_a_chain_is_left_to_the_long_way() {
    let shop = Shop::with(&["r1", "r2"]);
    shop.flip("r1");
    let lease = live_lease(&shop);
    let lease = lease.rest().wake_if_live(&shop.app).unwrap();
    assert!(lease.is_held());
    shop.flip("r2");
    assert!(lease.rest().wake_if_live(&shop.app).is_none());
    assert_eq!(Lease::take_live(&shop.app).unwrap().live().id, id("r2"));
    symlink("releases/r1", shop.root().join("stable")).unwrap();
    shop.link_to("stable");
    let chained = live_lease(&shop);
    assert_eq!(chained.live().id, id("r1"));
    assert!(chained.rest().wake_if_live(&shop.app).is_none());
}

#[test]
fn a_release_is_found_where_it_bears_its_name_and_nowhere_else() {
    let shop = Shop::with(&["r1"]);
    shop.flip("r1");
    let at = |path: &Path| live::at(&shop.app, path);
    let root = shop.root();
    assert_eq!(at(&root.join("releases/r1")).unwrap(), {
        let live = live::read(&shop.app).unwrap();
        live::Live { text: "".into(), links: 0, parents: vec![], ..live }
    });
    fs::write(root.join("releases/note"), "").unwrap();
    for (path, why) in [
        ("current", "outside"),
        ("releases/r1/public", "outside"),
        ("releases/../..", "outside"),
        ("releases/r2", "not there"),
        ("releases/r1/VERSION", "outside"),
        ("releases/note", "no directory"),
    ] {
        let said = at(&root.join(path)).unwrap_err().to_string();
        assert!(said.contains(why), "{path}: {said}");
    }
    for path in ["/etc", "/", "", "relative"] {
        assert!(at(Path::new(path)).is_err(), "{path}");
    }
    foreign_flip(&root.join("releases/alias"), Path::new("r1"));
    assert!(matches!(at(&root.join("releases/alias")), Err(LiveError::Outside { .. })));
    // The way to the app may go through links: no flip changes those.
    let linked = shop.outside().join("linked");
    symlink(root, &linked).unwrap();
    let app = App::new(&linked, Path::new("current"), &[]).unwrap();
    assert_eq!(live::at(&app, &linked.join("releases/r1")).unwrap().dir, shop.app.release(&id("r1")));
}

#[test]
fn who_had_to_go_without_the_lock_waits_for_it_only_once() {
    let shop = Shop::with(&["r1"]);
    shop.flip("r1");
    let stranger = fs::File::open(shop.app.release(&id("r1"))).unwrap();
    let locked = lease(&shop, "r1").rest();
    stranger.lock().unwrap();
    assert!(locked.wake_if_live(&shop.app).is_none(), "who had it once asks patiently");
    let without = live_lease(&shop);
    assert!(!without.is_held());
    let without = without.rest().wake_if_live(&shop.app).unwrap();
    assert!(!without.is_held());
    stranger.unlock().unwrap();
    assert!(without.rest().wake_if_live(&shop.app).unwrap().is_held());
}

#[test]
fn whoever_was_forked_with_a_lease_leaves_the_lock_to_its_parent() {
    let shop = Shop::with(&["r1", "r2"]);
    shop.flip("r2");
    // A second descriptor of the same open directory is what a forked process has.
    let parents = lease(&shop, "r1");
    let childs = parents.dir().try_clone_to_owned().unwrap();
    parents.leave();
    assert!(matches!(retire(&shop.app, &id("r1")), Err(RetireError::InUse { .. })));
    drop(childs);
    let resting = lease(&shop, "r1").rest();
    resting.leave();
    retire(&shop.app, &id("r1")).unwrap().delete().unwrap();
}
