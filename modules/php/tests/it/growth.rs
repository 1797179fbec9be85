//! Nothing grows, whatever comes and however often.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::fpm::Fpm;
use crate::php::{php, text};
use crate::shop::Shop;

/// An idle worker's own memory, in KiB, and how many files it has open.
fn size(pid: &str) -> (u64, usize) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    // Its last answer comes before it has closed the connection.
    let files = (0..40).map(|_| {
        std::thread::sleep(Duration::from_millis(5));
        fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
    });
    (line.trim().trim_end_matches(" kB").parse().unwrap(), files.min().unwrap())
}

#[test]
fn a_worker_neither_grows_nor_keeps_files_open_over_many_requests_flips_and_failures() {
    let rounds =
        if std::env::var_os("CUTOVER_PROMISE").is_some_and(|value| value == "full") { 2_000 } else { 150 };
    let shop = Shop::new();
    let who = shop.beside("who.php");
    fs::write(&who, "<?php echo getmypid(); cutover_key('a'); cutover_root(); set_include_path('x'); ini_restore('include_path');").unwrap();
    let fpm = Fpm::start(&shop, 1);
    let r2 = shop.release("r2").display().to_string();
    let pid = fpm.body(&who);
    let round = |number: usize| {
        shop.flip(if number.is_multiple_of(2) { "r1" } else { "r2" });
        for told in [&[][..], &[("CUTOVER_RELEASE_ROOT", r2.as_str())], &[("CUTOVER_RELEASE_ROOT", "/etc")]] {
            for _ in 0..5 {
                assert_eq!(fpm.get_with(&who, told).body, pid);
            }
        }
        shop.unlink();
        assert_eq!(fpm.body(&who), pid);
    };
    (0..rounds / 3).for_each(round);
    let (before, files) = size(&pid);
    (0..rounds).for_each(round);
    let (after, files_after) = size(&pid);
    // Sixteen requests a round: a word lost in each would be more than this in the full run.
    assert!(after <= before + 128, "{before} KiB, then {after} KiB after {} requests", rounds * 16);
    assert_eq!(files, files_after);
}

#[test]
fn valgrind_finds_no_fault_and_nothing_lost() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("\nskipped: valgrind_finds_no_fault_and_nothing_lost: there is no valgrind");
        return;
    }
    let shop = Shop::new();
    let code = "for ($i = 0; $i < 50; $i++) { cutover_key(\"k$i\"); cutover_root(); set_include_path(\"$i\"); ini_restore('include_path'); include 'version.php'; }\
        ob_start(); phpinfo(INFO_MODULES); ob_end_clean(); try { cutover_key(); } catch (Error) {} echo 'done';";
    // PHP's own allocator hides what is lost, and jumps over what it has itself.
    let plain = php(&shop, &[]);
    let mut command = Command::new("valgrind");
    command.args([
        "--leak-check=full",
        "--show-leak-kinds=definite",
        "--errors-for-leak-kinds=definite",
        "--error-exitcode=99",
        "--quiet",
    ]);
    command.arg(plain.get_program()).args(plain.get_args()).arg("-r").arg(code);
    let output = command.env("USE_ZEND_ALLOC", "0").env("ZEND_DONT_UNLOAD_MODULES", "1").output().unwrap();
    let said = text(&output.stderr);
    // What Debian's PHP does by itself is not ours to judge.
    assert!(text(&output.stdout) == "done" && !said.contains("cutover"), "{said}");
}

#[test]
fn valgrind_finds_no_fault_in_a_worker_whichever_way_its_requests_are_pinned() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!(
            "\nskipped: valgrind_finds_no_fault_in_a_worker_whichever_way_its_requests_are_pinned: there is no valgrind"
        );
        return;
    }
    let shop = Shop::new();
    let show = shop.release("r1").join("public/index.php");
    let mut valgrind = Command::new("valgrind");
    let log = format!("--log-file={}/valgrind.%p", shop.beside("").display());
    valgrind.args(["--quiet", &log]).env("USE_ZEND_ALLOC", "0").env("ZEND_DONT_UNLOAD_MODULES", "1");
    let fpm = Fpm::start_watched(&shop, valgrind);
    for release in ["r2", "r1"] {
        let root = shop.release(release).display().to_string();
        let told = [("CUTOVER_RELEASE_ROOT", root.as_str()), ("CUTOVER_RELEASE", release)];
        // More than it takes before a look at the link is a short one.
        for _ in 0..20 {
            assert_eq!(fpm.get_with(&show, &told).body, shop.shown(release));
        }
        shop.flip(release);
        for _ in 0..20 {
            assert_eq!(fpm.body(&show), shop.shown(release));
        }
        assert_eq!(fpm.get_with(&show, &[("CUTOVER_RELEASE_ROOT", "/etc")]).body, shop.shown(release));
    }
    drop(fpm);
    let logs: Vec<String> = fs::read_dir(shop.beside(""))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("valgrind."))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    assert!(logs.len() >= 2, "the master's and the worker's");
    assert!(!logs.iter().any(|log| log.contains("cutover")), "{logs:?}");
}
