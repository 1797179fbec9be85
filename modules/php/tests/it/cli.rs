//! On the command line: one process, one release.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::process::Stdio;

use crate::php::{extension, php, run, run_and_hear, said, text};
use crate::shop::Shop;

#[test]
fn include_path_leads_into_the_release_that_the_link_names() {
    let shop = Shop::new();
    let r1 = shop.release("r1");
    let code = "echo get_include_path(), ' ', include 'version.php', ' ', include 'deep/version2.php';";
    assert_eq!(run(&shop, &[], code), format!(".:{}/lib r1 r1", r1.display()));
    shop.flip("r2");
    assert_eq!(run(&shop, &[], "echo include 'version.php';"), "r2");
}

#[test]
fn every_occurrence_is_led_by_whole_components() {
    let shop = Shop::new();
    let link = shop.app.link().display().to_string();
    fs::create_dir_all(format!("{link}2")).unwrap();
    let given = format!("{link}/a:{link}2/b:.:{link}:{link}/../x:phar://{link}/c.phar:{link}x");
    let r1 = shop.release("r1").display().to_string();
    let wanted = format!("{r1}/a:{link}2/b:.:{r1}:{r1}/../x:phar://{r1}/c.phar:{link}x");
    assert_eq!(run(&shop, &[("include_path", &given)], "echo get_include_path();"), wanted);
}

#[test]
fn the_functions_name_the_release_and_make_keys_of_it() {
    let shop = Shop::new();
    let code = "var_dump(cutover_release(), cutover_root() === dirname(__DIR__), cutover_key('a'), cutover_key(\"\\0\"), cutover_key(''), cutover_key(5));";
    let script = shop.script("r1", "functions.php", code);
    let output = php(&shop, &[]).arg(script).output().unwrap();
    let wanted = "string(2) \"r1\"\nbool(true)\nstring(4) \"r1:a\"\nstring(4) \"r1:\0\"\nstring(3) \"r1:\"\nstring(4) \"r1:5\"";
    assert_eq!(text(&output.stdout), wanted);
    let none = "var_dump(cutover_release(), cutover_root(), cutover_key('a'));";
    assert_eq!(run(&shop, &[("cutover.link", "")], none), "NULL\nNULL\nstring(2) \":a\"");
    for (call, why) in [
        ("cutover_key()", "cutover_key() expects exactly 1 argument, 0 given"),
        ("cutover_key([])", "cutover_key(): Argument #1 ($key) must be of type string, array given"),
        ("cutover_release(1)", "cutover_release() expects exactly 0 arguments, 1 given"),
        ("cutover_root(1)", "cutover_root() expects exactly 0 arguments, 1 given"),
        ("ini_restore()", "ini_restore() expects exactly 1 argument, 0 given"),
    ] {
        assert_eq!(
            run(&shop, &[], &format!("try {{ {call}; }} catch (Error $e) {{ echo $e->getMessage(); }}")),
            why
        );
    }
    let types = "foreach (['cutover_release', 'cutover_root', 'cutover_key', 'ini_restore'] as $f) { \
        $f = new ReflectionFunction($f); echo $f->getReturnType(), ' '; foreach ($f->getParameters() as $p) echo $p->getType(), ' $', $p->getName(), ' '; }";
    assert_eq!(run(&shop, &[], types), "?string ?string string string $key void string $option");
}

#[test]
fn ini_restore_gives_the_pin_back_and_scripts_may_set_what_they_like() {
    let shop = Shop::new();
    let pinned = format!(".:{}/lib", shop.release("r1").display());
    let code = "set_include_path('/x'); echo get_include_path(), ' '; ini_restore('include_path'); echo get_include_path(), ' ', include 'version.php', ' ';\
        ini_set('include_path', '/y'); echo get_include_path(), ' '; ini_restore('include_path'); ini_restore('include_path'); echo get_include_path(), ' ';\
        ini_set('precision', 3); ini_restore('precision'); echo ini_get('precision'); ini_restore('no.such');";
    assert_eq!(run(&shop, &[], code), format!("/x {pinned} r1 /y {pinned} 14"));
    // As without us where there is nothing to be pinned.
    let code = "set_include_path('/x'); ini_restore('include_path'); echo get_include_path();";
    assert_eq!(run(&shop, &[("cutover.link", "")], code), shop.include_path());
    assert_eq!(
        run(
            &shop,
            &[("disable_functions", "ini_restore")],
            "echo function_exists('ini_restore') ? 'there' : 'gone';"
        ),
        "gone"
    );
}

#[test]
fn a_program_keeps_its_release_and_its_lease_until_it_ends() {
    let shop = Shop::new();
    let mut program = php(&shop, &[])
        .arg("-r")
        .arg("while (fgets(STDIN)) echo cutover_release(), ' ', include 'version.php', \"\\n\";")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut ask, mut answers) =
        (program.stdin.take().unwrap(), BufReader::new(program.stdout.take().unwrap()));
    let mut answer = || {
        ask.write_all(b"\n").unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        line
    };
    assert_eq!(answer(), "r1 r1\n");
    assert!(shop.leased("r1") && !shop.leased("r2"));
    shop.flip("r2");
    assert_eq!(answer(), "r1 r1\n");
    assert!(shop.leased("r1") && !shop.leased("r2"));
    drop(ask);
    program.wait().unwrap();
    assert!(!shop.leased("r1"));
}

#[test]
fn a_daemon_keeps_the_lease_of_the_parent_that_left_it_behind() {
    let shop = Shop::new();
    let there = shop.beside("there");
    let code = format!(
        "$child = pcntl_fork(); if ($child) exit(0); touch('{}'); while (file_exists('{}')) usleep(1000);",
        there.display(),
        there.display()
    );
    let pcntl = run(&shop, &[], "echo function_exists('pcntl_fork') ? 'yes' : 'no';");
    assert_eq!(pcntl, "yes", "the command line has pcntl in every package");
    let status = php(&shop, &[])
        .arg("-r")
        .arg(code)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    crate::shop::until("the daemon runs", || there.exists());
    assert!(shop.leased("r1"), "the parent has ended");
    fs::remove_file(there).unwrap();
    crate::shop::until("the daemon has ended", || !shop.leased("r1"));
}

#[test]
fn what_cutover_exec_pinned_is_taken_over() {
    let shop = Shop::new();
    let told = |root: &str, release: Option<&str>| {
        let mut command = php(&shop, &[]);
        command.env("CUTOVER_RELEASE_ROOT", root).envs(release.map(|name| ("CUTOVER_RELEASE", name)));
        let output =
            command.arg("-r").arg("echo cutover_release(), ' ', include 'version.php';").output().unwrap();
        (text(&output.stdout), said(&output))
    };
    let r2 = shop.release("r2").display().to_string();
    assert_eq!(told(&r2, Some("r2")), ("r2 r2".into(), String::new()), "though r1 is live");
    assert_eq!(told(&r2, None).0, "r2 r2");
    let temp = shop.beside("elsewhere").display().to_string();
    fs::create_dir_all(&temp).unwrap();
    for (root, release) in [
        (temp.as_str(), None),
        ("/etc", None),
        ("releases/r2", None),
        (&format!("{r2}/public"), Some("r2")),
        (&r2, Some("r1")),
        (&r2, Some("../r2")),
        (&format!("{r2}gone"), None),
        (&shop.app.link().display().to_string(), None),
    ] {
        let (out, said) = told(root, release);
        assert_eq!(out, "r1 r1", "{root}: the link is read instead");
        assert!(
            said.contains(&format!("CUTOVER_RELEASE_ROOT names {root}, which is no release of the app")),
            "{said}"
        );
    }
}

#[test]
fn a_link_that_names_no_release_is_told_and_the_program_runs_unpinned_or_not_at_all() {
    let shop = Shop::new();
    let link = shop.app.link().display().to_string();
    let unpinned = |why: &str| {
        let (out, said) =
            run_and_hear(&shop, &[], "echo get_include_path(), ' ', cutover_release() ?? 'none';");
        assert_eq!(out, format!("{} none", shop.include_path()));
        let wanted = format!(
            "PHP Warning:  PHP Request Startup: {link} {why}; the request is not pinned to a release"
        );
        assert!(said.contains(&wanted), "{said}");
        let output =
            php(&shop, &[("cutover.on_failure", "503")]).arg("-r").arg("echo 'ran';").output().unwrap();
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()), "{}", said);
        assert!(
            self::said(&output).contains(&format!("{link} {why}; the request is refused")),
            "{}",
            self::said(&output)
        );
    };
    shop.unlink();
    unpinned("is not there");
    shop.link("releases/gone");
    unpinned(&format!("leads to {}, which is not there", shop.release("gone").display()));
    shop.link("current");
    unpinned("leads in a circle");
    shop.link("/etc");
    unpinned("leads to /etc, outside of releases/ (add its directory to cutover.allow if that is meant)");
    shop.unlink();
    fs::create_dir(&link).unwrap();
    unpinned("is a directory, not a link to a release");
}

#[test]
fn values_that_cannot_be_meant_are_told_with_what_is_done_instead() {
    let shop = Shop::new();
    let told = |settings: &[(&str, &str)], why: &str, out: &str| {
        let (was, said) = run_and_hear(&shop, settings, "echo cutover_release() ?? 'none';");
        assert_eq!(was, out);
        assert_eq!(said.matches(why).count(), 1, "{said}");
    };
    told(
        &[("cutover.link", "current")],
        "cutover.link: current is not an absolute path without `..`; the request is not pinned",
        "none",
    );
    told(&[("cutover.root", "shop")], "cutover.root: shop is not an absolute path", "none");
    told(&[("cutover.allow", "builds")], "cutover.allow: builds is not an absolute path", "none");
    told(
        &[("cutover.on_failure", "die")],
        "cutover.on_failure = \"die\" is neither warn nor 503; it counts as warn",
        "r1",
    );
}

#[test]
fn the_link_may_stand_elsewhere_and_lead_further() {
    let shop = Shop::new();
    let site = shop.beside("www/site");
    fs::create_dir_all(site.parent().unwrap()).unwrap();
    symlink(shop.release("r1"), &site).unwrap();
    let (site, root) = (site.display().to_string(), shop.root().display().to_string());
    let include_path = format!("{site}/lib");
    let settings =
        [("cutover.link", site.as_str()), ("cutover.root", &root), ("include_path", &include_path)];
    assert_eq!(
        run(&shop, &settings, "echo include 'version.php', get_include_path();"),
        format!("r1{root}/releases/r1/lib")
    );
    // A link into a release: what lies below it is counted from there.
    shop.link("releases/r2/public");
    let settings = [("include_path", shop.app.link().to_str().unwrap())];
    assert_eq!(
        run(&shop, &settings, "echo include 'version3.php', ' ', cutover_root();"),
        format!("r2 {root}/releases/r2")
    );
    // serve names the release's directory, mod_cutover where the link leads.
    for told in [shop.release("r1"), shop.release("r1").join("public")] {
        let mut command = php(&shop, &settings);
        command.env("CUTOVER_RELEASE_ROOT", &told).env("CUTOVER_RELEASE", "r1");
        let output = command.arg("-r").arg("echo get_include_path(), ' ', cutover_root();").output().unwrap();
        assert_eq!(text(&output.stdout), format!("{root}/releases/r1/public {root}/releases/r1"), "{told:?}");
    }
    // Releases elsewhere, allowed.
    let builds = shop.beside("builds");
    fs::create_dir_all(builds.join("b7")).unwrap();
    shop.link(builds.join("b7"));
    let settings = [("cutover.allow", builds.to_str().unwrap())];
    assert_eq!(run(&shop, &settings, "echo cutover_release();"), "b7");
    // Etsy's: two directories beside the link.
    let etsy = shop.beside("etsy");
    fs::create_dir_all(etsy.join("A/lib")).unwrap();
    symlink("A", etsy.join("site")).unwrap();
    let (link, lib) = (etsy.join("site").display().to_string(), etsy.join("site/lib").display().to_string());
    let settings = [("cutover.link", link.as_str()), ("include_path", &lib)];
    let wanted = format!("A {}", etsy.join("A/lib").display());
    assert_eq!(run(&shop, &settings, "echo cutover_release(), ' ', get_include_path();"), wanted);
}

#[test]
fn incpaths_settings_do_what_they_did_for_whole_names_and_whole_components() {
    let shop = Shop::new();
    let link = shop.app.link().display().to_string();
    let r1 = shop.release("r1").display().to_string();
    let with = |sapis: &str, pattern: &str| {
        let settings = [
            ("cutover.link", ""),
            ("incpath.search_replace_pattern", pattern),
            ("incpath.realpath_sapi_list", sapis),
        ];
        run_and_hear(&shop, &settings, "echo get_include_path(), ' ', cutover_release() ?? 'none';")
    };
    assert_eq!(with("apache2handler, cli", &link), (format!(".:{r1}/lib r1"), String::new()));
    for other in ["cli-server", "cl", " , ", ""] {
        assert_eq!(with(other, &link), (format!(".:{link}/lib none"), String::new()), "{other}");
    }
    assert_eq!(with("cli", &format!("{link}/lib")).0, format!(".:{r1}/lib r1"));
    let (out, said) = with("cli", &link[..link.len() - 1]);
    assert_eq!(out, format!(".:{link}/lib none"));
    assert!(said.contains("there is no symbolic link at or above"), "{said}");
    let settings = [
        ("cutover.link", ""),
        ("incpath.search_replace_pattern", link.as_str()),
        ("incpath.docroot_sapi_list", "cli"),
    ];
    let (out, said) = run_and_hear(&shop, &settings, "echo get_include_path();");
    assert_eq!(out, shop.include_path());
    assert!(
        said.contains("incpath.docroot_sapi_list asks for a DOCUMENT_ROOT, and the request has none"),
        "{said}"
    );
}

#[test]
fn phpinfo_shows_the_release_and_the_settings() {
    let shop = Shop::new();
    let output = php(&shop, &[]).arg("--ri").arg("cutover").output().unwrap();
    let shown = text(&output.stdout);
    let link = shop.app.link().display();
    for line in [
        "Release => r1".to_owned(),
        format!("Release root => {}", shop.release("r1").display()),
        format!("cutover.link => {link} => {link}"),
        "cutover.on_failure => warn => warn".to_owned(),
        "incpath.docroot_sapi_list => no value => no value".to_owned(),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\nin\n{shown}");
    }
}

#[test]
fn a_release_in_a_slot_is_known_by_its_name() {
    let shop = Shop::new();
    fs::create_dir(shop.root().join("slots")).unwrap();
    fs::rename(shop.release("r2"), shop.root().join("slots/a")).unwrap();
    symlink("../slots/a", shop.release("r2")).unwrap();
    shop.flip("r2");
    let slot = shop.root().join("slots/a").display().to_string();
    let code = "echo cutover_release(), ' ', cutover_root(), ' ', get_include_path();";
    let wanted = format!("r2 {slot} .:{slot}/lib");
    assert_eq!(run(&shop, &[], code), wanted);
    let mut told = php(&shop, &[]);
    told.env("CUTOVER_RELEASE_ROOT", &slot).env("CUTOVER_RELEASE", "r2");
    let output = told.arg("-r").arg(code).output().unwrap();
    assert_eq!((text(&output.stdout), said(&output)), (wanted, String::new()));
}

#[test]
fn loaded_by_dl_it_does_nothing_and_says_so() {
    let shop = Shop::new();
    let directory = format!("extension_dir={}", extension().parent().unwrap().display());
    let plain = php(&shop, &[]);
    let mut command = std::process::Command::new(plain.get_program());
    command.args(["-n", "-d", "html_errors=0", "-d", &directory, "-r"]);
    command.arg("dl('usual.so'); var_dump(cutover_release()); ini_restore('precision'); echo 'goes on';");
    let output = command.output().unwrap();
    let shown = text(&output.stdout);
    assert!(
        shown.contains(
            "cutover does nothing when it is loaded by dl(); write extension=cutover.so into php.ini"
        ),
        "{shown}"
    );
    assert!(output.status.success() && shown.ends_with("NULL\ngoes on"), "{shown}");
}
