//! The pin and its lease: strict, shared, and kept while it is used.

use crate::shop::{Shop, build, id};
use release::lease::{PATIENCE, Unheld};
use release::live::LiveError;
use release::prune::{RetireError, retire};
use release::{Lease, Pinner, live};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

#[test]
fn every_look_sees_the_release_that_is_live_now() {
    let shop = Shop::with(&["r1", "r2"]);
    shop.flip("r1");
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let pinner = Pinner::new(shop.app.clone(), move |lease: &Lease| {
        count.fetch_add(1, Ordering::Relaxed);
        fs::read_to_string(lease.path().join("VERSION")).unwrap()
    });
    let first = pinner.look().unwrap();
    assert!(Arc::ptr_eq(&first, &pinner.look().unwrap()));
    shop.link_to("releases/r2");
    let second = pinner.look().unwrap();
    assert_eq!((first.with.as_str(), second.with.as_str()), ("r1", "r2"));
    shop.flip("r1");
    assert!(Arc::ptr_eq(&first, &pinner.look().unwrap()), "what is still in use is not made twice");
    assert_eq!(made.load(Ordering::Relaxed), 2);
    drop(first);
    pinner.forget();
    assert_eq!(pinner.look().unwrap().with, "r1");
    assert_eq!(made.load(Ordering::Relaxed), 3);
}

#[test]
fn a_pinned_release_stays_until_its_last_pin_is_dropped() {
    let shop = Shop::with(&["r1", "r2"]);
    shop.flip("r1");
    let pinner = Pinner::new(shop.app.clone(), |_: &Lease| ());
    let pin = pinner.look().unwrap();
    assert!(pinner.holds(&id("r1")));
    shop.flip("r2");
    pinner.look().unwrap();
    assert_eq!(retire(&shop.app, &id("r1")), Err(RetireError::InUse { id: id("r1") }));
    drop(pin);
    assert!(!pinner.holds(&id("r1")));
    assert!(retire(&shop.app, &id("r1")).is_ok());
}

#[test]
fn a_broken_link_leaves_the_last_good_release() {
    let shop = Shop::with(&["r1"]);
    let pinner = Pinner::new(shop.app.clone(), |_: &Lease| ());
    assert!(matches!(pinner.look(), Err(LiveError::Missing { .. })));
    assert!(pinner.last_good().is_none());
    shop.flip("r1");
    pinner.look().unwrap();
    shop.link_to("/etc");
    assert!(matches!(pinner.look(), Err(LiveError::Outside { .. })));
    assert_eq!(pinner.last_good().unwrap().id(), &id("r1"));
    let looked = pinner.look_fully();
    assert!(looked.pin.is_err() && looked.parents.contains(&shop.root().to_owned()));
    shop.link_to("releases/r1");
    assert_eq!(pinner.look().unwrap().id(), &id("r1"));
}

#[test]
fn a_release_that_was_remade_is_another() {
    let shop = Shop::with(&["r1"]);
    shop.flip("r1");
    let pinner = Pinner::new(shop.app.clone(), |lease: &Lease| {
        fs::read_to_string(lease.path().join("VERSION")).unwrap()
    });
    let old = pinner.look().unwrap();
    // While `old` holds the directory open its inode cannot be had by another.
    fs::remove_dir_all(shop.app.release(&id("r1"))).unwrap();
    assert!(matches!(pinner.look(), Err(LiveError::Dangling { .. })));
    build(&shop.app.release(&id("r1")), "remade");
    assert_eq!(pinner.look().unwrap().with, "remade");
    assert_eq!(old.with, "r1");
}

#[test]
fn a_stranger_with_the_exclusive_lock_delays_but_does_not_stop() {
    let shop = Shop::with(&["r1"]);
    shop.flip("r1");
    let stranger = File::open(shop.app.release(&id("r1"))).unwrap();
    flock(&stranger, FlockOperation::LockExclusive).unwrap();
    let start = Instant::now();
    let lease = Lease::take(&shop.app, &live::read(&shop.app).unwrap()).unwrap();
    assert!(start.elapsed() >= PATIENCE, "{:?}", start.elapsed());
    assert_eq!((lease.is_held(), lease.why_unheld()), (false, Some(Unheld::Taken)));
    assert!(!lease.try_again());
    drop(stranger);
    assert!(lease.try_again());
    assert_eq!((lease.is_held(), lease.why_unheld()), (true, None));
}

#[test]
fn a_release_that_moved_while_it_was_taken_is_not_taken() {
    let shop = Shop::with(&["r1"]);
    shop.flip("r1");
    let live = live::read(&shop.app).unwrap();
    fs::rename(shop.app.release(&id("r1")), shop.outside().join("away")).unwrap();
    assert!(Lease::take(&shop.app, &live).is_err());
    build(&shop.app.release(&id("r1")), "another");
    assert!(Lease::take(&shop.app, &live).is_err());
}

#[test]
fn a_strict_look_costs_two_system_calls_of_time() {
    let shop = Shop::with(&["r1"]);
    shop.flip("r1");
    let pinner = Pinner::new(shop.app.clone(), |_: &Lease| ());
    pinner.look().unwrap();
    let start = Instant::now();
    for _ in 0..10_000 {
        pinner.look().unwrap();
    }
    println!("a strict look: {} ns", start.elapsed().as_nanos() / 10_000);
}
