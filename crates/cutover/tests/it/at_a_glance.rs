//! status, releases, init, serve --check, completions, help.

use crate::shop::Shop;
use insta::assert_snapshot;
use std::process::Command;

#[test]
fn releases_are_listed_with_what_is_known_about_them() {
    let shop = Shop::with_live(&["r1", "r2", "r3"]);
    shop.release("r4");
    shop.ok(&["rollback"]);
    let table = shop.ok(&["releases"]);
    let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[1], ["r4", "-", "-", "never", "no"]);
    assert_eq!(words[2][..3], ["r1", "sealed", "good"]);
    assert_eq!(words[3][..3], ["r3", "sealed", "bad"]);
    assert_eq!(words[4][..3], ["r2", "sealed", "live"]);
    let (_, said) = shop.json(&["releases"]);
    assert_eq!(said["releases"][3]["id"], "r2");
    assert_eq!(said["releases"][3]["live"], true);
    assert_eq!(said["releases"][2]["verdict"], "bad");
}

#[test]
fn an_app_without_releases_says_so() {
    assert_snapshot!(Shop::with_releases(&[]).ok(&["releases"]), @"no releases in /srv/shop/releases");
}

#[test]
fn status_says_what_is_live_since_when_and_by_whom() {
    let shop = Shop::with_live(&["r1", "r2"]);
    let said = shop.ok(&["status"]);
    assert!(said.contains("r2 is live, since 20") && said.contains("by alice@"), "{said}");
    assert!(said.contains("rollback to r1") && said.contains("sealed, 2 entries"), "{said}");
    let (code, said) = shop.json(&["status"]);
    assert_eq!(
        (code, &said["live"], &said["rollback"], &said["sealed"]),
        (0, &"r2".into(), &"r1".into(), &true.into())
    );
}

#[test]
fn a_broken_link_is_told_with_what_was_live_last() {
    let shop = Shop::with_live(&["r1", "r2"]);
    std::fs::remove_dir_all(shop.path("releases/r2")).unwrap();
    assert_snapshot!(shop.fails(1, &["status"]), @"
    cutover: app: /srv/shop/current leads to /srv/shop/releases/r2, which is not there
      still: r2 was live last; a running `cutover serve` goes on with its last good release
      next: `cutover flip RELEASE` makes one live
    ");
    let (code, said) = shop.json(&["status"]);
    assert_eq!(code, 1);
    assert!(said["still"].as_str().unwrap().contains("r2 was live last"));
}

#[test]
fn an_app_that_never_had_a_release_live_says_so() {
    assert_snapshot!(Shop::with_releases(&["r1"]).fails(1, &["status"]), @"
    cutover: app: /srv/shop/current is not there
      still: no release was ever live
      next: `cutover flip RELEASE` makes one live
    ");
}

#[test]
fn a_directory_that_is_no_app_is_wrong_usage() {
    let shop = Shop::with_releases(&[]);
    std::fs::remove_dir(shop.path("releases")).unwrap();
    assert_snapshot!(shop.fails(2, &["status"]), @"
    cutover: cannot read /srv/shop/cutover.toml: it is not there, and neither is a `current` link or a directory releases/ beside it
      next: name the app with -C DIR, or begin with `cutover -C DIR init`
    ");
}

#[test]
fn init_writes_a_file_that_can_be_read_and_never_over_another() {
    let shop = Shop::with_releases(&["r1"]);
    std::fs::create_dir(shop.path("public")).unwrap();
    std::fs::write(shop.path("public/index.php"), "").unwrap();
    assert_snapshot!(shop.ok(&["init", "--name", "shop"]), @"
    this looks like plain PHP: public/index.php; public/ is served
    wrote /srv/shop/cutover.toml
    next: put a release into /srv/shop/releases/NAME, then cutover seal, cutover flip and cutover serve
    ");
    assert_snapshot!(shop.ok(&["serve", "--check"]), @r#"
    /srv/shop/cutover.toml: ok
      shop in /srv/shop on 127.0.0.1:8080 for any host
      docroot "public", php embedded
    "#);
    assert_snapshot!(shop.fails(3, &["init"]), @"
    cutover: /srv/shop/cutover.toml is there already
      still: it was not touched
      next: `cutover serve --check` says what it means; --force writes it anew
    ");
    assert!(shop.ok(&["init", "--force"]).contains("wrote"));
    assert!(shop.fails(2, &["init", "--config", "x.toml"]).contains("cannot be used together"));
    std::fs::remove_file(shop.path("cutover.toml")).unwrap();
    assert!(shop.fails(2, &["init", "--name", "a b"]).contains("app.name"));
    assert!(!shop.path("cutover.toml").exists());
}

#[test]
fn a_wrong_file_is_told_with_its_place_and_exit_code_2() {
    let shop = Shop::with_live(&["r1"]);
    std::fs::write(shop.path("cutover.toml"), "[app]\nlnk = 'current'\n").unwrap();
    assert_snapshot!(shop.fails(2, &["status"]), @"
    cutover: /srv/shop/cutover.toml:2:1: unknown key `lnk` in [app]
      2 | lnk = 'current'
        | ^^^
      fix: did you mean `link`?
    ");
    shop.fails(2, &["serve", "--check"]);
    std::fs::write(shop.path("cutover.toml"), "[app]\nlink = '../current'\n").unwrap();
    assert_snapshot!(shop.fails(2, &["status"]), @"
    cutover: /srv/shop/cutover.toml: /srv/shop/../current contains `..`; name the directory without it
      next: correct app.root, app.link or app.allow
    ");
}

#[test]
fn several_files_are_checked_together() {
    let shop = Shop::with_releases(&[]);
    std::fs::write(shop.path("a.toml"), "[app]\nname = 'a'\n").unwrap();
    std::fs::write(shop.path("b.toml"), "[app]\nname = 'b'\n[serve]\nhosts = ['b.test']\n[php]\n").unwrap();
    assert_snapshot!(shop.ok(&["serve", "--check", "a.toml", "b.toml"]), @r#"
    /srv/shop/a.toml: ok
      a in /srv/shop on 127.0.0.1:8080 for any host
      docroot "", php none
    /srv/shop/b.toml: ok
      b in /srv/shop on 127.0.0.1:8080 for b.test
      docroot "", php embedded
    "#);
    std::fs::write(shop.path("b.toml"), "[app]\nname = 'b'\n").unwrap();
    assert_snapshot!(shop.fails(2, &["serve", "--check", "a.toml", "b.toml"]), @"
    cutover: two apps answer for every host name on 127.0.0.1:8080
      first:  /srv/shop/a.toml
      second: /srv/shop/b.toml
      fix: write serve.hosts in one of them at least, or another serve.listen
    ");
}

#[test]
fn completions_are_written_for_the_shells() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(Shop::with_releases(&[]).ok(&["completions", shell]).contains("rollback"));
    }
}

#[test]
fn every_command_has_examples_in_its_help() {
    let help = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_cutover")).args(args).arg("--help").output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let top = help(&[]);
    let commands = top.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let names: Vec<&str> = commands
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty())
        .collect();
    assert!(names.len() >= 9, "{names:?}");
    for name in names {
        assert!(help(&[name]).contains("Example"), "{name}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_no_success() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let shop = Shop::with_live(&["r1"]);
    let ran = Command::new(env!("CARGO_BIN_EXE_cutover"))
        .arg("-C")
        .arg(shop.root())
        .arg("status")
        .stdout(full)
        .status();
    assert_eq!(ran.unwrap().code(), Some(1));
}

#[test]
fn wrong_usage_is_told_in_json_too() {
    let shop = Shop::with_live(&["r1"]);
    let (code, said) = shop.json(&["flp", "r1"]);
    assert_eq!((code, &said["error"]), (2, &"unrecognized subcommand 'flp'".into()));
}
