//! What pools say of it, and what becomes of requests that cannot be pinned.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::fpm::Fpm;
use crate::php::extension;
use crate::shop::Shop;

#[test]
fn include_path_is_pinned_wherever_it_was_set() {
    let shop = Shop::new();
    let link = shop.app.link().display().to_string();
    let r1 = shop.release("r1").display().to_string();
    let code = "echo get_include_path(), ' ', var_export(set_include_path('/x'), true), ' '; ini_restore('include_path'); echo get_include_path();";
    let script = shop.script_beside("paths.php", code);
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
    let script = shop.script_beside("who.php", &code);
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
    let script = shop.script_beside("docroot.php",
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
        assert_eq!(fpm.body(&shop.release("r1").join("public/index.php")), shop.shown("r1"));
    }
    assert_eq!(fpm.said().matches("is neither warn nor 503").count(), 1, "{}", fpm.said());
    let none = Fpm::start_with(&shop, 1, extension(), "", &[]);
    let shown = none.body(&shop.release("r1").join("public/index.php"));
    assert!(shown.starts_with("none|none|:k|"), "{shown}");
}

#[test]
fn a_release_that_the_worker_may_not_read_is_used_without_a_lease_and_that_is_told() {
    if !rustix::process::geteuid().is_root() {
        println!(
            "\nskipped: a_release_that_the_worker_may_not_read_is_used_without_a_lease_and_that_is_told: not root"
        );
        return;
    }
    let shop = Shop::new();
    let root = shop.release("r1");
    fs::set_permissions(&root, fs::Permissions::from_mode(0o711)).unwrap();
    let fpm = Fpm::start_saying(&shop, 1, "user = www-data\ngroup = www-data\nlisten.mode = 0666");
    for _ in 0..3 {
        assert_eq!(fpm.body(&root.join("public/index.php")), shop.shown("r1"));
    }
    let why = "is used without a lease on it: the release's directory is not readable by this user";
    assert_eq!(fpm.said().matches(why).count(), 1, "{}", fpm.said());
}
