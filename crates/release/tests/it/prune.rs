//! Prune: nobody's release goes, everybody's stays.

use crate::shop::{Shop, id};
use release::history;
use release::list::{self, Seal, Used};
use release::lock::{DeployLock, LockError};
use release::prune::{self, RetireError, retire};
use release::{Lease, live};
use std::fs;
use std::time::Duration;

#[test]
fn a_release_that_nobody_uses_goes_with_its_seal() {
    let shop = Shop::with(&["r1", "r2"]);
    shop.flip("r1");
    let retired = retire(&shop.app, &id("r2")).unwrap();
    assert!(!shop.app.release(&id("r2")).exists());
    assert!(!shop.app.manifest(&id("r2")).exists());
    assert!(retired.trash.join("VERSION").exists());
    retired.delete().unwrap();
    assert_eq!(fs::read_dir(shop.app.trash()).unwrap().count(), 0);
}

#[test]
fn what_is_live_stays() {
    let shop = Shop::with(&["r1"]);
    for text in ["releases/r1", "releases/r1/public"] {
        shop.link_to(text);
        assert_eq!(retire(&shop.app, &id("r1")), Err(RetireError::Live { id: id("r1") }));
        assert!(shop.app.release(&id("r1")).join("VERSION").exists());
    }
}

#[test]
fn what_is_leased_stays_until_the_lease_is_dropped() {
    let shop = Shop::with(&["r1", "r2"]);
    shop.flip("r1");
    let lease = Lease::take(&shop.app, &live::read(&shop.app).unwrap()).unwrap();
    assert!(lease.is_held());
    shop.flip("r2");
    assert_eq!(retire(&shop.app, &id("r1")), Err(RetireError::InUse { id: id("r1") }));
    drop(lease);
    assert!(retire(&shop.app, &id("r1")).is_ok());
}

#[test]
fn nothing_goes_while_nobody_can_say_what_is_live() {
    let shop = Shop::with(&["r1"]);
    for broken in ["releases/gone", "/etc", "current"] {
        shop.link_to(broken);
        assert!(matches!(retire(&shop.app, &id("r1")), Err(RetireError::Unsure { .. })), "{broken}");
    }
    assert!(shop.app.release(&id("r1")).exists());
    // No link at all: nothing is live.
    fs::remove_file(shop.app.link()).unwrap();
    assert!(retire(&shop.app, &id("r1")).is_ok());
}

#[test]
fn nothing_goes_while_another_command_is_at_work() {
    let shop = Shop::with(&["r1"]);
    let lock = DeployLock::take(&shop.app, Duration::ZERO).unwrap();
    let held = LockError::Held { by: Some(std::process::id()), says: None };
    assert_eq!(retire(&shop.app, &id("r1")), Err(RetireError::Busy(held.clone())));
    assert_eq!(DeployLock::take(&shop.app, Duration::from_millis(20)).unwrap_err(), held);
    assert_eq!(retire(&shop.app, &id("r9")).unwrap_err(), RetireError::Busy(held));
    assert!(prune::retire_under(&lock, &id("r1")).is_ok());
    drop(lock);
    assert_eq!(retire(&shop.app, &id("r9")), Err(RetireError::NoRelease { id: id("r9") }));
}

#[test]
fn what_a_killed_prune_left_goes_unless_the_link_names_it() {
    let shop = Shop::with(&["r1", "r2", "r3"]);
    shop.flip("r3");
    drop(retire(&shop.app, &id("r1")).unwrap());
    drop(retire(&shop.app, &id("r2")).unwrap());
    // Another tool flips to what lies in the trash.
    shop.link_to("releases/r2");
    let lock = DeployLock::take(&shop.app, Duration::ZERO).unwrap();
    assert_eq!(prune::empty_trash(&lock).unwrap(), 1);
    assert_eq!(live::read(&shop.app).unwrap().id, id("r2"));
    assert!(shop.app.release(&id("r2")).join("VERSION").exists());
    assert!(!shop.app.release(&id("r1")).exists());
}

#[test]
fn the_list_tells_what_is_known() {
    let shop = Shop::with(&["r1", "r2"]);
    shop.build("r3");
    fs::create_dir(shop.app.releases().join(".cache")).unwrap();
    fs::write(shop.app.releases().join("notes.txt"), "").unwrap();
    fs::write(shop.app.manifest(&id("r2")), "torn").unwrap();
    shop.flip("r1");
    history::note_live(&shop.app, &id("r1"), "us").unwrap();
    let lease = Lease::take(&shop.app, &live::read(&shop.app).unwrap()).unwrap();
    let listed = list::releases(&shop.app, &history::read(&shop.app).unwrap()).unwrap();
    drop(lease);
    let told: Vec<_> = listed.iter().map(|one| (one.id.as_str(), one.live, one.used)).collect();
    assert_eq!(told, [("r1", true, Used::Leased), ("r2", false, Used::Free), ("r3", false, Used::Free)]);
    assert!(listed[0].live_since.is_some() && listed[0].left.is_none());
    assert!(matches!(listed[0].seal, Seal::Whole { entries: 4 }), "{:?}", listed[0].seal);
    assert!(matches!(listed[1].seal, Seal::Broken(_)));
    assert_eq!(listed[2].seal, Seal::Unsealed);
}
