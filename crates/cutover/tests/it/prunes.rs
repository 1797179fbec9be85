//! prune: what goes and what stays.

use crate::shop::Shop;
use insta::assert_snapshot;

/// r1 to r6 were live in turn, r6 is; nothing is kept for its age.
fn old() -> Shop {
    let shop = Shop::with_live(&["r1", "r2", "r3", "r4", "r5", "r6"]);
    std::fs::write(shop.path("cutover.toml"), "[app]\nkeep_for = '0s'\nkeep = 2\n").unwrap();
    shop
}

fn standing(shop: &Shop) -> Vec<String> {
    let entries = std::fs::read_dir(shop.path("releases")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_newest_stay_and_the_rest_goes() {
    let shop = old();
    assert_snapshot!(shop.ok(&["prune", "--dry-run"]), @"
    r6  stays: it is live
    r5  stays: rollback would go to it
    r4  stays: it is one of those to keep
    r3  stays: it is one of those to keep
    r2  would be deleted
    r1  would be deleted
    ");
    assert_eq!(standing(&shop).len(), 6);
    assert_snapshot!(shop.ok(&["prune"]), @"
    r6  stays: it is live
    r5  stays: rollback would go to it
    r4  stays: it is one of those to keep
    r3  stays: it is one of those to keep
    r2  deleted
    r1  deleted
    ");
    assert_eq!(standing(&shop), ["r3", "r4", "r5", "r6"]);
    assert_eq!(std::fs::read_dir(shop.path(".cutover/trash")).unwrap().count(), 0);
}

#[test]
fn the_way_back_stays_however_many_bad_ones_came_after_it() {
    let shop = Shop::with_live(&["r1"]);
    for id in ["r2", "r3", "r4"] {
        shop.release(id);
        shop.ok(&["seal", id]);
        shop.ok(&["flip", id]);
        shop.ok(&["rollback"]);
    }
    shop.release("r5");
    shop.ok(&["seal", "r5"]);
    shop.ok(&["flip", "r5"]);
    std::fs::write(shop.path("cutover.toml"), "[app]\nkeep_for = '0s'\n").unwrap();
    shop.ok(&["prune", "--keep", "0"]);
    assert_eq!(standing(&shop), ["r1", "r5"]);
    shop.ok(&["rollback"]);
    assert_eq!(shop.live(), "releases/r1");
}

#[test]
fn what_was_live_of_late_stays() {
    let shop = Shop::with_live(&["r1", "r2", "r3"]);
    let said = shop.ok(&["prune", "--keep", "0"]);
    assert!(said.contains("r1  stays: it was live within 1 hour"), "{said}");
}

#[test]
fn what_was_never_sealed_nor_live_may_be_in_the_making() {
    let shop = old();
    shop.release("r7");
    let said = shop.ok(&["prune", "--keep", "0"]);
    assert!(said.contains("r7  stays: it was never sealed"), "{said}");
    assert_eq!(standing(&shop), ["r5", "r6", "r7"]);
}

#[test]
fn what_a_process_holds_stays_until_it_lets_go() {
    let shop = old();
    let app = release::App::new(shop.root(), "current".as_ref(), &[]).unwrap();
    shop.ok(&["flip", "r2"]);
    let lease = release::Lease::take(&app, &release::live::read(&app).unwrap()).unwrap();
    shop.ok(&["flip", "r6"]);
    shop.ok(&["flip", "r5"]);
    shop.ok(&["flip", "r6"]);
    let (code, said) = shop.json(&["prune", "--keep", "0"]);
    assert_eq!(code, 0);
    let r2 = said["releases"].as_array().unwrap().iter().find(|release| release["id"] == "r2").unwrap();
    assert_eq!(r2["result"], "in use");
    assert!(standing(&shop).contains(&"r2".to_owned()));
    drop(lease);
    shop.ok(&["prune", "--keep", "0"]);
    assert!(!standing(&shop).contains(&"r2".to_owned()));
}

#[test]
fn with_a_broken_link_nothing_is_deleted() {
    let shop = old();
    std::fs::remove_file(shop.path("current")).unwrap();
    assert_snapshot!(shop.fails(3, &["prune"]), @"
    cutover: nothing was deleted: /srv/shop/current is not there
      next: `cutover flip RELEASE` makes one live
    ");
    assert_eq!(standing(&shop).len(), 6);
}
