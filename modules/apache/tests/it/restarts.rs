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

/// The lines of the log that say that a child was ended by a signal, and that nothing explains.
///
/// A child that a restart tells to end may be noted as terminated or killed. And where threads serve, a restart that is
/// not graceful crashes a child of Apache now and then, with the module or without it (2.4.71, event: one to three in
/// 120 such restarts under load): its main thread closes the sockets of its workers (`apr_os_sock_get`, called by the
/// MPM, says the core) while one of them gives back the memory that its socket is in.
fn ended_by_signals(log: &str, mpm: Mpm) -> Vec<&str> {
    let mut graceful = true;
    let mut found = Vec::new();
    for line in log.lines() {
        if line.contains("SIGHUP received") {
            graceful = false;
        } else if line.contains("SIGUSR1 received") {
            graceful = true;
        }
        let is_told = line.contains("Terminated") || line.contains("Killed");
        let is_apaches = !graceful && mpm != Mpm::Prefork && line.contains("Segmentation fault");
        if line.contains("exit signal") && !is_told && !is_apaches {
            found.push(line);
        }
    }
    found
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
        assert!(!log.contains("panicked"), "{log}");
        let ended = ended_by_signals(&log, mpm);
        assert!(ended.is_empty(), "{ended:?}\n{log}");
    }
}
