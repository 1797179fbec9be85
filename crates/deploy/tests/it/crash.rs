//! A deploy is killed before each of its effects in turn: one complete release is live all along, and the next
//! command finishes or undoes it.

use release::manifest;

use crate::shop::Shop;

/// r1 and r2 were live in turn, r2 is; the next deploy prunes r1... but for keep, which is the least there is.
fn shop() -> Shop {
    let shop =
        Shop::in_memory("keep = 1\n[hooks]\nafter_stage = ['echo made > made']\nafter_flip = ['true']\n");
    for page in ["one", "two", "three"] {
        shop.deployed(page);
    }
    shop.page("four");
    shop
}

/// Whatever is live is sealed, whole, and one of the two.
fn is_whole(shop: &Shop, n: u32) {
    let page = shop.live_page();
    assert!(["three", "four"].contains(&page.as_str()), "killed at {n}: {page}");
    let id = shop.live();
    manifest::sealed(&shop.app(), &id).unwrap_or_else(|error| panic!("killed at {n}: {error}"));
    let made = shop.app().release(&id).join("made");
    assert!(made.exists(), "killed at {n}: its hooks ran");
}

/// Nothing that is no release stands in releases/, and no temporary name is left.
fn is_tidy(shop: &Shop, n: u32) {
    for name in shop.releases() {
        let id = release::ReleaseId::parse(&name).unwrap_or_else(|_| panic!("killed at {n}: {name}"));
        manifest::sealed(&shop.app(), &id).unwrap_or_else(|error| panic!("killed at {n}: {error}"));
    }
    let trash = std::fs::read_dir(shop.app().trash()).into_iter().flatten().count();
    assert_eq!(trash, 0, "killed at {n}: the trash");
}

#[test]
fn a_deploy_killed_at_any_effect_is_finished_or_undone_by_the_next_command() {
    let mut killed = 0;
    let (mut finished, mut undone) = (0, 0);
    for n in 1.. {
        let shop = shop();
        if !shop.killed_at(n, "deploy") {
            break;
        }
        killed = n;
        is_whole(&shop, n);
        let outcome = shop.recover();
        is_whole(&shop, n);
        match shop.live_page().as_str() {
            "four" => finished += 1,
            _ => undone += 1,
        }
        if let Some(outcome) = outcome {
            let live = outcome.ending == deploy::journal::Ending::Live;
            assert_eq!(live, shop.live_page() == "four", "killed at {n}: {outcome:?}");
        }
        assert_eq!(shop.recover(), None, "killed at {n}: twice in hand");
        shop.deployed("five");
        is_tidy(&shop, n);
        assert_eq!(shop.rollback().outcome.ending, deploy::journal::Ending::Live, "killed at {n}");
    }
    assert!(killed > 40, "{killed}");
    assert!(finished > 5 && undone > 20, "{finished} {undone}");
}

#[test]
fn a_rollback_killed_at_any_effect_left_the_one_or_the_other_and_what_was_bad_stays_bad() {
    let mut killed = 0;
    for n in 1.. {
        let shop = Shop::in_memory("");
        let first = shop.deployed("one");
        let second = shop.deployed("two");
        if !shop.killed_at(n, first.as_str()) {
            break;
        }
        killed = n;
        let live = shop.live();
        assert!(live == first || live == second, "killed at {n}");
        shop.recover();
        assert_eq!(shop.live(), live, "killed at {n}: recovery flips nothing by itself");
        assert_eq!(shop.recover(), None, "killed at {n}");
        // What was left by a rollback is never a way back.
        if live == first {
            let verdict = release::history::verdict(&shop.events(), &second);
            assert_eq!(verdict, Some(release::history::What::Bad), "killed at {n}");
        }
    }
    assert!(killed > 8, "{killed}");
}

#[test]
fn a_recovery_that_is_killed_itself_is_taken_up_again() {
    for n in [25, 45, 60, 75, 90] {
        let shop = shop();
        shop.killed_at(n, "deploy");
        for m in 1..30 {
            if !shop.killed_at(m, "recover") {
                break;
            }
            is_whole(&shop, n);
        }
        shop.recover();
        is_whole(&shop, n);
        shop.deployed("five");
        is_tidy(&shop, n);
    }
}
