//! The doctor in front of a real PHP-FPM: what it sees, by files and from inside.

use std::path::Path;
use std::time::{Duration, Instant};

use doctor::facts::php::{From, Php};
use doctor::{Facts, sizing};

use crate::php_fpm::Fpm;
use crate::shop::Shop;

fn www(facts: &Facts) -> &Php {
    &facts.pools().find(|(_, pool)| pool.name == "www").expect("the pool www").1.php
}

#[test]
fn a_running_pool_says_how_it_stands_and_its_files_say_where_that_is_set() {
    let fpm = Fpm::start(
        "realpath_cache_ttl = 7\nopcache.revalidate_freq=60",
        "",
        "pm.status_path = /status\nphp_admin_value[opcache.revalidate_freq] = 3\nphp_value[include_path] = .:/srv/$pool",
    );
    // A pool whose workers are being started tells of those that are there.
    let deadline = Instant::now() + Duration::from_secs(60);
    let both = |facts: &Facts| {
        let status = facts.pools().next().and_then(|(_, pool)| pool.status());
        status.is_some_and(|status| (status.total, status.workers.len()) == (2, 2))
    };
    let mut facts = fpm.facts(&[]);
    while !both(&facts) {
        assert!(Instant::now() < deadline, "{:?}", facts.pools().next().map(|(_, pool)| pool.status()));
        facts = fpm.facts(&[]);
    }
    let php = www(&facts);
    let inside = php.inside().expect("it answers");
    assert!(inside.php.starts_with('8'), "{}", inside.php);
    assert_eq!(php.opcache().map(|opcache| opcache.state.as_str()), Some("on"));
    let ttl = php.ini("realpath_cache_ttl");
    assert_eq!((ttl.value.as_str(), ttl.at().map(|at| at.line)), ("7", Some(3)));
    let freq = php.ini("opcache.revalidate_freq");
    assert_eq!(
        (freq.value.as_str(), freq.at().map(|at| at.file.ends_with("php-fpm.conf"))),
        ("3", Some(true))
    );
    assert_eq!(php.ini("include_path").value, ".:/srv/www");
    assert_eq!(php.ini("opcache.use_cwd").from, From::Default);
    let (master, _) = facts.pools().next().expect("a pool");
    assert!(master.pid.is_some(), "its master is found by its title");
    assert_eq!(facts.blind, vec![]);
}

#[test]
fn asking_costs_the_cache_nothing_and_leaves_nothing_behind() {
    let fpm = Fpm::start("opcache.file_update_protection=0", "", "");
    let figures = || {
        let facts = fpm.facts(&[]);
        let opcache = www(&facts).opcache().expect("it answers").clone();
        (opcache.scripts, opcache.keys, opcache.wasted)
    };
    assert_eq!(figures(), figures());
    assert_eq!(figures().0, 0);
    let mine = format!("cutover-doctor-{}-", std::process::id());
    let left = std::fs::read_dir("/tmp").unwrap().filter_map(Result::ok);
    // Other tests of this process may be asking at this moment: theirs are gone soon.
    let left: Vec<_> =
        left.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains(&mine)).collect();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while left.iter().any(|path| path.exists()) {
        assert!(std::time::Instant::now() < deadline, "left behind: {left:?}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn a_pool_that_runs_with_other_values_than_its_files_is_believed() {
    let fpm = Fpm::start("realpath_cache_ttl = 7", "", "");
    std::fs::write(fpm.dir().join("php.ini"), "realpath_cache_ttl = 9\n").unwrap();
    let facts = fpm.facts(&[]);
    let ttl = www(&facts).ini("realpath_cache_ttl");
    assert_eq!((ttl.value.as_str(), ttl.from), ("7", From::Running("the pool www".into())));
}

#[test]
fn a_pool_that_cannot_be_asked_is_told_and_its_files_are_read_all_the_same() {
    let fpm = Fpm::start(
        "",
        "",
        "security.limit_extensions = .phtml\n[caged]\n{user}\nlisten = {root}/caged.sock\npm = static\npm.max_children = 1\n\
         chroot = {root}\n[narrow]\n{user}\nlisten = {root}/narrow.sock\npm = static\npm.max_children = 1\n\
         php_admin_value[open_basedir] = {root}\n",
    );
    let facts = fpm.facts(&[]);
    assert!(www(&facts).inside().is_some(), "a suffix that the pool runs is taken");
    let whys: Vec<&str> = facts.blind.iter().map(|blind| blind.why.as_str()).collect();
    assert_eq!(whys.len(), 2, "{whys:?}");
    assert!(whys[0].contains("its own root"), "{whys:?}");
    assert!(whys[1].contains("open_basedir"), "{whys:?}");
    let narrow = facts.pools().find(|(_, pool)| pool.name == "narrow").expect("it").1;
    assert_eq!(Path::new(&narrow.php.ini("open_basedir").value), fpm.dir());
}

#[test]
fn a_pool_that_is_given_paths_through_the_link_is_seen_to_be() {
    let fpm = Fpm::start("", "", "pm.max_children = 1\npm.status_path = /status");
    let shop = Shop::new();
    let before = fpm.facts(&[shop.root()]);
    assert_eq!(before.linked(www(&before)), None);
    assert_eq!(fpm.get(&shop.root().join("releases/r1/index.php")), "r1");
    let pinned = fpm.facts(&[shop.root()]);
    assert_eq!(pinned.linked(www(&pinned)), None);
    assert_eq!(fpm.get(&shop.root().join("current/index.php")), "r1");
    let facts = fpm.facts(&[shop.root()]);
    assert_eq!(facts.linked(www(&facts)).map(|linked| linked.link), Some(shop.root().join("current")));
}

#[test]
fn what_a_running_pool_needs_is_told_with_the_figures_it_comes_from() {
    let shop = Shop::new();
    let code: String =
        (0..300).map(|n| format!("function f{n}($a) {{ return [$a => 'v{n}']; }}\n")).collect();
    shop.file("releases/r1/lib.php", &format!("<?php\n{code}"));
    shop.file("releases/r1/index.php", "<?php require __DIR__ . '/lib.php'; echo 'r1';");
    shop.file("cutover.toml", &format!("[app]\nroot = \"{}\"\nkeep = 400\n", shop.root().display()));
    shop.age();
    let fpm =
        Fpm::start("opcache.memory_consumption = 16", "", "pm.max_children = 1\npm.status_path = /status");
    assert_eq!(fpm.get(&shop.root().join("releases/r1/index.php")), "r1");
    let sizings = sizing::of(&fpm.facts(&[shop.root()]));
    let sizing = sizings.first().expect("it answers");
    let room = sizing.room.as_ref().expect("a release is in it");
    assert!(room.why.contains("releases/r1 has 2 scripts in "), "{}", room.why);
    assert!((1..400).contains(&room.deploys), "{room:?}");
    let wish = |key: &str| {
        sizing.wishes.iter().find(|wish| wish.key == key).unwrap_or_else(|| panic!("{key}: {sizing:?}"))
    };
    let memory = wish("opcache.memory_consumption");
    assert_eq!((memory.is.as_str(), memory.is_right()), ("16", false), "{memory:?}");
    assert!(memory.why.starts_with("400 releases that are kept (app.keep)"), "{memory:?}");
    assert!(wish("opcache.interned_strings_buffer").is_right());
    assert!(wish("realpath_cache_size").is_right());
    let workers = wish("pm.max_children (www)");
    assert!(workers.is_right() && workers.why.contains("worked at once at most"), "{workers:?}");
}
