//! What a command uses stays: the hold lasts as long as the command and what it leaves behind, whoever else ends.

use std::fs;
use std::process::Child;

use super::once::exec;
use super::until;
use crate::shop::Shop;

/// Every release but the live one and the way back may go.
fn strict(shop: &Shop) {
    fs::write(shop.path("cutover.toml"), "[app]\nkeep_for = '0s'\n").unwrap();
}

fn prune_of(shop: &Shop, id: &str) -> String {
    let (code, said) = shop.json(&["prune", "--keep", "0"]);
    assert_eq!(code, 0, "{said}");
    let releases = said["releases"].as_array().unwrap();
    let row = releases.iter().find(|release| release["id"] == id).unwrap();
    row["result"].as_str().unwrap_or_default().to_owned()
}

/// A shell that runs in the release until it is killed; `extra` comes before.
fn begun(shop: &Shop, extra: &str) -> Child {
    let mark = shop.path("begun");
    let script = format!("{extra} echo > '{}'; exec sleep 600", mark.display());
    let child = exec(shop, &["--", "sh", "-c", &script]).spawn().unwrap();
    until("the command", || mark.exists());
    fs::remove_file(mark).unwrap();
    child
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_a_command_uses_is_not_pruned_and_status_says_who_uses_it() {
    let shop = Shop::with_live(&["r1"]);
    strict(&shop);
    let child = begun(&shop, "cd /;");
    for id in ["r2", "r3"] {
        shop.release(id);
        shop.ok(&["seal", id]);
        shop.ok(&["flip", id]);
    }
    // It is not even in its directory any more: the lock alone holds the release.
    let said = shop.ok(&["status"]);
    assert!(said.contains(&format!("users    r1: process {} (sleep)", child.id())), "{said}");
    assert_eq!(prune_of(&shop, "r1"), "in use");
    assert!(shop.path("releases/r1").exists());
    end(child);
    assert_eq!(prune_of(&shop, "r1"), "deleted");
}

#[test]
fn a_process_that_the_command_left_behind_holds_the_release_too() {
    let shop = Shop::with_live(&["r1"]);
    strict(&shop);
    // `exec 3>&-` and its like, which scripts do, do not touch the hold.
    let script = "exec 3>&- 4>&- 5>/dev/null 9>/dev/null; cd /; setsid sleep 600 >/dev/null 2>&1 & echo $!";
    let out = exec(&shop, &["--", "sh", "-c", script]).output().unwrap();
    let left: i32 = String::from_utf8(out.stdout).unwrap().trim().parse().unwrap();
    for id in ["r2", "r3"] {
        shop.release(id);
        shop.ok(&["seal", id]);
        shop.ok(&["flip", id]);
    }
    assert_eq!(prune_of(&shop, "r1"), "in use");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(left), nix::sys::signal::Signal::SIGKILL).unwrap();
    until("the end of what was left behind", || prune_of(&shop, "r1") == "deleted");
}

#[test]
fn another_release_than_the_live_one_is_held_as_well() {
    let shop = Shop::with_live(&["r1", "r2", "r3"]);
    strict(&shop);
    let mut child =
        exec(&shop, &["--release", "r1", "--", "sh", "-c", "cd /; exec sleep 600"]).spawn().unwrap();
    let comm = format!("/proc/{}/comm", child.id());
    until("the command", || fs::read_to_string(&comm).unwrap() == "sleep\n");
    assert_eq!(prune_of(&shop, "r1"), "in use");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(prune_of(&shop, "r1"), "deleted");
}

#[test]
fn a_slot_is_not_rewritten_under_a_command() {
    let (shop, source) = (Shop::with_releases(&[]), tempfile::tempdir().unwrap());
    let text = format!(
        "[app]\nlayout = 'slots'\nslot_wait = '0s'\n[source]\ndir = '{}'\n[serve]\nlisten = ['127.0.0.1:1']\n",
        source.path().display()
    );
    fs::write(shop.path("cutover.toml"), text).unwrap();
    let deploy = |page: &str| {
        fs::write(source.path().join("index.html"), page).unwrap();
        shop.run(&["deploy"])
    };
    assert_eq!(deploy("one").code, 0);
    let told = shop.ok(&["exec", "--", "sh", "-c", "echo $CUTOVER_RELEASE $(pwd -P) $(cat index.html)"]);
    let words: Vec<&str> = told.split(' ').collect();
    assert_eq!(
        (format!("releases/{}", words[0]), words[1], words[2]),
        (shop.live(), "/srv/shop/slots/a", "one")
    );
    let child = begun(&shop, "cd /;");
    assert_eq!(deploy("two").code, 0);
    let refused = deploy("three");
    assert_eq!(refused.code, 3, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("slot a"), "{}", refused.err);
    assert_eq!(fs::read_to_string(shop.path("slots/a/index.html")).unwrap(), "one");
    end(child);
    let ran = deploy("three");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(fs::read_to_string(shop.path("slots/a/index.html")).unwrap(), "three");
}
