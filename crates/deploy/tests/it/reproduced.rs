//! The faults that other tools have, reproduced with them, each as a story of ours: R1 to R13.
//!
//! R7 and R9 are about several hosts; what one host can show of them is shown, and the rest belongs to fleets.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use deploy::journal::Ending;
use release::history::{self, What};
use release::lock::{DeployLock, LockError};

use crate::shop::Shop;

const ILL: &str = "[hooks]\nafter_verify = ['exit 1']\n";

/// Deploys a page that fails its check after the flip.
fn fails_after_the_flip(shop: &Shop, page: &str) -> release::ReleaseId {
    shop.configure(&format!("keep = 3\n{ILL}"));
    shop.page(page);
    let told = shop.deploy();
    assert_eq!(told.outcome.ending, Ending::FlippedBack);
    shop.configure("keep = 3\n");
    told.outcome.release.unwrap()
}

/// Deploys a page that fails before the flip.
fn fails_before_the_flip(shop: &Shop, page: &str) {
    shop.configure("keep = 3\n[hooks]\nafter_stage = ['rm -r public', 'exit 1']\n");
    shop.page(page);
    assert_eq!(shop.deploy().outcome.ending, Ending::Undone);
    shop.configure("keep = 3\n");
}

#[test]
fn r1_what_a_killed_flip_left_never_makes_the_next_deploy_live_with_the_old_release() {
    let shop = Shop::new("");
    let first = shop.deployed("one");
    let app = shop.app();
    // Capistrano's and Deployer's litter: links that lead to directories, where a new link would land inside.
    std::os::unix::fs::symlink(app.release(&first), app.releases().join("current")).unwrap();
    std::os::unix::fs::symlink(app.release(&first), app.root().join("release")).unwrap();
    // And ours, of a process that is gone.
    std::os::unix::fs::symlink(app.release(&first), app.root().join(".cutover-tmp-4000000-1")).unwrap();
    let second = shop.deployed("two");
    assert_eq!(shop.live(), second);
    let inside: Vec<_> =
        std::fs::read_dir(app.release(&first)).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(inside, ["public"]);
}

#[test]
fn r2_a_rollback_goes_by_what_was_live_not_by_the_times_of_directories() {
    let shop = Shop::new("");
    let first = shop.deployed("one");
    let second = shop.deployed("two");
    shop.deployed("three");
    // The release's own files stay as they are: only its directory looks newer.
    let later = std::time::SystemTime::now() + Duration::from_secs(3600);
    let dir = std::fs::File::open(shop.app().release(&first)).unwrap();
    dir.set_times(std::fs::FileTimes::new().set_modified(later)).unwrap();
    shop.rollback();
    assert_eq!(shop.live(), second);
    assert_eq!(shop.releases().len(), 3, "a rollback deletes nothing");
}

#[test]
fn r3_a_rollback_never_goes_to_a_release_that_was_half_built() {
    let shop = Shop::new("");
    let first = shop.deployed("one");
    fails_before_the_flip(&shop, "half");
    shop.deployed("three");
    shop.rollback();
    assert_eq!(shop.live(), first);
}

#[test]
fn r4_a_rollback_never_goes_to_a_release_that_failed() {
    let shop = Shop::new("keep = 3\n");
    let first = shop.deployed("one");
    fails_after_the_flip(&shop, "ill");
    shop.deployed("three");
    shop.rollback();
    assert_eq!(shop.live(), first);
}

#[test]
fn r5_prune_never_deletes_what_is_live_however_many_failed_since() {
    let shop = Shop::new("keep = 3\n");
    let first = shop.deployed("one");
    for page in ["x", "y", "z", "w"] {
        fails_after_the_flip(&shop, page);
        fails_before_the_flip(&shop, page);
    }
    let lock = DeployLock::take(&shop.app(), Duration::ZERO).unwrap();
    let rule = deploy::keep::Rule { keep: 1, keep_for: Duration::ZERO, slots: false };
    deploy::keep::prune(&lock, rule, &[]).unwrap();
    assert_eq!(shop.live(), first);
    assert_eq!(shop.live_page(), "one");
}

#[test]
fn r6_failed_releases_never_push_out_the_good_one_to_go_back_to() {
    let shop = Shop::new("keep = 1\n");
    let first = shop.deployed("one");
    let second = shop.deployed("two");
    for page in ["x", "y", "z", "w"] {
        fails_after_the_flip(&shop, page);
    }
    let lock = DeployLock::take(&shop.app(), Duration::ZERO).unwrap();
    let rule = deploy::keep::Rule { keep: 1, keep_for: Duration::ZERO, slots: false };
    deploy::keep::prune(&lock, rule, &[]).unwrap();
    drop(lock);
    assert_eq!(shop.live(), second);
    shop.rollback();
    assert_eq!(shop.live(), first);
}

#[test]
fn r7_a_flip_that_cannot_be_done_leaves_no_lock_and_no_half_deploy_on_this_host() {
    let shop = Shop::new("");
    let first = shop.deployed("one");
    // Something that is no link stands where the link should: it is never removed.
    let link = shop.app().link().to_owned();
    std::fs::remove_file(&link).unwrap();
    std::fs::create_dir(&link).unwrap();
    shop.page("two");
    let told = shop.deploy();
    assert_eq!((told.outcome.ending, told.failure().0.as_str()), (Ending::Undone, "flip"));
    assert!(link.is_dir() && shop.app().release(&first).is_dir());
    // While nobody can say what is live nothing is deleted, and that is told.
    assert!(told.outcome.problems[0].contains("could not be taken away"), "{:?}", told.outcome.problems);
    std::fs::remove_dir(&link).unwrap();
    shop.deployed("two");
}

#[test]
fn r8_of_two_that_want_to_deploy_at_once_only_one_does_and_the_other_is_told_who() {
    let shop = Shop::new("");
    let app = shop.app();
    let (inside, most, refused) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..400 {
                    match DeployLock::take_as(&app, Duration::ZERO, "alice@web1, deploy") {
                        Ok(_lock) => {
                            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            std::thread::yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                        }
                        Err(LockError::Held { .. }) => drop(refused.fetch_add(1, Ordering::SeqCst)),
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(most.into_inner(), 1);
    let held = DeployLock::take_as(&app, Duration::ZERO, "alice@web1, deploy, since noon").unwrap();
    let said = DeployLock::take(&app, Duration::ZERO).unwrap_err().to_string();
    assert!(said.contains("alice@web1, deploy, since noon"), "{said}");
    assert!(said.contains(&std::process::id().to_string()), "{said}");
    drop(held);
    DeployLock::take(&app, Duration::ZERO).unwrap();
}

#[test]
fn r9_whatever_fails_before_the_flip_no_flip_follows() {
    let shop = Shop::new("");
    let first = shop.deployed("one");
    shop.configure("[source]\ndir = '../not-there'\n");
    assert_eq!(shop.deploy().outcome.ending, Ending::Undone);
    shop.configure("");
    fails_before_the_flip(&shop, "two");
    let lives = shop.events().into_iter().filter(|event| event.what == What::Live).count();
    assert_eq!((shop.live(), lives), (first, 1));
}

#[test]
fn r10_after_a_rollback_prune_goes_by_the_link_and_current_never_dangles() {
    let shop = Shop::new("keep = 1\n");
    let first = shop.deployed("one");
    let second = shop.deployed("two");
    shop.rollback();
    assert_eq!(shop.live(), first);
    let lock = DeployLock::take(&shop.app(), Duration::ZERO).unwrap();
    let rule = deploy::keep::Rule { keep: 0, keep_for: Duration::ZERO, slots: false };
    let pruned = deploy::keep::prune(&lock, rule, &[]).unwrap();
    // The newest by name and by time goes, for it is bad; what is live stays.
    assert_eq!(pruned.gone, [second]);
    assert_eq!(shop.live_page(), "one");
}

#[test]
fn r11_a_hook_that_fails_after_the_flip_never_leaves_the_link_dangling() {
    let shop = Shop::new("");
    shop.deployed("one");
    let app = shop.app();
    let (done, dangled) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                if std::fs::read(app.link().join("public/index.html")).is_err() {
                    dangled.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        for hook in ["after_flip", "after_verify", "before_verify", "after_flip", "after_verify"] {
            shop.configure(&format!("[hooks]\n{hook} = ['exit 1']\n"));
            shop.page(hook);
            shop.deploy();
        }
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(dangled.into_inner(), 0);
}

#[test]
fn r12_a_deploy_that_failed_is_never_told_as_complete() {
    let shop = Shop::new("");
    shop.deployed("one");
    for (moment, ending) in [
        ("before_build", Ending::Undone),
        ("before_flip", Ending::Undone),
        ("after_verify", Ending::FlippedBack),
    ] {
        shop.configure(&format!("[hooks]\n{moment} = ['kill -9 $$']\n"));
        shop.page(moment);
        let told = shop.deploy();
        assert_eq!(told.outcome.ending, ending, "{moment}");
        assert!(told.failure().1.contains("(signal 9)"), "{moment}: {:?}", told.failure());
        let last = serde_json::to_value(told.events.last().unwrap()).unwrap();
        assert_ne!(last["ending"], "live", "{moment}");
    }
}

#[test]
fn r13_no_flip_and_no_rollback_ever_shows_a_missing_link_whosever_ln_is_installed() {
    let shop = Shop::new("");
    shop.deployed("one");
    shop.deployed("two");
    let app = shop.app();
    let (done, missing, looks) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                looks.fetch_add(1, Ordering::SeqCst);
                if std::fs::read_link(app.link()).is_err() {
                    missing.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        for turn in 0..10 {
            shop.rollback();
            shop.deployed(&format!("again {turn}"));
        }
        done.store(true, Ordering::SeqCst);
    });
    assert!(looks.into_inner() > 100);
    assert_eq!(missing.into_inner(), 0);
    // The link keeps its style: relative, to a directory beside.
    assert!(std::fs::read_link(app.link()).unwrap().starts_with(Path::new("releases")));
    assert!(history::read(&app).is_ok());
}
