//! Under php-fpm: each request is pinned to one release, and holds it until nothing of it runs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

use release::prune::{RetireError, retire};
use rustix::process::{Pid, Signal, kill_process};

use crate::fpm::{Fpm, usual};
use crate::php::extension;
use crate::shop::{Shop, id, until};

#[test]
fn each_request_gets_the_release_that_is_live_when_it_begins() {
    let shop = Shop::new();
    let fpm = Fpm::start(&shop, 1);
    let show = shop.release("r1").join("public/index.php");
    for release in ["r1", "r2", "r1", "r1", "r2"] {
        shop.flip(release);
        assert_eq!(fpm.body(&show), shop.shown(release));
        // The answer is there a moment before the request is over.
        until("the idle worker holds nothing", || !shop.leased("r1") && !shop.leased("r2"));
    }
    let slow = shop.script_beside("slow.php",
        &format!(
            "touch('{0}'); while (file_exists('{0}')) usleep(1000); echo cutover_release(), include 'version.php';",
            shop.beside("go").display()
        ),
    );
    let answer = std::thread::scope(|scope| {
        let slow = scope.spawn(|| fpm.body(&slow));
        until("it runs", || shop.beside("go").exists());
        shop.flip("r1");
        assert!(shop.leased("r2") && !shop.leased("r1"));
        assert_eq!(
            retire(&shop.app, &id("r2")),
            Err(RetireError::InUse { id: id("r2") }),
            "what cutover prune does"
        );
        fs::remove_file(shop.beside("go")).unwrap();
        slow.join().unwrap()
    });
    assert_eq!(answer, "r2r2");
    until("it is over", || !shop.leased("r2"));
    retire(&shop.app, &id("r2")).unwrap().delete().unwrap();
    assert_eq!(fpm.body(&show), shop.shown("r1"));
    assert_eq!(fpm.said().matches("Warning").count(), 0, "{}", fpm.said());
}

#[test]
fn what_the_front_pinned_is_believed_and_what_a_visitor_says_is_not() {
    let shop = Shop::new();
    let fpm = Fpm::start(&shop, 1);
    let show = shop.release("r1").join("public/index.php");
    let r2 = shop.release("r2").display().to_string();
    for _ in 0..3 {
        let told = fpm.get_with(&show, &[("CUTOVER_RELEASE_ROOT", &r2), ("CUTOVER_RELEASE", "r2")]);
        assert_eq!(told.body, shop.shown("r2"), "though r1 is live");
        let forged =
            fpm.get_with(&show, &[("HTTP_CUTOVER_RELEASE_ROOT", &r2), ("HTTP_CUTOVER_RELEASE", "r2")]);
        assert_eq!(forged.body, shop.shown("r1"));
        assert_eq!(fpm.get_with(&show, &[("CUTOVER_RELEASE_ROOT", "")]).body, shop.shown("r1"));
    }
    assert_eq!(fpm.said().matches("Warning").count(), 0, "{}", fpm.said());
    let elsewhere = shop.beside("elsewhere");
    fs::create_dir_all(elsewhere.join("lib")).unwrap();
    let told = fpm.get_with(&show, &[("CUTOVER_RELEASE_ROOT", elsewhere.to_str().unwrap())]);
    assert_eq!(told.body, shop.shown("r1"));
    let why =
        format!("CUTOVER_RELEASE_ROOT names {}, which is no release of the app of", elsewhere.display());
    assert!(fpm.said().contains(&why) && fpm.said().contains("; the link is read instead"), "{}", fpm.said());
    // Pruned and made anew: another directory of the same name.
    fs::remove_dir_all(shop.release("r2")).unwrap();
    let told = fpm.get_with(&show, &[("CUTOVER_RELEASE_ROOT", &r2), ("CUTOVER_RELEASE", "r2")]);
    assert_eq!(told.body, shop.shown("r1"));
    shop.build("r2");
    let told = fpm.get_with(&show, &[("CUTOVER_RELEASE_ROOT", &r2), ("CUTOVER_RELEASE", "r2")]);
    assert_eq!(told.body, shop.shown("r2"));
    // Worth a 503, where that is wanted.
    let strict = Fpm::start_saying(&shop, 1, "php_admin_value[cutover.on_failure] = 503");
    assert_eq!(strict.get_with(&show, &[("CUTOVER_RELEASE_ROOT", "/etc")]).status, 503);
    assert_eq!(strict.get_with(&show, &[("CUTOVER_RELEASE_ROOT", &r2)]).body, shop.shown("r2"));
}

#[test]
fn the_lease_lasts_as_long_as_anything_of_the_request_runs() {
    let shop = Shop::new();
    let fpm = Fpm::start(&shop, 1);
    let (there, go) = (shop.beside("there"), shop.beside("go"));
    let wait = format!(
        "touch('{0}'); while (!file_exists('{1}')) usleep(1000); echo cutover_release();",
        there.display(),
        go.display()
    );
    let handler = format!(
        "class Keep implements SessionHandlerInterface {{ \
           function open($a, $b): bool {{ return true; }} function close(): bool {{ return true; }} function read($a): string {{ return ''; }} \
           function write($a, $b): bool {{ {wait} return true; }} function destroy($a): bool {{ return true; }} function gc($a): int {{ return 0; }} }} \
         session_set_save_handler(new Keep, false); session_start(['use_cookies' => 0]); $_SESSION['a'] = 1;"
    );
    let destructor = format!("class Last {{ function __destruct() {{ {wait} }} }} $last = new Last;");
    let ends = [
        ("behind fastcgi_finish_request()", format!("echo 'over'; fastcgi_finish_request(); {wait}")),
        (
            "in a shutdown function",
            format!("register_shutdown_function(function () {{ fastcgi_finish_request(); {wait} }});"),
        ),
        ("in a destructor", format!("fastcgi_finish_request(); {destructor}")),
        ("in a session's handler", format!("{handler} fastcgi_finish_request();")),
    ];
    for (end, code) in ends {
        let path = shop.script_beside("long.php", &code);
        fpm.body(&path);
        until(end, || there.exists());
        assert!(shop.leased("r1"), "{end}");
        fs::write(&go, "").unwrap();
        until("the worker is free", || !shop.leased("r1"));
        fs::remove_file(&there).unwrap();
        fs::remove_file(&go).unwrap();
    }
}

#[test]
fn however_a_request_ends_its_lease_ends_with_it() {
    let shop = Shop::new();
    let fpm = Fpm::start_saying(
        &shop,
        1,
        "php_admin_value[memory_limit] = 8M\nphp_admin_value[max_execution_time] = 1",
    );
    for code in [
        "exit(1);",
        "throw new Exception('no');",
        "no_such_function();",
        "trigger_error('no', E_USER_ERROR);",
        "$a = str_repeat('x', 1 << 30);",
        "while (true) {}",
        "set_include_path('/nowhere'); ini_set('cutover.link', '/etc');",
        "cutover_key(str_repeat('x', 7 << 20));",
        "include 'no/such/file.php';",
        "register_shutdown_function(function () { exit(2); }); exit(1);",
    ] {
        fpm.get(&shop.script_beside("ends.php", code));
        until(code, || !shop.leased("r1"));
        assert_eq!(fpm.body(&shop.release("r1").join("public/index.php")), shop.shown("r1"), "{code}");
    }
    assert!(!fpm.said().contains("SIGSEGV"), "{}", fpm.said());
}

#[test]
fn workers_that_were_forked_behind_a_preload_share_no_lock() {
    let shop = Shop::new();
    let preload = shop
        .script_beside("preload.php", "include 'version.php'; class Preloaded { const FROM = __FILE__; }");
    let arguments = [
        "zend_extension=opcache",
        "opcache.enable=1",
        &format!("opcache.preload={}", preload.display()),
        "opcache.preload_user=root",
        &format!("cutover.link={}", shop.app.link().display()),
        &format!("include_path={}", shop.include_path()),
    ];
    let arguments: Vec<String> =
        arguments.iter().flat_map(|argument| ["-d".to_owned(), (*argument).to_owned()]).collect();
    let fpm = Fpm::start_with(&shop, 2, extension(), &usual(&shop), &arguments);
    let (there, go) = (shop.beside("there"), shop.beside("go"));
    let long = shop.script_beside(
        "long.php",
        &format!(
            "touch('{0}'); while (!file_exists('{1}')) usleep(1000); echo Preloaded::FROM;",
            there.display(),
            go.display()
        ),
    );
    let show = shop.release("r1").join("public/index.php");
    std::thread::scope(|scope| {
        let long = scope.spawn(|| fpm.body(&long));
        until("it runs", || there.exists());
        for _ in 0..20 {
            assert_eq!(fpm.body(&show), shop.shown("r1"));
            assert!(shop.leased("r1"), "the other worker's request goes on");
        }
        fs::write(&go, "").unwrap();
        assert_eq!(long.join().unwrap(), preload.display().to_string());
    });
    until("both are free", || !shop.leased("r1"));
}

#[test]
fn with_opcache_a_flip_is_seen_at_once_and_through_paths_by_the_link_too() {
    let shop = Shop::new();
    let through = shop.app.link().join("lib/version.php").display().to_string();
    let code = format!(
        "echo include 'version.php', ' ', realpath('{through}'), ' ', file_get_contents('{through}');"
    );
    let script = shop.script_beside("through.php", &code);
    let cached =
        "php_admin_value[realpath_cache_ttl] = 3600\nphp_admin_value[opcache.validate_timestamps] = 0";
    let arguments: Vec<String> =
        ["-d", "zend_extension=opcache", "-d", "opcache.enable=1"].map(Into::into).to_vec();
    let fpm = Fpm::start_with(&shop, 1, extension(), &(usual(&shop) + cached), &arguments);
    let wanted = |release: &str| {
        format!("{release} {}/lib/version.php <?php return '{release}';", shop.release(release).display())
    };
    for release in ["r1", "r1", "r2", "r1", "r2", "r2"] {
        shop.flip(release);
        assert_eq!(fpm.body(&script), wanted(release));
    }
    // What it would be without: PHP remembers where the link led for an hour.
    let unpinned = Fpm::start_with(&shop, 1, extension(), cached, &arguments);
    let code = format!("echo realpath('{through}');");
    fs::write(&script, format!("<?php {code}")).unwrap();
    let before = unpinned.body(&script);
    shop.flip("r1");
    assert_eq!((unpinned.body(&script), before.contains("r2")), (before, true));
}

#[test]
fn a_flip_is_seen_at_once_too_where_the_last_one_was_long_ago() {
    let shop = Shop::new();
    let fpm = Fpm::start_saying(&shop, 1, "php_admin_value[cutover.on_failure] = 503");
    let show = shop.release("r1").join("public/index.php");
    for release in ["r2", "r1"] {
        // From then on a glance at the directory may stand for a reading of the link.
        until("the last flip is long ago", || {
            let changed = fs::metadata(shop.root()).unwrap().ctime();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            now > changed.unsigned_abs() + 11
        });
        let before = fpm.body(&show);
        assert!((0..40).all(|_| fpm.body(&show) == before));
        shop.flip(release);
        assert_eq!(fpm.body(&show), shop.shown(release));
        until("the idle worker holds nothing", || !shop.leased("r1") && !shop.leased("r2"));
    }
    shop.unlink();
    assert_eq!(fpm.get(&show).status, 503);
}

#[test]
fn a_worker_that_is_killed_leaves_no_lease_and_a_reload_changes_nothing() {
    let shop = Shop::new();
    let fpm = Fpm::start(&shop, 2);
    let there = shop.beside("there");
    let code = format!(
        "file_put_contents('{0}.new', getmypid()); rename('{0}.new', '{0}'); sleep(60);",
        there.display()
    );
    let long = shop.script_beside("long.php", &code);
    std::thread::scope(|scope| {
        let long = scope.spawn(|| fpm.try_get(&long).is_err());
        until("it runs", || there.exists());
        assert!(shop.leased("r1"));
        let pid: i32 = fs::read_to_string(&there).unwrap().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        assert!(long.join().unwrap(), "it is not answered");
    });
    until("its lease is gone", || !shop.leased("r1"));
    let show = shop.release("r1").join("public/index.php");
    let who = shop.script_beside("who.php", "echo getmypid();");
    for release in ["r2", "r1"] {
        let before = fpm.body(&who);
        kill_process(fpm.master(), Signal::USR2).unwrap();
        until("the workers are new", || {
            fpm.try_get(&who).is_ok_and(|answer| answer.status == 200 && answer.body != before)
        });
        shop.flip(release);
        assert_eq!(fpm.body(&show), shop.shown(release));
    }
    assert!(!fpm.said().contains("SIGSEGV"), "{}", fpm.said());
}
