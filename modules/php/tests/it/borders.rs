//! A mistake of ours, wherever it is, is told, and ends neither the request nor the server.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::fpm::{Fpm, usual};
use crate::php::{built, php_with, said, text};
use crate::shop::Shop;

/// The extension that panics where it is told to.
fn clumsy() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("clumsy", &[], &["--features", "panics"]))
}

const WHY: &str =
    "there is a mistake in cutover itself (its panic is in the log); the request is not pinned to a release";

#[test]
fn a_panic_at_any_border_goes_no_further() {
    let shop = Shop::new();
    let code = "echo cutover_release() ?? 'none', cutover_root() ? 'root' : 'none', cutover_key('k'), '|'; set_include_path('/x');\
        ini_restore('include_path'); ob_start(); phpinfo(INFO_MODULES); ob_end_clean(); echo 'ran';";
    for (at, out) in [
        ("settings", "nonenone:k|ran"),
        ("request", "nonenone:k|ran"),
        ("release", "nonerootr1:k|ran"),
        ("root", "r1noner1:k|ran"),
        ("key", "r1root:k|ran"),
        ("ini_restore", "r1rootr1:k|ran"),
        ("info", "r1rootr1:k|ran"),
        ("end", "r1rootr1:k|ran"),
        ("nowhere", "r1rootr1:k|ran"),
    ] {
        let output =
            php_with(clumsy(), &shop, &[]).env("CUTOVER_PANIC", at).arg("-r").arg(code).output().unwrap();
        assert!(output.status.success(), "{at}: {}", said(&output));
        assert_eq!(text(&output.stdout), out, "{at}");
        assert_eq!(said(&output).contains(&format!("provoked at {at}")), at != "nowhere", "{at}");
        assert_eq!(
            said(&output).contains(WHY),
            ["settings", "request"].contains(&at),
            "{at}: {}",
            said(&output)
        );
    }
}

#[test]
fn a_worker_goes_on_behind_a_panic_and_a_strict_one_refuses_the_request() {
    let shop = Shop::new();
    let who = shop.script("r1", "who.php", "echo getmypid();");
    for (at, strict) in [("request", false), ("end", false), ("request", true), ("settings", false)] {
        let mut pool = usual(&shop) + &format!("env[CUTOVER_PANIC] = {at}\n");
        if strict {
            pool += "php_admin_value[cutover.on_failure] = 503\n";
        }
        let fpm = Fpm::start_with(&shop, 1, clumsy(), &pool, &[]);
        let mut pids = Vec::new();
        for _ in 0..3 {
            if strict {
                shop.link("/etc");
            }
            let answer = fpm.get(&who);
            match strict {
                true => assert_eq!(answer.status, 503, "{at}: {answer:?}"),
                false => pids.push(answer.body),
            }
        }
        pids.dedup();
        assert!(strict || pids.len() == 1, "{at}: {pids:?}");
        shop.flip("r1");
        assert!(!fpm.said().contains("exited"), "{at}: {}", fpm.said());
    }
}
