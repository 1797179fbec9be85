//! Slots: two directories that releases take turns in. A name never leads to another release's files.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::Duration;

use release::lease::LeaseError;
use release::list::{self, Stands};
use release::lock::DeployLock;
use release::slot::{self, SlotError};
use release::{Lease, Pinner, SlotName, live, manifest, prune};

use crate::shop::{Shop, build, id};

fn name(text: &str) -> SlotName {
    SlotName::parse(text).unwrap()
}

fn lock(shop: &Shop) -> DeployLock {
    DeployLock::take(&shop.app, Duration::ZERO).unwrap()
}

/// Gives a slot to a release, as a deploy does.
fn take_turn(shop: &Shop, slot: &str, release: &str) {
    let slot = name(slot);
    if !shop.app.slot(&slot).exists() {
        slot::make(&shop.app, &slot).unwrap();
    }
    let held = slot::hold(&shop.app, &slot).unwrap();
    held.unname(&lock(shop)).unwrap();
    build(&shop.app.slot(&slot), release);
    held.give(&id(release)).unwrap();
    manifest::seal(&shop.app, &id(release)).unwrap();
}

/// r1 in slot a is live, r2 stands in slot b.
fn shop() -> Shop {
    let shop = Shop::with(&[]);
    take_turn(&shop, "a", "r1");
    shop.flip("r1");
    take_turn(&shop, "b", "r2");
    shop
}

#[test]
fn what_is_live_is_the_release_whose_turn_it_is_and_the_link_keeps_its_style() {
    let shop = shop();
    assert_eq!(shop.text(), std::path::Path::new("releases/r1"));
    let live = live::read(&shop.app).unwrap();
    assert_eq!((live.id.as_str(), &live.dir), ("r1", &shop.root().join("slots/a")));
    assert_eq!(live.place, shop.root().join("releases/r1"));
    for parent in ["", "releases", "slots"] {
        assert!(
            live.parents.contains(&shop.root().join(parent).components().collect()),
            "{parent}: {live:?}"
        );
    }
    shop.flip("r2");
    assert_eq!(shop.text(), std::path::Path::new("releases/r2"));
    // The link may lead into a release, or be absolute.
    shop.link_to(shop.root().join("releases/r1/public"));
    let live = live::read(&shop.app).unwrap();
    assert_eq!((live.id.as_str(), live.below.to_str()), ("r1", Some("public")));
    shop.flip("r2");
    assert_eq!(shop.text(), shop.root().join("releases/r2/public"));
    assert_eq!(live::read(&shop.app).unwrap().id, id("r2"));
}

#[test]
fn an_app_goes_over_from_directories_to_slots_and_back_by_flips() {
    let shop = Shop::with(&["r1", "r3"]);
    shop.flip("r1");
    take_turn(&shop, "a", "r2");
    for to in ["r2", "r3", "r2", "r1"] {
        shop.flip(to);
        assert_eq!(live::read(&shop.app).unwrap().id, id(to));
        assert_eq!(shop.text(), std::path::Path::new("releases").join(to));
    }
    // What goes takes its slot along.
    let gone = prune::retire(&shop.app, &id("r2")).unwrap();
    assert!(!shop.app.slot(&name("a")).exists() && !shop.app.release(&id("r2")).is_symlink());
    gone.delete().unwrap();
}

#[test]
fn a_slot_that_is_live_or_leased_cannot_be_taken() {
    let shop = shop();
    assert_eq!(slot::hold(&shop.app, &name("a")).unwrap_err(), SlotError::Live { name: name("a") });
    let lease = Lease::take(&shop.app, &live::read(&shop.app).unwrap()).unwrap();
    assert!(lease.is_held());
    shop.flip("r2");
    assert_eq!(slot::hold(&shop.app, &name("a")).unwrap_err(), SlotError::Leased { name: name("a") });
    drop(lease);
    slot::hold(&shop.app, &name("a")).unwrap();
    shop.link_to("releases/none");
    assert!(matches!(slot::hold(&shop.app, &name("a")), Err(SlotError::Unsure { .. })));
}

#[test]
fn a_lease_is_not_taken_on_a_slot_that_went_to_another_release() {
    let shop = shop();
    let read = live::read(&shop.app).unwrap();
    shop.flip("r2");
    take_turn(&shop, "a", "r3");
    // The same directory, by another name.
    assert!(matches!(Lease::take(&shop.app, &read), Err(LeaseError::Moved(_))));
    assert!(!read.still_named(&shop.app));
}

#[test]
fn successive_releases_in_one_slot_are_pinned_apart_even_where_the_links_text_is_the_same() {
    let shop = shop();
    let via = shop.root().join("via");
    symlink("releases/r1", &via).unwrap();
    shop.link_to("via");
    let pinner = Pinner::new(shop.app.clone(), |lease| lease.live().id.to_string());
    let first = pinner.look().unwrap();
    assert_eq!(first.with, "r1");
    assert!(Arc::ptr_eq(&first, &pinner.look().unwrap()));
    drop(first);
    fs::remove_file(&via).unwrap();
    symlink("releases/r2", &via).unwrap();
    assert_eq!(pinner.look().unwrap().with, "r2");
    take_turn(&shop, "a", "r3");
    fs::remove_file(&via).unwrap();
    symlink("releases/r3", &via).unwrap();
    assert_eq!(pinner.look().unwrap().with, "r3");
    shop.link_to("releases/r3");
    let third = pinner.look().unwrap();
    assert!(third.lease.live().still_named(&shop.app), "two links are the usual way");
}

#[test]
fn a_release_that_lost_its_slot_is_known_by_its_manifest_and_cannot_be_flipped_to() {
    let shop = shop();
    let stale = shop.sealed("r1");
    shop.flip("r2");
    take_turn(&shop, "a", "r3");
    assert!(release::flip(&shop.app, stale).is_err(), "the proof was of what stood there before");
    assert!(manifest::sealed(&shop.app, &id("r1")).is_err());
    assert_eq!(manifest::recorded(&shop.app, &id("r1")).unwrap().unwrap().id(), &id("r1"));
    let stands: Vec<(String, Stands)> = list::releases(&shop.app, &[])
        .unwrap()
        .into_iter()
        .map(|listed| (listed.id.to_string(), listed.stands))
        .collect();
    let wanted = [("r1", Stands::Store), ("r2", Stands::Slot(name("b"))), ("r3", Stands::Slot(name("a")))];
    assert_eq!(stands, wanted.map(|(id, stands)| (id.to_owned(), stands)));
    prune::forget(&lock(&shop), &id("r1")).unwrap();
    assert_eq!(list::releases(&shop.app, &[]).unwrap().len(), 2);
    assert!(prune::forget(&lock(&shop), &id("r2")).is_err(), "it stands in a slot");
}

#[test]
fn a_failed_release_loses_its_name_and_the_slot_keeps_its_files() {
    let shop = shop();
    assert!(slot::take_name(&lock(&shop), &id("r2")).unwrap());
    assert!(shop.app.slot(&name("b")).join("VERSION").exists());
    assert_eq!(slot::named(&shop.app, &name("b")).unwrap(), []);
    assert!(matches!(slot::take_name(&lock(&shop), &id("r1")), Err(SlotError::Live { .. })));
}

#[test]
fn a_renewed_slot_keeps_its_files_under_a_path_that_nobody_has_met() {
    let shop = shop();
    let mut held = slot::hold(&shop.app, &name("b")).unwrap();
    held.unname(&lock(&shop)).unwrap();
    held.renew().unwrap();
    assert_eq!(held.name().as_str(), "b2");
    held.give(&id("r2")).unwrap();
    assert_eq!(slot::of(&shop.app, &id("r2")), Some(name("b2")));
    // The inode is the same, so the seal still holds.
    drop(held);
    shop.flip("r2");
}

#[test]
fn a_release_in_a_slot_is_found_by_its_name_and_a_resting_lease_sees_that_its_turn_is_over() {
    let shop = shop();
    let named = |release: &str| live::at(&shop.app, &shop.app.release(&id(release)));
    assert_eq!(named("r1").unwrap().dir, shop.root().join("slots/a"));
    let lease = Box::new(Lease::take(&shop.app, &named("r1").unwrap()).unwrap());
    let resting = lease.rest().wake().unwrap().rest();
    shop.flip("r2");
    take_turn(&shop, "a", "r3");
    assert!(named("r1").is_err());
    assert!(resting.wake().is_none());
}
