//! Restarts, graceful ones too, while requests and flips go on: no child crashes, and no answer is of another release.

use crate::apache::{Apache, Mpm, SITE, full};
use crate::http;
use crate::shop::Shop;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Ends the load when it is dropped, so that a test that fails does not wait for it for ever.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn restarts_under_load_and_flips_crash_nothing_and_mix_nothing() {
    let shop = Shop::new();
    for mpm in [Mpm::Prefork, Mpm::Worker, Mpm::Event] {
        println!("{mpm:?}");
        shop.flip("r1");
        let apache = Apache::start(&shop, mpm, SITE);
        let (over, answered, cut) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        match http::get(apache.address, "shop.test", "/parts.shtml") {
                            Ok(answer) => {
                                let whole = ["page r1+page r1+r1", "page r2+page r2+r2"];
                                let is_of_one = whole.iter().any(|whole| whole.starts_with(&answer.body));
                                assert!(is_of_one && answer.status == 200, "{answer:?}");
                                let counted =
                                    if whole.contains(&answer.body.as_str()) { &answered } else { &cut };
                                counted.fetch_add(1, Ordering::Relaxed);
                            }
                            // A restart that is not graceful cuts connections, with the module or without it.
                            Err(_) => {
                                cut.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                });
            }
            let _over = Over(&over);
            // A machine that has other things to do, too: what takes a rare moment happens on a busy one.
            for _ in 0..if full() { 4 } else { 0 } {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            for round in 0..if full() { 40 } else { 6 } {
                let so_far = answered.load(Ordering::Relaxed);
                apache.signal(if round % 4 == 3 { "-HUP" } else { "-USR1" });
                let began = Instant::now();
                // Until this many requests were answered since.
                while answered.load(Ordering::Relaxed) < so_far + 50 {
                    assert!(
                        began.elapsed() < Duration::from_secs(60),
                        "nothing is answered any more: {}",
                        apache.log()
                    );
                    shop.flip(["r1", "r2"][answered.load(Ordering::Relaxed) as usize % 2]);
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        });
        println!("{} answered, {} cut", answered.load(Ordering::Relaxed), cut.load(Ordering::Relaxed));
        shop.flip("r2");
        assert_eq!(apache.text("/page.txt"), "page r2");
        let log = apache.log();
        // A child that is told to end by a restart may be noted as "exit signal Terminated": that is no crash.
        for crash in ["Segmentation fault", "Aborted", "Bus error", "Illegal instruction", "panicked"] {
            assert!(!log.contains(crash), "{crash}: {log}");
        }
        for line in log.lines().filter(|line| line.contains("exit signal")) {
            assert!(line.contains("Terminated") || line.contains("Killed"), "{line}");
        }
    }
}
