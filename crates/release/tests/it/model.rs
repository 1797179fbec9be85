//! The model: pinners, a flipper, another tool and a pruner, each a process of its own, all at once.
//!
//! What must hold: while a process holds a pin, the release neither goes nor changes.

use crate::actor;
use crate::shop::{Shop, build, foreign_flip, id};
use release::flip::{FlipError, Target};
use release::manifest::{self, ManifestError};
use release::prune::{RetireError, retire};
use release::{App, Lease, Pinner, live};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const SECONDS: u64 = 2;
/// The releases that are pruned and built anew; `kept-1` and `kept-2` are never pruned, for the other tool.
const CHURNED: [&str; 4] = ["r0", "r1", "r2", "r3"];

#[test]
fn no_pinned_release_ever_goes_or_changes() {
    let shop = Shop::with(&["kept-1", "kept-2", "r0", "r1", "r2", "r3"]);
    shop.flip("kept-1");
    let roles = ["pinner", "pinner", "pinner", "flipper", "pruner"];
    let actors: Vec<_> =
        roles.iter().map(|role| actor::start(&shop.app, &format!("{role} {SECONDS}"), None)).collect();
    let end = Instant::now() + Duration::from_secs(SECONDS);
    let mut foreign = 0_u64;
    while Instant::now() < end {
        foreign_flip(
            shop.app.link(),
            Path::new(["releases/kept-1", "releases/kept-2"][foreign as usize % 2]),
        );
        foreign += 1;
        std::thread::sleep(Duration::from_micros(700));
    }
    let mut counts: HashMap<String, u64> = HashMap::from([("foreign".into(), foreign)]);
    for (role, child) in roles.iter().zip(actors) {
        let output = child.wait_with_output().unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{role}: {out}{}", String::from_utf8_lossy(&output.stderr));
        for (name, count) in out.lines().filter_map(|line| line.strip_prefix("count ")?.split_once(' ')) {
            *counts.entry(name.to_owned()).or_default() += count.parse::<u64>().unwrap();
        }
    }
    println!("{counts:?}");
    for name in ["foreign", "pins", "releases", "flips", "retired", "live", "in-use"] {
        assert!(counts.get(name).copied().unwrap_or_default() > 0, "no {name}: {counts:?}");
    }
}

/// Pins, looks at the release over and over for a while, lets go.
pub fn pinner(app: &App, seconds: u64) {
    let pinner =
        Pinner::new(app.clone(), |lease: &Lease| fs::read_to_string(lease.path().join("VERSION")).unwrap());
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut pins, mut releases, mut unheld, mut last) = (0_u64, 0_u64, 0_u64, String::new());
    while Instant::now() < end {
        let pin = pinner.look().expect("the link is never broken here");
        if !pin.lease.is_held() {
            unheld += 1;
            continue;
        }
        for _ in 0..pins % 20 {
            for file in ["VERSION", "public/index.html"] {
                let said = fs::read_to_string(pin.path().join(file)).expect("a pinned release went");
                assert_eq!(said, pin.with, "a pinned release changed");
            }
            if pins % 7 == 0 {
                std::thread::sleep(Duration::from_micros(300));
            }
        }
        pins += 1;
        if pin.with != last {
            releases += 1;
            last.clone_from(&pin.with);
        }
    }
    println!("\ncount pins {pins}\ncount releases {releases}\ncount unheld {unheld}");
}

/// Flips to whatever is sealed.
pub fn flipper(app: &App, seconds: u64) {
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut flips, mut refused) = (0_u64, 0_u64);
    for round in 0.. {
        if Instant::now() >= end {
            break;
        }
        let sealed = match manifest::sealed(app, &id(CHURNED[round % CHURNED.len()])) {
            Ok(sealed) => sealed,
            Err(
                ManifestError::NoRelease { .. }
                | ManifestError::Unsealed { .. }
                | ManifestError::OtherTree { .. }
                | ManifestError::Unreadable { .. },
            ) => {
                refused += 1;
                continue;
            }
            Err(why @ (ManifestError::Torn | ManifestError::Malformed { .. })) => panic!("{why}"),
        };
        match release::flip(app, Target::Sealed(sealed)) {
            Ok(_) => flips += 1,
            Err(
                FlipError::NoRelease { .. }
                | FlipError::Locked { .. }
                | FlipError::Replaced { .. }
                | FlipError::Unreadable { .. },
            ) => refused += 1,
            Err(
                why @ (FlipError::NotALink { .. }
                | FlipError::Astray { .. }
                | FlipError::Unwritten(_)
                | FlipError::NotSynced { .. }),
            ) => panic!("{why}"),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    println!("\ncount flips {flips}\ncount refused {refused}");
}

/// Retires what it may, and builds and seals it anew under the same name with other content.
pub fn pruner(app: &App, seconds: u64) {
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut counts = HashMap::<&str, u64>::new();
    for round in 0.. {
        if Instant::now() >= end {
            break;
        }
        let name = CHURNED[round % CHURNED.len()];
        let outcome = match retire(app, &id(name)) {
            Ok(retired) => {
                assert!(live::read(app).is_ok(), "what was live went");
                retired.delete().unwrap();
                build(&app.release(&id(name)), &format!("{name}.{round}"));
                manifest::seal(app, &id(name)).unwrap();
                "retired"
            }
            Err(RetireError::Live { .. }) => "live",
            Err(RetireError::InUse { .. }) => "in-use",
            Err(
                why @ (RetireError::NoRelease { .. }
                | RetireError::Unsure { .. }
                | RetireError::Busy(_)
                | RetireError::Unreadable { .. }
                | RetireError::Unmoved(_)),
            ) => panic!("{why}"),
        };
        *counts.entry(outcome).or_default() += 1;
        std::thread::sleep(Duration::from_micros(300));
    }
    println!();
    for (name, count) in counts {
        println!("count {name} {count}");
    }
}
