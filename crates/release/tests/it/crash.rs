//! Killed (SIGKILL) before every effect in turn: the promise holds, and the next command works.

use crate::actor;
use crate::shop::{Shop, id, leftovers};
use release::history;
use release::lock::DeployLock;
use release::manifest::{self, ManifestError};
use release::{live, prune};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

/// Kills `what` before its n-th effect, for every n; `prepare` before each, `check` after each.
fn at_every_effect(what: &str, prepare: impl Fn() -> Shop, check: impl Fn(&Shop, u64)) {
    for n in 1.. {
        assert!(n < 100, "{what} has no end");
        let shop = prepare();
        let output = actor::start(&shop.app, what, Some(n)).wait_with_output().unwrap();
        check(&shop, n);
        if output.status.success() {
            assert!(n > 2, "{what} was never killed");
            println!("{what}: killed before each of {} effects", n - 1);
            return;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(9), "{what}, effect {n}: {said}");
    }
}

#[test]
fn a_flip_killed_anywhere_leaves_a_complete_release_live() {
    let prepare = || {
        let shop = Shop::with(&["r1", "r2", "r3"]);
        shop.flip("r1");
        shop
    };
    let seen = std::cell::RefCell::new(Vec::new());
    at_every_effect("flip r2", prepare, |shop, n| {
        let live = live::read(&shop.app).unwrap();
        assert!([id("r1"), id("r2")].contains(&live.id), "effect {n}: {}", live.id);
        let index = std::fs::read_to_string(live.dir.join("public/index.html")).unwrap();
        assert_eq!(index, live.id.as_str());
        seen.borrow_mut().push(live.id);
        shop.flip("r3");
        assert_eq!(live::read(&shop.app).unwrap().id, id("r3"));
        assert!(leftovers(shop.root()).is_empty(), "effect {n} left {:?}", leftovers(shop.root()));
    });
    let seen = seen.into_inner();
    assert!(seen.contains(&id("r1")) && seen.contains(&id("r2")), "{seen:?}");
}

#[test]
fn a_flip_killed_again_and_again_still_ends() {
    let shop = Shop::with(&["r1", "r2"]);
    shop.flip("r1");
    for round in 0..12 {
        actor::start(&shop.app, if round % 2 == 0 { "flip r2" } else { "flip r1" }, Some(round % 4 + 1))
            .wait()
            .unwrap();
        assert!(live::read(&shop.app).is_ok());
    }
    shop.flip("r2");
    assert!(leftovers(shop.root()).is_empty());
}

#[test]
fn a_first_flip_killed_anywhere_leaves_no_link_or_a_good_one() {
    at_every_effect(
        "flip r1",
        || Shop::with(&["r1"]),
        |shop, n| match live::read(&shop.app) {
            Ok(live) => assert_eq!(live.id, id("r1")),
            Err(live::LiveError::Missing { .. }) => shop.flip("r1"),
            Err(why) => panic!("effect {n}: {why}"),
        },
    );
}

#[test]
fn a_seal_killed_anywhere_leaves_the_release_unsealed_or_sealed() {
    let prepare = || {
        let shop = Shop::with(&[]);
        shop.build("r1");
        shop
    };
    at_every_effect("seal r1", prepare, |shop, n| {
        match manifest::sealed(&shop.app, &id("r1")) {
            Ok(_) | Err(ManifestError::Unsealed { .. }) => {}
            Err(why) => panic!("effect {n}: {why}"),
        }
        manifest::seal(&shop.app, &id("r1")).unwrap();
        assert!(leftovers(&shop.app.manifests()).is_empty(), "effect {n}");
    });
}

#[test]
fn a_note_killed_anywhere_leaves_a_history_that_can_be_read_and_added_to() {
    at_every_effect(
        "note r1",
        || Shop::with(&["r1"]),
        |shop, n| {
            let before = history::read(&shop.app).unwrap().len();
            assert!(before <= 1, "effect {n}");
            history::append(&shop.app, &history::Event::now(id("r1"), history::What::Bad, "us")).unwrap();
            assert_eq!(history::read(&shop.app).unwrap().len(), before + 1);
        },
    );
}

#[test]
fn a_prune_killed_anywhere_leaves_the_release_whole_or_in_the_trash() {
    let prepare = || {
        let shop = Shop::with(&["r1", "r2"]);
        shop.flip("r1");
        shop
    };
    at_every_effect("retire r2", prepare, |shop, n| {
        let dir = shop.app.release(&id("r2"));
        if dir.exists() {
            assert!(manifest::sealed(&shop.app, &id("r2")).is_ok(), "effect {n}");
            drop(prune::retire(&shop.app, &id("r2")).unwrap());
        }
        let lock = DeployLock::take(&shop.app, Duration::ZERO).unwrap();
        assert_eq!(prune::empty_trash(&lock).unwrap(), 1, "effect {n}");
        assert!(!dir.exists());
        assert_eq!(live::read(&shop.app).unwrap().id, id("r1"));
    });
}
