//! flip, rollback, seal.

use crate::shop::{Shop, timeless};
use insta::assert_snapshot;

#[test]
fn a_sealed_release_is_made_live_and_the_one_before_is_told() {
    let shop = Shop::with_releases(&["r1", "r2"]);
    assert_snapshot!(timeless(&shop.ok(&["seal", "r1"])), @"r1 is sealed, in SOME TIME");
    assert_snapshot!(timeless(&shop.ok(&["flip", "r1"])), @"r1 is live, nothing was before; flipped in SOME TIME");
    assert_eq!(shop.live(), "releases/r1");
    shop.ok(&["seal", "r2"]);
    assert_snapshot!(timeless(&shop.ok(&["flip", "r2"])), @"r2 is live, r1 was; flipped in SOME TIME");
    assert_snapshot!(timeless(&shop.ok(&["flip", "r2"])), @"r2 was live already");
    assert_eq!(shop.live(), "releases/r2");
}

#[test]
fn an_unsealed_release_is_refused_unless_forced() {
    let shop = Shop::with_live(&["r1"]);
    shop.release("r2");
    assert_snapshot!(shop.fails(3, &["flip", "r2"]), @"
    cutover: r2 is not sealed: nobody has said that it is complete
      still: r1 is still live
      next: cutover seal r2, then flip again; or --force
    ");
    assert_eq!(shop.live(), "releases/r1");
    assert_snapshot!(timeless(&shop.ok(&["flip", "r2", "--force"])), @"r2 is live (forced), r1 was; flipped in SOME TIME");
}

#[test]
fn a_release_that_is_not_there_is_told_so_even_by_force() {
    let shop = Shop::with_live(&["r1"]);
    assert_snapshot!(shop.fails(1, &["flip", "r9"]), @"
    cutover: there is no release r9
      still: r1 is still live
      next: `cutover releases` lists what there is
    ");
    shop.fails(1, &["flip", "r9", "--force"]);
    shop.fails(1, &["rollback", "r9", "--force"]);
    shop.fails(1, &["rollback", "r9"]);
    shop.fails(1, &["seal", "r9"]);
}

#[test]
fn a_name_that_cannot_be_a_releases_is_wrong_usage() {
    let shop = Shop::with_live(&["r1"]);
    for name in ["../r1", "", "-x", ".git", "a b"] {
        let said = shop.fails(2, &["flip", "--", name]);
        assert!(said.contains("RELEASE"), "{said}");
    }
}

#[test]
fn a_real_directory_in_the_links_place_is_refused_and_not_touched() {
    let shop = Shop::with_releases(&["r1"]);
    std::fs::create_dir(shop.path("current")).unwrap();
    std::fs::write(shop.path("current/precious"), "").unwrap();
    shop.ok(&["seal", "r1"]);
    assert_snapshot!(shop.fails(3, &["flip", "r1"]), @"
    cutover: /srv/shop/current is a directory, not a link; it was not touched: move it to releases/ first, and flip to it there
      still: /srv/shop/current is a directory, not a link to a release
      next: /srv/shop/current is a directory: move it away, then flip again
    ");
    assert!(shop.path("current/precious").exists());
}

#[test]
fn a_release_whose_own_config_is_wrong_is_refused_before_the_flip() {
    let shop = Shop::with_live(&["r1"]);
    shop.release("r2");
    std::fs::write(shop.path("releases/r2/cutover.toml"), "[app]\ndocrot = 'x'\n").unwrap();
    shop.ok(&["seal", "r2"]);
    assert_snapshot!(shop.fails(3, &["flip", "r2"]), @"
    cutover: the cutover.toml in r2 is wrong
    /srv/shop/releases/r2/cutover.toml:2:1: unknown key `docrot` in [app]
      2 | docrot = 'x'
        | ^^^^^^
      fix: did you mean `docroot`?
      still: r1 is still live
      next: correct it in a new release; or --force
    ");
    assert_eq!(shop.live(), "releases/r1");
}

#[test]
fn rolling_back_goes_to_the_last_good_release_and_twice_goes_two_back() {
    let shop = Shop::with_live(&["r1", "r2", "r3"]);
    assert_snapshot!(timeless(&shop.ok(&["rollback"])), @"r2 is live, r3 was; flipped in SOME TIME");
    assert_eq!(shop.live(), "releases/r2");
    shop.ok(&["rollback"]);
    assert_eq!(shop.live(), "releases/r1");
    assert_snapshot!(shop.fails(3, &["rollback"]), @"
    cutover: there is no good release before r1
      still: r1 is still live
      next: name one: cutover rollback RELEASE --force
    ");
}

#[test]
fn a_bad_release_is_no_way_back_unless_forced() {
    let shop = Shop::with_live(&["r1", "r2"]);
    shop.ok(&["rollback"]);
    assert_snapshot!(shop.fails(3, &["rollback", "r2"]), @"
    cutover: r2 is marked bad
      still: r1 is still live
      next: `cutover releases` lists the good ones; or --force
    ");
    shop.ok(&["rollback", "r2", "--force"]);
    assert_eq!(shop.live(), "releases/r2");
}

#[test]
fn a_release_that_was_never_live_is_no_way_back() {
    let shop = Shop::with_live(&["r1"]);
    shop.release("r2");
    shop.ok(&["seal", "r2"]);
    assert_snapshot!(shop.fails(3, &["rollback", "r2"]), @"
    cutover: r2 was never live and good
      still: r1 is still live
      next: `cutover releases` lists the good ones; or --force
    ");
}

#[test]
fn a_rollback_that_keeps_its_good_opinion_leaves_a_way_forward() {
    let shop = Shop::with_live(&["r1", "r2"]);
    shop.ok(&["rollback", "--keep-good"]);
    shop.ok(&["rollback", "r2"]);
    assert_eq!(shop.live(), "releases/r2");
}

#[test]
fn other_tools_flips_are_followed_and_what_they_left_is_good() {
    let shop = Shop::with_live(&["r1"]);
    for id in ["r2", "r3"] {
        shop.release(id);
        shop.ok(&["seal", id]);
    }
    let ln = |id: &str| {
        let done = std::process::Command::new("ln")
            .current_dir(shop.root())
            .arg("-sfnT")
            .arg(format!("releases/{id}"))
            .arg("current")
            .status();
        assert!(done.unwrap().success());
    };
    ln("r2");
    shop.ok(&["flip", "r3"]);
    shop.ok(&["rollback"]);
    assert_eq!(shop.live(), "releases/r2");
    shop.ok(&["rollback"]);
    assert_eq!(shop.live(), "releases/r1");
}

#[test]
fn an_unsealed_good_release_is_not_rolled_back_to_in_silence() {
    let shop = Shop::with_releases(&["r1", "r2"]);
    shop.ok(&["flip", "r1", "--force"]);
    shop.ok(&["seal", "r2"]);
    shop.ok(&["flip", "r2"]);
    assert_snapshot!(shop.fails(3, &["rollback"]), @"
    cutover: the last good release before r2, r1, is not sealed
      still: r2 is still live
      next: if it is complete: cutover seal r1, then cutover rollback; or cutover rollback r1 --force
    ");
    shop.ok(&["seal", "r1"]);
    shop.ok(&["rollback"]);
    assert_eq!(shop.live(), "releases/r1");
}

#[test]
fn while_another_command_is_at_work_a_flip_is_refused_or_waits() {
    let shop = Shop::with_live(&["r1"]);
    let app = release::App::new(shop.root(), "current".as_ref(), &[]).unwrap();
    let lock = release::lock::DeployLock::take(&app, std::time::Duration::ZERO).unwrap();
    let said = shop.fails(3, &["flip", "r1"]);
    assert!(
        said.contains(&format!("process {}", std::process::id())) && said.contains("r1 is still live"),
        "{said}"
    );
    let waiting = std::thread::scope(|scope| {
        let flip = scope.spawn(|| shop.ok(&["flip", "r1", "--wait", "60s"]));
        std::thread::sleep(std::time::Duration::from_millis(100));
        drop(lock);
        flip.join().unwrap()
    });
    assert_eq!(waiting, "r1 was live already");
}

#[test]
fn sealing_twice_is_no_error_and_a_seal_of_another_tree_is_told() {
    let shop = Shop::with_live(&["r1"]);
    assert_snapshot!(shop.ok(&["seal", "r1"]), @"r1 is sealed already");
    std::fs::remove_dir_all(shop.path("releases/r1")).unwrap();
    shop.release("r1");
    assert_snapshot!(shop.fails(3, &["seal", "r1"]), @"
    cutover: r1 has a seal that cannot be relied on: the directory of release r1 was replaced since it was sealed: `cutover seal r1` if it is whole
      still: the seal was not touched
      next: if it is complete: cutover seal r1 --again
    ");
    assert_snapshot!(shop.fails(3, &["flip", "r1"]), @"
    cutover: the seal of r1 cannot be relied on: the directory of release r1 was replaced since it was sealed: `cutover seal r1` if it is whole
      still: r1 is still live
      next: if it is complete: cutover seal r1 --again
    ");
    shop.ok(&["seal", "r1", "--again"]);
    shop.ok(&["flip", "r1"]);
}

#[test]
fn failures_are_told_in_json_too() {
    let shop = Shop::with_live(&["r1"]);
    shop.release("r2");
    let (code, said) = shop.json(&["flip", "r2"]);
    assert_eq!(code, 3);
    assert_eq!(said["still"], "r1 is still live");
    assert!(said["error"].as_str().unwrap().contains("not sealed"));
    assert!(said["next"].as_str().unwrap().contains("cutover seal r2"));
    let (code, said) = shop.json(&["flip", "r2", "--force"]);
    assert_eq!(
        (code, &said["live"], &said["was"], &said["forced"]),
        (0, &"r2".into(), &"r1".into(), &true.into())
    );
}
