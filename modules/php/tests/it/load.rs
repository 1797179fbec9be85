//! Under load, while releases are made, flipped to and pruned without a pause: none failed, none mixed, none stale.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use release::Lease;
use release::prune::{RetireError, retire};

use crate::fpm::{Fpm, usual};
use crate::php::extension;
use crate::shop::{Shop, id};

/// When a release became live: between these two moments.
struct Flip {
    release: String,
    began: Instant,
    ended: Instant,
}

/// An answer, and when it was asked for and had.
struct Seen {
    asked: Instant,
    had: Instant,
    told: Option<String>,
    body: String,
}

#[test]
fn whoever_finds_its_code_by_include_path_gets_one_release_that_was_live_and_is_there_to_the_end() {
    let full = std::env::var_os("CUTOVER_PROMISE").is_some_and(|value| value == "full");
    let wanted = if full { 100_000 } else { 3_000 };
    let shop = Shop::new();
    let script = shop.beside("front.php");
    let code = "<?php $parts = [cutover_release(), basename(cutover_root()), include 'version.php']; usleep(300); \
        $parts[] = include 'deep/version2.php'; usleep(300); $parts[] = include 'version.php'; echo implode(' ', $parts);";
    fs::write(&script, code).unwrap();
    let opcache: Vec<String> =
        ["-d", "zend_extension=opcache", "-d", "opcache.enable=1"].map(Into::into).to_vec();
    let fpm = Fpm::start_with(&shop, 4, extension(), &usual(&shop), &opcache);
    let (asked, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let seen = Mutex::new(Vec::new());
    let begun = Instant::now();
    let (flips, pruned, in_use) = std::thread::scope(|scope| {
        let (to_prune, old) = mpsc::channel();
        let flipper = scope.spawn(|| flip(&shop, &over, begun, to_prune));
        let pruner = scope.spawn(|| prune(&shop, old));
        let ask = |told: bool| {
            let mut mine = Vec::new();
            while asked.fetch_add(1, Relaxed) < wanted {
                mine.push(get(&shop, &fpm, &script, told));
            }
            seen.lock().unwrap().append(&mut mine);
        };
        let clients: Vec<_> = (0..6).map(|number| scope.spawn(move || ask(number % 2 == 0))).collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
        over.store(true, Relaxed);
        let flips = flipper.join().unwrap();
        let (pruned, in_use) = pruner.join().unwrap();
        (flips, pruned, in_use)
    });
    let seen = seen.into_inner().unwrap();
    for Seen { asked, had, told, body } in &seen {
        let parts: Vec<&str> = body.split(' ').collect();
        assert!(
            parts.len() == 5 && parts.iter().all(|part| part == &parts[0]),
            "mixed or failed: {body}\n{}",
            fpm.said()
        );
        if let Some(told) = told {
            assert_eq!(told, parts[0]);
        }
        // Live from the beginning of its flip to the end of the next one.
        let first = flips[1..].partition_point(|next| next.ended < *asked);
        let mut live = flips[first..].iter().take_while(|flip| flip.began <= *had);
        assert!(live.any(|flip| flip.release == parts[0]), "stale: {body}");
    }
    assert_eq!(seen.len(), wanted);
    assert!(!fpm.said().contains("Warning"), "{}", fpm.said());
    let rate = flips.len() as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{wanted} requests, {} flips ({rate:.0}/s), {pruned} pruned, {in_use} times in use",
        flips.len()
    );
    assert!(flips.len() > 100 && pruned > 0, "{} flips, {pruned} pruned", flips.len());
}

/// One request; told what it is pinned to as a server in front does, or not.
fn get(shop: &Shop, fpm: &Fpm, script: &Path, told: bool) -> Seen {
    let asked = Instant::now();
    // Who pins a request holds the release until it is over.
    let lease = told.then(|| Lease::take_live(&shop.app).unwrap());
    let root = lease.as_ref().map(|lease| lease.path().display().to_string());
    let variables: Vec<(&str, &str)> =
        root.iter().map(|root| ("CUTOVER_RELEASE_ROOT", root.as_str())).collect();
    let body = fpm.get_with(script, &variables).body;
    Seen { asked, had: Instant::now(), told: lease.map(|lease| lease.live().id.to_string()), body }
}

/// Makes a dozen releases, flips from one to the other about a thousand times a second, makes the next dozen, and so on
/// until it is over. What is over goes to whoever prunes.
fn flip(shop: &Shop, over: &AtomicBool, begun: Instant, to_prune: Sender<Vec<String>>) -> Vec<Flip> {
    let mut flips = vec![Flip { release: "r1".into(), began: begun, ended: begun }];
    let mut old = vec!["r1".to_owned(), "r2".to_owned()];
    for dozen in 1.. {
        let new: Vec<_> = (0..12).map(|number| format!("d{dozen}-{number}")).collect();
        new.iter().for_each(|release| shop.build(release));
        for (count, release) in new.iter().cycle().take(480).enumerate() {
            let began = Instant::now();
            shop.flip(release);
            flips.push(Flip { release: release.clone(), began, ended: Instant::now() });
            if count == 0 {
                to_prune.send(std::mem::take(&mut old)).unwrap();
            }
            if over.load(Relaxed) {
                return flips;
            }
            std::thread::sleep(Duration::from_millis(1).saturating_sub(began.elapsed()));
        }
        old = new;
    }
    flips
}

/// Prunes each release as soon as nobody uses it; gives how many it pruned, and how often one was in use.
fn prune(shop: &Shop, old: Receiver<Vec<String>>) -> (usize, usize) {
    let (mut pruned, mut in_use) = (0, 0);
    for mut releases in old {
        while let Some(release) = releases.pop() {
            match retire(&shop.app, &id(&release)) {
                Ok(retired) => {
                    retired.delete().unwrap();
                    pruned += 1;
                }
                Err(RetireError::InUse { .. }) => {
                    in_use += 1;
                    std::thread::sleep(Duration::from_millis(1));
                    releases.insert(0, release);
                }
                Err(why) => panic!("{release}: {why:?}"),
            }
        }
    }
    (pruned, in_use)
}
