//! Slots: releases take turns in two directories. What did not change is not touched; what is in use is not rewritten;
//! what lost its slot can be brought back.

use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use deploy::journal::Ending;
use deploy::plan::Aim;
use release::list::{self, Stands};
use release::{Lease, ReleaseId, live, manifest, slot};

use crate::shop::{Shop, Told};

const SLOTS: &str = "layout = 'slots'\nkeep = 3\n[serve]\n";

fn shop() -> Shop {
    let shop = Shop::new(SLOTS);
    shop.source("src/same.txt", "the same in each");
    shop
}

/// Where a release stands.
fn place(shop: &Shop, id: &ReleaseId) -> PathBuf {
    shop.app().slot(&slot::of(&shop.app(), id).expect("a slot"))
}

fn slot_of(shop: &Shop, id: &ReleaseId) -> String {
    slot::of(&shop.app(), id).map_or("store".into(), |slot| slot.to_string())
}

fn restore(shop: &Shop, id: &ReleaseId) -> Told {
    shop.run(Aim::Restore { to: id.clone(), leaves_bad: false })
}

fn stat(path: &Path) -> (u64, i64) {
    let stat = std::fs::symlink_metadata(path).unwrap();
    (stat.ino(), stat.mtime())
}

/// Every file of a release with its bytes, by what is on disk.
fn tree(shop: &Shop, id: &ReleaseId) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = place(shop, id);
    let manifest = manifest::load_at(&shop.app(), id, &dir).unwrap().unwrap();
    let files = manifest.entries().filter(|(_, entry)| matches!(entry.kind, manifest::Kind::File { .. }));
    files
        .map(|(path, _)| {
            let path = PathBuf::from(std::str::from_utf8(path).unwrap());
            let bytes = std::fs::read(dir.join(&path)).unwrap();
            (path, bytes)
        })
        .collect()
}

/// Nothing is wrong with any blob or any release.
fn is_whole(shop: &Shop) {
    let report = deploy::fsck::fsck(&shop.app(), &[], &[], deploy::fsck::How::Look, &mut |_| {}).unwrap();
    assert_eq!(report.findings, []);
}

#[test]
fn releases_take_turns_and_what_did_not_change_is_not_touched() {
    let shop = shop();
    let first = shop.deployed("one");
    assert_eq!(shop.app().link().read_link().unwrap(), Path::new("releases").join(first.as_str()));
    assert_eq!(shop.app().release(&first).read_link().unwrap(), Path::new("../slots/a"));
    let second = shop.deployed("two");
    let (same, page) = ("src/same.txt", "public/index.html");
    let before = place(&shop, &first);
    let (same_before, page_before) = (stat(&before.join(same)), stat(&before.join(page)));
    let third = shop.deployed("three");
    assert_eq!([&first, &second, &third].map(|id| slot_of(&shop, id)), ["store", "b", "a"]);
    assert_eq!(place(&shop, &third), before);
    assert_eq!(stat(&before.join(same)), same_before);
    let (ino, mtime) = stat(&before.join(page));
    assert!(ino != page_before.0 && mtime > page_before.1, "{page_before:?} {ino} {mtime}");
    is_whole(&shop);
    let listed = list::releases(&shop.app(), &shop.events()).unwrap();
    let stands: Vec<&Stands> = listed.iter().map(|listed| &listed.stands).collect();
    assert!(matches!(stands[..], [Stands::Store, Stands::Slot(_), Stands::Slot(_)]), "{stands:?}");
}

#[test]
fn a_changed_file_is_later_by_a_second_though_its_source_claims_the_same_time() {
    let shop = shop();
    let (page, slot_a) = (shop.path("src/public/index.html"), shop.app().slots().join("a/public/index.html"));
    let mut last = 0;
    for text in ["one", "two", "three", "four", "five"] {
        shop.page(text);
        std::fs::File::options()
            .write(true)
            .open(&page)
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000))
            .unwrap();
        assert_eq!(shop.deploy().outcome.ending, Ending::Live);
        let (_, mtime) = stat(&slot_a);
        if ["one", "three", "five"].contains(&text) {
            assert!(mtime > last, "{mtime} {last}");
            last = mtime;
        }
    }
    assert_eq!(last, 1002);
}

#[test]
fn to_the_other_slot_a_rollback_is_a_flip_and_to_an_older_release_a_patch() {
    let shop = shop();
    shop.source("gone/later.txt", "only in the first");
    symlink("same.txt", shop.path("src/src/link")).unwrap();
    let first = shop.deployed("one");
    let was = tree(&shop, &first);
    std::fs::remove_dir_all(shop.path("src/gone")).unwrap();
    let second = shop.deployed("two");
    shop.source("src/same.txt", "no longer the same");
    let third = shop.deployed("three");
    assert_eq!(shop.rollback().outcome.ending, Ending::Live);
    assert_eq!(shop.live(), second);
    assert_eq!(slot_of(&shop, &third), "a", "nothing was rewritten");
    let told = restore(&shop, &first);
    assert_eq!(told.outcome.ending, Ending::Live, "{:?}", told.outcome);
    assert_eq!((shop.live(), shop.live_page()), (first.clone(), "one".into()));
    assert_eq!(tree(&shop, &first), was);
    assert_eq!([&first, &second, &third].map(|id| slot_of(&shop, id)), ["a", "b", "store"]);
    assert_eq!(restore(&shop, &third).outcome.ending, Ending::Live);
    assert_eq!(shop.live_page(), "three");
    assert_eq!(std::fs::read(shop.app().link().join("src/same.txt")).unwrap(), b"no longer the same");
    is_whole(&shop);
}

#[test]
fn what_keep_leaves_can_be_brought_back_and_what_it_does_not_is_gone_from_the_store() {
    let shop = shop();
    let ids: Vec<ReleaseId> = (0..8).map(|n| shop.deployed(&format!("page {n}"))).collect();
    let known: Vec<String> =
        list::releases(&shop.app(), &[]).unwrap().into_iter().map(|listed| listed.id.to_string()).collect();
    // The live one, the way back, and three more.
    assert_eq!(known, ids[3..].iter().map(ToString::to_string).collect::<Vec<_>>());
    for (n, id) in ids.iter().enumerate().skip(3) {
        if manifest::sealed(&shop.app(), id).is_ok() {
            continue;
        }
        assert_eq!(restore(&shop, id).outcome.ending, Ending::Live);
        assert_eq!(shop.live_page(), format!("page {n}"));
    }
    let told = restore(&shop, &ids[0]);
    assert!(told.failure().1.contains("is not known"), "{:?}", told.failure());
    is_whole(&shop);
}

#[test]
fn what_somebody_changed_after_the_seal_and_nobody_has_any_more_is_told() {
    let shop = shop();
    let first = shop.deployed("one");
    shop.deployed("two");
    std::fs::write(place(&shop, &first).join("public/index.html"), "edited on the server").unwrap();
    let third = shop.deployed("three");
    let told = restore(&shop, &first);
    assert_eq!(told.outcome.ending, Ending::Undone);
    assert!(told.failure().1.contains("nobody has public/index.html any more"), "{:?}", told.failure());
    assert_eq!((shop.live(), shop.live_page()), (third, "three".into()));
}

#[test]
fn a_place_that_the_application_writes_to_comes_back_as_it_was_sealed() {
    let keys = SLOTS.replace("keep = 3", "keep = 3\nwritable = ['cache']");
    let shop = Shop::new(&keys);
    shop.source("cache/made.txt", "as staged");
    let first = shop.deployed("one");
    std::fs::write(place(&shop, &first).join("cache/made.txt"), "as the application left it").unwrap();
    std::fs::write(place(&shop, &first).join("cache/more.txt"), "more").unwrap();
    shop.deployed("two");
    shop.deployed("three");
    assert_eq!(restore(&shop, &first).outcome.ending, Ending::Live);
    assert_eq!(std::fs::read(place(&shop, &first).join("cache/made.txt")).unwrap(), b"as staged");
    assert!(!place(&shop, &first).join("cache/more.txt").exists());
}

#[test]
fn a_slot_that_somebody_uses_is_not_rewritten_and_the_refusal_says_who() {
    let shop = shop();
    // Some time: what another test has forked has our descriptors for the moment before it runs its program.
    let waits =
        |time: &str| shop.configure(&SLOTS.replace("keep = 3", &format!("keep = 3\nslot_wait = '{time}'")));
    waits("2s");
    let first = shop.deployed("one");
    let leased = Lease::take(&shop.app(), &live::read(&shop.app()).unwrap()).unwrap();
    let second = shop.deployed("two");
    shop.page("three");
    let told = shop.deploy();
    let (step, why) = told.failure();
    assert!(told.outcome.refused && step == "stage", "{step} {why}");
    assert!(why.contains(&format!("slot a is used by a lease of process {}", std::process::id())), "{why}");
    assert_eq!((shop.live(), slot_of(&shop, &first)), (second.clone(), "a".into()));
    assert_eq!(std::fs::read(place(&shop, &first).join("public/index.html")).unwrap(), b"one");
    drop(leased);
    // A cron job that works there holds no lease.
    let mut cron =
        std::process::Command::new("sleep").arg("600").current_dir(place(&shop, &first)).spawn().unwrap();
    let told = shop.deploy();
    assert!(told.failure().1.contains("(sleep)"), "{:?}", told.failure());
    assert_eq!(slot_of(&shop, &first), "a");
    cron.kill().unwrap();
    cron.wait().unwrap();
    waits("60s");
    let third = shop.deployed("three");
    assert_eq!(slot_of(&shop, &third), "a");
}

#[test]
fn a_third_slot_is_taken_where_there_may_be_three_and_the_way_back_is_rewritten_last() {
    let shop = Shop::new(&SLOTS.replace("keep = 3", "keep = 3\nslots = 3\nslot_wait = '1s'"));
    let ids: Vec<ReleaseId> = ["one", "two", "three"].iter().map(|page| shop.deployed(page)).collect();
    assert_eq!(ids.iter().map(|id| slot_of(&shop, id)).collect::<Vec<_>>(), ["a", "b", "c"]);
    let leased = Lease::take(&shop.app(), &live::read(&shop.app()).unwrap()).unwrap();
    let fourth = shop.deployed("four");
    // "three" is the way back, "two" is older than that, "one" is the oldest.
    assert_eq!(slot_of(&shop, &fourth), "a");
    let fifth = shop.deployed("five");
    assert_eq!(slot_of(&shop, &fifth), "b", "c is leased");
    drop(leased);
    assert_eq!(slot_of(&shop, &shop.deployed("six")), "c");
}

#[test]
fn a_deploy_that_fails_leaves_the_slot_without_a_name_and_the_next_one_takes_it() {
    let shop = shop();
    shop.deployed("one");
    let second = shop.deployed("two");
    for hook in ["after_stage", "before_flip"] {
        shop.configure(&format!("{SLOTS}[hooks]\n{hook} = ['false']\n"));
        shop.page("three");
        let told = shop.deploy();
        assert_eq!(told.outcome.ending, Ending::Undone, "{hook}");
        assert_eq!((shop.live(), shop.live_page()), (second.clone(), "two".into()));
        assert_eq!(shop.releases(), [second.as_str()], "{hook}");
        let failed = told.outcome.release.unwrap();
        assert!(!shop.app().manifest(&failed).exists(), "{hook}");
    }
    shop.configure(SLOTS);
    let third = shop.deployed("three");
    assert_eq!(slot_of(&shop, &third), "a");
    is_whole(&shop);
}

#[test]
fn an_app_goes_over_to_slots_by_its_next_deploy_and_back_by_another() {
    let shop = Shop::new("keep = 1\n[serve]\n");
    let first = shop.deployed("one");
    shop.configure(&SLOTS.replace("keep = 3", "keep = 1"));
    let second = shop.deployed("two");
    assert_eq!((slot_of(&shop, &first).as_str(), slot_of(&shop, &second).as_str()), ("store", "a"));
    assert!(shop.app().release(&first).is_dir(), "it has a directory of its own");
    let back = Aim::Rollback { to: first, forced: false, leaves_bad: false };
    assert_eq!(shop.run(back).outcome.ending, Ending::Live);
    assert_eq!(shop.live_page(), "one");
    shop.deployed("three");
    shop.configure("keep = 1\n[serve]\n");
    for page in ["four", "five", "six", "seven"] {
        shop.deployed(page);
    }
    assert_eq!(slot::all(&shop.app()).unwrap(), [], "slots went with their releases");
    assert!(shop.releases().iter().all(|id| shop.app().releases().join(id).read_link().is_err()));
    shop.configure(SLOTS);
    assert_eq!(slot_of(&shop, &shop.deployed("eight")), "a");
    is_whole(&shop);
}

#[test]
fn files_directories_and_links_become_each_other() {
    let shop = shop();
    let thing = shop.path("src/thing");
    let make = |round: usize| {
        match std::fs::symlink_metadata(&thing) {
            Ok(stat) if stat.is_dir() => std::fs::remove_dir_all(&thing).unwrap(),
            Ok(_) => std::fs::remove_file(&thing).unwrap(),
            Err(_) => {}
        }
        match round % 5 {
            0 => std::fs::write(&thing, "a file").unwrap(),
            1 => {
                std::fs::create_dir_all(thing.join("deep/er")).unwrap();
                std::fs::write(thing.join("deep/er/x"), "x").unwrap();
            }
            2 => symlink("src", &thing).unwrap(),
            3 => symlink("public", &thing).unwrap(),
            _ => {}
        }
    };
    for round in [0, 1, 2, 3, 4, 0, 2, 1, 3, 0, 4, 1, 0, 3, 2] {
        make(round);
        let id = shop.deployed(&format!("round {round}"));
        let dir = place(&shop, &id);
        let there = std::fs::symlink_metadata(dir.join("thing"));
        match round {
            0 => assert!(there.unwrap().is_file()),
            1 => assert_eq!(std::fs::read(dir.join("thing/deep/er/x")).unwrap(), b"x"),
            2 => assert_eq!(dir.join("thing").read_link().unwrap(), Path::new("src")),
            3 => assert_eq!(dir.join("thing").read_link().unwrap(), Path::new("public")),
            _ => assert!(there.is_err()),
        }
        is_whole(&shop);
    }
}

/// Whatever is live is whole and says the page it was made of; every release that has a slot is sealed for it.
fn is_sound(shop: &Shop, n: u32, pages: &[&str]) {
    let page = shop.live_page();
    assert!(pages.contains(&page.as_str()), "killed at {n}: {page}");
    manifest::sealed(&shop.app(), &shop.live()).unwrap_or_else(|error| panic!("killed at {n}: {error}"));
    is_whole(shop);
}

/// What stands beside the slots or in the store's list is tidied up, and no two names lead to one slot.
fn is_tidy(shop: &Shop, n: u32) {
    for name in slot::all(&shop.app()).unwrap() {
        assert!(slot::named(&shop.app(), &name).unwrap().len() <= 1, "killed at {n}: slot {name}");
    }
    let next = std::fs::read_dir(shop.app().slots()).unwrap().flatten();
    let next: Vec<_> = next.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b".")).collect();
    assert!(next.is_empty(), "killed at {n}: {next:?}");
}

#[test]
fn a_deploy_into_a_slot_killed_at_any_effect_is_finished_or_undone_by_the_next_command() {
    let (mut killed, mut finished, mut undone) = (0, 0, 0);
    for n in 1.. {
        let shop = Shop::in_memory(
            "layout = 'slots'\nkeep = 3\n[serve]\n[hooks]\nafter_stage = ['echo made > made']\n",
        );
        shop.source("src/same.txt", "the same in each");
        shop.source("old/gone.txt", "gone in the end");
        let first = shop.deployed("one");
        let was = tree(&shop, &first);
        shop.deployed("two");
        shop.page("three");
        std::fs::remove_dir_all(shop.path("src/old")).unwrap();
        shop.source("new/come.txt", "new");
        if !shop.killed_at(n, "deploy") {
            break;
        }
        killed = n;
        is_sound(&shop, n, &["two", "three"]);
        shop.recover();
        is_sound(&shop, n, &["two", "three"]);
        match shop.live_page().as_str() {
            "three" => finished += 1,
            _ => undone += 1,
        }
        assert_eq!(shop.recover(), None, "killed at {n}: twice in hand");
        // What lost its slot, or its name, can be brought back at any time.
        if slot_of(&shop, &first) == "store" {
            let told = restore(&shop, &first);
            assert_eq!(told.outcome.ending, Ending::Live, "killed at {n}: {:?}", told.outcome);
            assert_eq!(tree(&shop, &first), was, "killed at {n}");
        }
        shop.deployed("four");
        is_tidy(&shop, n);
        is_sound(&shop, n, &["four"]);
    }
    println!("killed before each of {killed} effects: {finished} finished, {undone} undone");
    assert!(killed > 60 && finished > 1 && undone > 5, "{killed} {finished} {undone}");
}

#[test]
fn a_restore_killed_at_any_effect_is_finished_or_undone_and_can_be_done_again() {
    for n in 1.. {
        let shop = Shop::in_memory(SLOTS);
        shop.source("src/same.txt", "the same in each");
        let first = shop.deployed("one");
        shop.deployed("two");
        shop.deployed("three");
        if !shop.killed_at(n, &format!("restore {first}")) {
            assert!(n > 40, "{n}");
            break;
        }
        // Between its new name and its new seal it has the seal of its old slot; what is live is whole all the same.
        assert!(manifest::sealed(&shop.app(), &shop.live()).is_ok(), "killed at {n}");
        shop.recover();
        is_sound(&shop, n, &["three", "one"]);
        if shop.live() != first {
            let told = match manifest::sealed(&shop.app(), &first) {
                Ok(_) => shop.run(Aim::Rollback { to: first.clone(), forced: false, leaves_bad: false }),
                Err(_) => restore(&shop, &first),
            };
            assert_eq!(told.outcome.ending, Ending::Live, "killed at {n}: {:?}", told.outcome);
        }
        is_sound(&shop, n, &["one"]);
        shop.deployed("four");
        is_tidy(&shop, n);
    }
}
