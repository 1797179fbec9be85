//! A deploy killed while its hook runs: nothing of the hook runs beside what comes next, and logs outlive releases.

use std::time::Duration;

use deploy::journal::Ending;
use release::lock::DeployLock;
use rustix::process::{Pid, Signal, kill_process};

use crate::shop::Shop;

/// How much a hook has written by now.
fn written(shop: &Shop) -> u64 {
    std::fs::metadata(shop.path("app/beats")).map_or(0, |meta| meta.len())
}

#[test]
fn what_a_killed_deploys_hook_left_running_is_ended_before_anything_else_and_told() {
    let beat = "while :; do echo beat >> $CUTOVER_ROOT/beats; sleep 0.05; done";
    // The shell itself; or what it started, when it is gone; or one that will not end when it is asked to.
    for (hook, shell_goes) in [
        (beat.to_owned(), false),
        (format!("({beat}) > /dev/null 2>&1 & sleep 600"), true),
        (format!("trap '' TERM; {beat}"), false),
    ] {
        let shop = Shop::new("");
        let first = shop.deployed("one");
        shop.page("two");
        shop.configure(&format!("[hooks]\nbefore_flip = [\"\"\"{hook}\"\"\", 'sleep 600']\n"));
        let mut deploy = shop.deploying();
        while written(&shop) < 10 {
            std::thread::sleep(Duration::from_millis(10));
        }
        deploy.kill().unwrap();
        deploy.wait().unwrap();
        if shell_goes {
            let note = std::fs::read(shop.app().running()).unwrap();
            let note: serde_json::Value = serde_json::from_slice(&note).unwrap();
            let shell = Pid::from_raw(note["group"].as_i64().unwrap().try_into().unwrap()).unwrap();
            kill_process(shell, Signal::KILL).unwrap();
        }
        let before = written(&shop);
        while written(&shop) == before {
            std::thread::sleep(Duration::from_millis(10));
        }
        shop.configure("");
        let told = shop.deploy();
        let left = serde_json::to_string(&told.events[0]).unwrap();
        assert!(left.contains("still ran (process group ") && left.contains("was ended"), "{left}");
        assert_eq!(told.outcome.ending, Ending::Live);
        assert_eq!(told.outcome.left, Some(first));
        let ended = written(&shop);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(written(&shop), ended, "{hook}");
        assert!(!shop.app().running().exists());
    }
}

#[test]
fn a_note_of_a_process_that_is_gone_ends_nobody() {
    let shop = Shop::new("[hooks]\nbefore_flip = ['cp $CUTOVER_ROOT/.cutover/running $CUTOVER_ROOT/note']\n");
    shop.deployed("one");
    let note = std::fs::read_to_string(shop.path("app/note")).unwrap();
    // The same number belongs to somebody else by now: to us, say.
    let mut changed: serde_json::Value = serde_json::from_str(&note).unwrap();
    changed["group"] = rustix::process::getpgrp().as_raw_nonzero().get().into();
    for text in [note.as_str(), &changed.to_string(), "{\"comm", ""] {
        std::fs::write(shop.app().running(), text).unwrap();
        assert_eq!(shop.recover(), None);
        assert!(!shop.app().running().exists());
    }
}

/// Kills a deploy of 60 files and a large one when it got so far, and says what the next one still copied.
fn copied_again(hook: &str, effect: Option<u32>) -> (u64, u64) {
    let shop = Shop::new("link_mode = 'hardlink'\n");
    for n in 0..60 {
        shop.source(&format!("public/f{n}"), &format!("{n:0>9000}"));
    }
    shop.source("public/large", &"x".repeat(3 << 20));
    // Young files get a time that opcache accepts, which is another one in each deploy.
    for entry in std::fs::read_dir(shop.path("src/public")).unwrap() {
        crate::staging::age(&entry.unwrap().path(), 3600);
    }
    match effect {
        Some(n) => assert!(shop.killed_at(n, "deploy")),
        None => {
            shop.configure(&format!("link_mode = 'hardlink'\n[hooks]\nafter_stage = ['{hook}']\n"));
            shop.deploying().wait().unwrap();
            shop.configure("link_mode = 'hardlink'\n");
        }
    }
    let told = shop.deploy();
    assert_eq!(told.outcome.ending, Ending::Live);
    assert!(!shop.app().half().exists());
    let journal = std::fs::read_to_string(shop.app().journal()).unwrap();
    let staged = journal.lines().find_map(|line| {
        let entry: serde_json::Value = serde_json::from_str(line.split_once(' ')?.1).ok()?;
        let staged = entry["done"]["staged"].clone();
        Some((staged["bytes_copied"].as_u64()?, staged["bytes"].as_u64()?))
    });
    staged.unwrap()
}

#[test]
fn what_a_killed_deploy_had_copied_is_not_copied_again() {
    let (copied, bytes) = copied_again("kill -9 $PPID", None);
    println!("killed before its seal: {copied} of {bytes} bytes are copied again");
    // All of it stands in the store, though nothing was ever sealed.
    assert_eq!(copied, 0);
    let (copied, bytes) = copied_again("", Some(90));
    println!("killed in the midst of staging: {copied} of {bytes} bytes are copied again");
    assert!(copied < bytes, "{copied} of {bytes}");
}

#[test]
fn what_a_release_was_made_of_goes_with_it_and_the_last_failures_can_still_be_read() {
    let shop = Shop::new("keep = 1\n[hooks]\nafter_stage = ['echo staged']\n");
    let first = shop.deployed("one");
    let mut failed = Vec::new();
    for n in 0..7 {
        shop.configure("keep = 1\n[hooks]\nbefore_flip = ['echo no; exit 1']\n");
        shop.page(&format!("ill {n}"));
        failed.push(shop.deploy().outcome.release.unwrap());
    }
    shop.configure("keep = 1\n[source]\ndir = '../src'\nbuild = ['echo no; exit 1']\n");
    shop.deploy();
    shop.configure("keep = 1\n[hooks]\nafter_stage = ['echo staged']\n");
    let rest = ["two", "three", "four"].map(|page| shop.deployed(page));
    let app = shop.app();
    let kept = |id: &release::ReleaseId| (app.record(id).exists(), app.logs(id.as_str()).exists());
    assert_eq!(kept(&first), (false, false), "it was pruned");
    assert!(rest.iter().all(|id| kept(id) == (true, true)));
    assert_eq!(failed.iter().filter(|id| kept(id) == (true, true)).count(), 4, "and one that has no name");
    assert_eq!(kept(&failed[6]), (true, true));
    let log = app.logs(failed[6].as_str()).join("before_flip.log");
    assert_eq!(std::fs::read_to_string(log).unwrap(), "no\n");
    assert_eq!(std::fs::read_dir(app.all_logs()).unwrap().count(), 3 + 5);
    let lock = DeployLock::take(&app, Duration::ZERO).unwrap();
    assert_eq!(deploy::papers::sweep(&lock).unwrap(), 0);
}
