//! Bad input to a whole deploy: what it says, and that the site stays as it was.

use deploy::journal::Ending;
use release::live::{self, LiveError};

use crate::apart;
use crate::shop::Shop;

/// A source on the machine's own file system.
fn elsewhere(file: &str, content: &[u8]) -> tempfile::TempDir {
    let source = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::create_dir(source.path().join("public")).unwrap();
    std::fs::write(source.path().join("public/index.html"), "two").unwrap();
    std::fs::write(source.path().join(file), content).unwrap();
    source
}

#[test]
fn a_deploy_onto_a_full_disk_fails_gives_the_room_back_and_the_site_stays_as_it_was() {
    let name = "bad_input::a_deploy_onto_a_full_disk_fails_gives_the_room_back_and_the_site_stays_as_it_was";
    apart::on(name, &apart::memory("size=6m"), |_| {
        let shop = Shop::new("");
        let first = shop.deployed("one");
        let source = elsewhere("big", &vec![b'x'; 9 << 20]);
        for build in ["", "build = ['true']\n"] {
            shop.configure(&format!("[source]\ndir = '{}'\n{build}", source.path().display()));
            let told = shop.deploy();
            assert_eq!(told.outcome.ending, Ending::Undone, "{build}");
            let why = told.failure().1;
            assert!(why.contains("the disk is full") || why.contains("No space left"), "{why}");
            assert_eq!((shop.live(), shop.live_page()), (first.clone(), "one".into()));
        }
        // Killed in the midst of it: room is needed to write down that it is undone.
        std::fs::write(source.path().join("big"), "x").unwrap();
        let from = source.path().display();
        let fills = format!("cat /dev/zero > fill; touch {from}/there; sleep 600");
        shop.configure(&format!("[source]\ndir = '{from}'\n[hooks]\nafter_stage = ['{fills}']\n"));
        let mut deploy = shop.deploying();
        while !source.path().join("there").exists() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        deploy.kill().unwrap();
        deploy.wait().unwrap();
        shop.configure(&format!("[source]\ndir = '{from}'\n"));
        let told = shop.deploy();
        assert_eq!(told.outcome.ending, Ending::Live, "{:?}", told.outcome);
        assert_eq!(shop.live_page(), "two");
    });
}

#[test]
fn a_live_release_that_was_deleted_by_hand_is_told_and_the_next_deploy_is_live() {
    let shop = Shop::new("");
    let first = shop.deployed("one");
    let second = shop.deployed("two");
    let app = shop.app();
    std::fs::remove_dir_all(app.release(&second)).unwrap();
    let told = live::read(&app).unwrap_err();
    assert!(matches!(told, LiveError::Dangling { .. }), "{told}");
    let third = shop.deployed("three");
    assert_eq!((shop.live(), shop.live_page()), (third, "three".into()));
    shop.rollback();
    assert_eq!(shop.live(), first, "there is no way back to what is gone");
}

#[test]
fn a_clock_that_went_back_changes_no_order() {
    let shop = Shop::new("keep = 1\n");
    let first = shop.deployed("one");
    // A release that a clock ahead of ours named.
    let ahead = release::ReleaseId::parse("29991231T235959Z-aaaaaa").unwrap();
    std::fs::create_dir_all(shop.app().release(&ahead).join("public")).unwrap();
    let second = shop.deployed("two");
    assert!(second.as_str() > ahead.as_str(), "{second}");
    let third = shop.deployed("three");
    assert!(third.as_str() > second.as_str(), "{third}");
    shop.rollback();
    assert_eq!(shop.live(), second);
    assert!(shop.app().release(&first).exists());
}
