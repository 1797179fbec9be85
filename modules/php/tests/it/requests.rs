//! Under php-fpm: each request is pinned to one release, and holds it until nothing of it runs.

use std::fs;
use std::path::Path;

use release::prune::{RetireError, retire};

use crate::fpm::{Fpm, usual};
use crate::php::extension;
use crate::shop::{Shop, id, until};

fn shown(shop: &Shop, release: &str) -> String {
    let dir = shop.release(release).display().to_string();
    format!("{release}|{dir}|{release}:k|.:{dir}/lib|{release}")
}

/// A script outside of the releases, so that it is the extension that pins.
fn script(shop: &Shop, name: &str, code: &str) -> std::path::PathBuf {
    let path = shop.beside(name);
    fs::write(&path, format!("<?php {code}")).unwrap();
    path
}

#[test]
fn each_request_gets_the_release_that_is_live_when_it_begins() {
    let shop = Shop::new();
    let fpm = Fpm::start(&shop, 1);
    let show = shop.release("r1").join("public/index.php");
    for release in ["r1", "r2", "r1", "r1", "r2"] {
        shop.flip(release);
        assert_eq!(fpm.body(&show), shown(&shop, release));
        assert!(!shop.leased("r1") && !shop.leased("r2"), "an idle worker holds nothing");
    }
    let slow = script(
        &shop,
        "slow.php",
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
    assert_eq!(fpm.body(&show), shown(&shop, "r1"));
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
        assert_eq!(told.body, shown(&shop, "r2"), "though r1 is live");
        let forged =
            fpm.get_with(&show, &[("HTTP_CUTOVER_RELEASE_ROOT", &r2), ("HTTP_CUTOVER_RELEASE", "r2")]);
        assert_eq!(forged.body, shown(&shop, "r1"));
        assert_eq!(fpm.get_with(&show, &[("CUTOVER_RELEASE_ROOT", "")]).body, shown(&shop, "r1"));
    }
    assert_eq!(fpm.said().matches("Warning").count(), 0, "{}", fpm.said());
    let elsewhere = shop.beside("elsewhere");
    fs::create_dir_all(elsewhere.join("lib")).unwrap();
    let told = fpm.get_with(&show, &[("CUTOVER_RELEASE_ROOT", elsewhere.to_str().unwrap())]);
    assert_eq!(told.body, shown(&shop, "r1"));
    let why =
        format!("CUTOVER_RELEASE_ROOT names {}, which is no release of the app of", elsewhere.display());
    assert!(fpm.said().contains(&why) && fpm.said().contains("; the link is read instead"), "{}", fpm.said());
    // Pruned and made anew: another directory of the same name.
    fs::remove_dir_all(shop.release("r2")).unwrap();
    let told = fpm.get_with(&show, &[("CUTOVER_RELEASE_ROOT", &r2), ("CUTOVER_RELEASE", "r2")]);
    assert_eq!(told.body, shown(&shop, "r1"));
    shop.build("r2");
    let told = fpm.get_with(&show, &[("CUTOVER_RELEASE_ROOT", &r2), ("CUTOVER_RELEASE", "r2")]);
    assert_eq!(told.body, shown(&shop, "r2"));
    // Worth a 503, where that is wanted.
    let strict = Fpm::start_saying(&shop, 1, "php_admin_value[cutover.on_failure] = 503");
    assert_eq!(strict.get_with(&show, &[("CUTOVER_RELEASE_ROOT", "/etc")]).status, 503);
    assert_eq!(strict.get_with(&show, &[("CUTOVER_RELEASE_ROOT", &r2)]).body, shown(&shop, "r2"));
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
        let path = script(&shop, "long.php", &code);
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
        fpm.get(&script(&shop, "ends.php", code));
        assert!(!shop.leased("r1"), "{code}");
        assert_eq!(fpm.body(&shop.release("r1").join("public/index.php")), shown(&shop, "r1"), "{code}");
    }
    assert!(!fpm.said().contains("SIGSEGV"), "{}", fpm.said());
}

#[test]
fn workers_that_were_forked_behind_a_preload_share_no_lock() {
    let shop = Shop::new();
    let preload =
        script(&shop, "preload.php", "include 'version.php'; class Preloaded { const FROM = __FILE__; }");
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
    let long = script(
        &shop,
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
            assert_eq!(fpm.body(&show), shown(&shop, "r1"));
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
    let script = script(&shop, "through.php", &code);
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
fn include_path_is_pinned_wherever_it_was_set() {
    let shop = Shop::new();
    let link = shop.app.link().display().to_string();
    let r1 = shop.release("r1").display().to_string();
    let code = "echo get_include_path(), ' ', var_export(set_include_path('/x'), true), ' '; ini_restore('include_path'); echo get_include_path();";
    let script = script(&shop, "paths.php", code);
    let pool = |line: &str| format!("php_admin_value[cutover.link] = {link}\n{line}");
    let fpm = |line: &str| Fpm::start_with(&shop, 1, extension(), &pool(line), &[]);
    let pinned = format!(".:{r1}/lib");
    // An administrator's value: pinned, and still not for scripts to change.
    let admin = fpm(&format!("php_admin_value[include_path] = .:{link}/lib"));
    for _ in 0..2 {
        assert_eq!(admin.body(&script), format!("{pinned} false {pinned}"));
    }
    let value = fpm(&format!("php_value[include_path] = .:{link}/lib"));
    for _ in 0..2 {
        assert_eq!(value.body(&script), format!("{pinned} '{pinned}' {pinned}"));
    }
    // By the server in front, in each request; and none at all.
    let none = fpm("");
    let other = format!("include_path={link}/lib/deep");
    assert_eq!(
        none.get_with(&script, &[("PHP_VALUE", &other)]).body,
        format!("{r1}/lib/deep '{r1}/lib/deep' {r1}/lib/deep")
    );
    let given = fpm("php_value[include_path] = .:/usr/share/php");
    assert_eq!(given.body(&script), ".:/usr/share/php '.:/usr/share/php' .:/usr/share/php");
    // By a file of the application's, where PHP reads those.
    let dir = shop.beside("app");
    fs::create_dir_all(&dir).unwrap();
    fs::write(
        dir.join(".user.ini"),
        format!("include_path = \"{link}/lib\"\ncutover.link = \"/etc/alternatives\"\n"),
    )
    .unwrap();
    fs::copy(&script, dir.join("paths.php")).unwrap();
    let user = fpm("");
    let docroot = [("DOCUMENT_ROOT", dir.to_str().unwrap())];
    assert_eq!(user.get_with(&dir.join("paths.php"), &docroot).body, format!("{r1}/lib '{r1}/lib' {r1}/lib"));
}

#[test]
fn a_request_that_cannot_be_pinned_runs_with_a_warning_or_is_refused_and_the_worker_lives_on() {
    let shop = Shop::new();
    let lenient = Fpm::start(&shop, 1);
    let strict = Fpm::start_saying(
        &shop,
        1,
        "php_admin_value[cutover.on_failure] = 503\nphp_admin_flag[display_errors] = on",
    );
    let code =
        format!("touch('{}'); echo getmypid(), ' ', get_include_path();", shop.beside("ran").display());
    let script = script(&shop, "who.php", &code);
    let pid = |fpm: &Fpm| fpm.body(&script).split(' ').next().unwrap().to_owned();
    let (first, strict_first) = (pid(&lenient), pid(&strict));
    fs::remove_file(shop.beside("ran")).unwrap();
    shop.unlink();
    for _ in 0..3 {
        let refused = strict.get(&script);
        assert_eq!((refused.status, refused.retry_after.as_deref()), (503, Some("1")));
        assert!(refused.body.contains("503: no release can be served at this moment"), "{}", refused.body);
        assert!(!shop.beside("ran").exists(), "its script did not run");
    }
    let why =
        format!("PHP Request Startup: {} is not there; the request is refused", shop.app.link().display());
    assert_eq!(strict.said().matches(&why).count(), 3, "{}", strict.said());
    assert_eq!(lenient.body(&script), format!("{first} {}", shop.include_path()));
    assert!(
        lenient.said().contains("is not there; the request is not pinned to a release"),
        "{}",
        lenient.said()
    );
    shop.flip("r1");
    assert_eq!((pid(&lenient), pid(&strict)), (first, strict_first));
}

#[test]
fn the_docroot_stands_for_the_pattern_as_in_incpath() {
    let shop = Shop::new();
    let link = shop.app.link().display().to_string();
    let public = format!("{link}/public");
    let pool = format!(
        "php_admin_value[incpath.search_replace_pattern] = {public}\nphp_admin_value[incpath.docroot_sapi_list] = apache2handler,fpm-fcgi\n\
         php_value[include_path] = .:{public}\nphp_admin_value[cutover.on_failure] = 503"
    );
    let fpm = Fpm::start_with(&shop, 1, extension(), &pool, &[]);
    let script = script(
        &shop,
        "docroot.php",
        "echo get_include_path(), ' ', cutover_release(), ' ', include 'version3.php', ' '; $name = '_SER' . 'VER'; echo array_key_exists($name, $GLOBALS) ? 'made' : 'not made';",
    );
    let with = |docroot: &str| fpm.get_with(&script, &[("DOCUMENT_ROOT", docroot)]);
    let r2 = format!("{}/public", shop.release("r2").display());
    assert_eq!(with(&r2).body, format!(".:{r2} r2 r2 not made"), "as the server in front resolved it");
    // Where that did not, as incpath would have left it unpinned.
    let r1 = format!("{}/public", shop.release("r1").display());
    assert_eq!(with(&public).body, format!(".:{r1} r1 r1 not made"));
    assert_eq!(with("/var/www").status, 503);
    assert!(
        fpm.said().contains("DOCUMENT_ROOT /var/www lies neither in the pinned release nor below"),
        "{}",
        fpm.said()
    );
}

#[test]
fn settings_of_no_use_are_told_once_per_worker() {
    let shop = Shop::new();
    let fpm = Fpm::start_saying(&shop, 1, "php_admin_value[cutover.on_failure] = die");
    for _ in 0..3 {
        assert_eq!(fpm.body(&shop.release("r1").join("public/index.php")), shown(&shop, "r1"));
    }
    assert_eq!(fpm.said().matches("is neither warn nor 503").count(), 1, "{}", fpm.said());
    let none = Fpm::start_with(&shop, 1, extension(), "", &[]);
    let shown = none.body(Path::new(&shop.release("r1").join("public/index.php")));
    assert!(shown.starts_with("none|none|:k|"), "{shown}");
}
