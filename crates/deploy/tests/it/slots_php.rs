//! Slots and a real PHP-FPM: what did not change stays compiled, what changed is never run as it was before.

use std::path::{Path, PathBuf};
use std::time::Duration;

use deploy::journal::Ending;
use deploy::opcache::Cache;
use deploy::plan::Aim;
use fastcgi::{Address, Params, blocking};
use release::live;

use crate::fpm::Fpm;
use crate::shop::{Shop, Told};

const FRONT: &str = "<?php require __DIR__ . '/../src/greet.php'; echo greet();";

fn keys(fpm: &Fpm) -> String {
    format!("layout = 'slots'\nkeep = 3\n[serve]\n{}", fpm.keys())
}

/// An application of this many scripts, of which one says hello.
fn shop(fpm: &Fpm, scripts: usize) -> Shop {
    let shop = Shop::new(&keys(fpm));
    shop.source("public/index.php", FRONT);
    for n in 0..scripts {
        shop.source(&format!("lib/Part{n}.php"), &format!("<?php class Part{n} {{ const N = {n}; }}"));
    }
    greet(&shop, "hello");
    shop
}

fn greet(shop: &Shop, words: &str) {
    shop.source("src/greet.php", &format!("<?php function greet() {{ return '{words}'; }}"));
}

fn deployed(shop: &Shop) -> Told {
    let told = shop.deploy();
    assert_eq!(told.outcome.ending, Ending::Live, "{:?}", told.outcome);
    assert_eq!(told.outcome.problems, Vec::<String>::new());
    told
}

/// Runs a script of what is live through the pool, as a server that pins does.
fn get(fpm: &Fpm, shop: &Shop, script: &str) -> String {
    let file = live::read(&shop.app()).unwrap().dir.join(script);
    run(fpm, &file, Duration::from_secs(10))
}

fn run(fpm: &Fpm, file: &Path, longest: Duration) -> String {
    let mut params = Params::new();
    params.push(b"SCRIPT_FILENAME", file.as_os_str().as_encoded_bytes()).push(b"REQUEST_METHOD", b"GET");
    let limits = blocking::Limits { total: longest, ..blocking::Limits::default() };
    let answer = blocking::send(&Address::Unix(fpm.socket()), &params, b"", limits).unwrap();
    String::from_utf8(answer.body).unwrap()
}

/// Scripts in the cache, and how often one had to be compiled.
fn cached(fpm: &Fpm, shop: &Shop) -> (u64, u64) {
    let cache = Cache::of(&shop.app(), &[], &Address::Unix(fpm.socket())).unwrap();
    let figures = cache.look(None, None).unwrap().figures;
    (figures.scripts, figures.misses)
}

#[test]
fn one_changed_file_per_deploy_costs_the_cache_that_file_only_and_each_answer_is_of_the_new_release() {
    let fpm = Fpm::start();
    let shop = shop(&fpm, 40);
    // Both slots are filled.
    for words in ["hello", "hello again"] {
        greet(&shop, words);
        deployed(&shop);
        assert_eq!(get(&fpm, &shop, "public/index.php"), words);
    }
    let (scripts, misses) = cached(&fpm, &shop);
    let used = |shop: &Shop| {
        let cache = Cache::of(&shop.app(), &[], &Address::Unix(fpm.socket())).unwrap();
        let figures = cache.look(None, None).unwrap().figures;
        figures.used + figures.wasted
    };
    let (before, deploys) = (used(&shop), 20);
    for round in 0..deploys {
        let words = format!("round {round}");
        greet(&shop, &words);
        deployed(&shop);
        assert_eq!(get(&fpm, &shop, "public/index.php"), words);
    }
    let (scripts_after, misses_after) = cached(&fpm, &shop);
    let grown = (used(&shop) - before) / deploys;
    println!(
        "{scripts} scripts before, {scripts_after} after {deploys} deploys; {} compiled, {grown} bytes per deploy",
        misses_after - misses
    );
    assert_eq!(scripts_after, scripts, "a forgotten script is compiled anew in its old one's place");
    assert_eq!(misses_after - misses, deploys, "the changed file, and no other");
    // One small script and its key: some kilobytes, where the release has 42 scripts.
    assert!(grown < 4_000, "{grown} bytes");
}

#[test]
fn a_changed_script_is_never_run_as_it_was_whatever_its_time_and_however_it_comes_and_goes() {
    let fpm = Fpm::start();
    let shop = shop(&fpm, 0);
    shop.source("public/index.php", "<?php set_include_path(__DIR__ . '/../first:' . __DIR__ . '/../second'); require 'part.php'; echo PART;");
    let part = |dir: &str, words: Option<&str>| {
        let path = shop.path("src").join(dir).join("part.php");
        match words {
            Some(words) => shop.source(&format!("{dir}/part.php"), &format!("<?php const PART = '{words}';")),
            None => std::fs::remove_file(&path).unwrap_or(()),
        }
        // As a checkout that gives every file the same time.
        if let Ok(file) = std::fs::File::options().write(true).open(&path) {
            file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_000_000)).unwrap();
        }
    };
    let rounds = [
        (None, Some("s0"), "s0"),
        (None, Some("s1"), "s1"),
        (Some("f2"), Some("s1"), "f2"),
        (None, Some("s1"), "s1"),
        (Some("f4"), None, "f4"),
        (Some("f5"), Some("s5"), "f5"),
        (None, Some("s5"), "s5"),
        (Some("f2"), Some("s0"), "f2"),
        (Some("f8"), None, "f8"),
    ];
    for (n, (first, second, wanted)) in rounds.into_iter().enumerate() {
        part("first", first);
        part("second", second);
        deployed(&shop);
        // Each worker has caches of its own.
        for _ in 0..6 {
            assert_eq!(get(&fpm, &shop, "public/index.php"), wanted, "round {n}");
        }
    }
}

#[test]
fn a_link_that_leads_elsewhere_gets_the_slot_a_path_that_php_has_not_met() {
    let fpm = Fpm::start();
    let shop = shop(&fpm, 0);
    shop.source("public/index.php", "<?php echo require __DIR__ . '/../now/say.php';");
    shop.source("one/say.php", "<?php return 'one';");
    shop.source("two/say.php", "<?php return 'two';");
    // Gone for a while, it may come back as another.
    let none = "none";
    for (n, to) in
        ["one", "one", "two", "one", "two", "two", none, none, "one", "one"].into_iter().enumerate()
    {
        std::fs::remove_file(shop.path("src/now")).unwrap_or(());
        if to == none {
            shop.page(&n.to_string());
            deployed(&shop);
            continue;
        }
        std::os::unix::fs::symlink(to, shop.path("src/now")).unwrap();
        shop.page(&n.to_string());
        deployed(&shop);
        for _ in 0..6 {
            assert_eq!(get(&fpm, &shop, "public/index.php"), to, "deploy {n}");
        }
    }
}

#[test]
fn a_worker_that_still_runs_a_script_of_the_slot_keeps_it_from_being_rewritten() {
    let fpm = Fpm::start();
    let shop = shop(&fpm, 0);
    // The answer is given, the worker goes on.
    let slow = format!("<?php echo 'done'; fastcgi_finish_request(); {}", fpm.until_open());
    shop.source("public/slow.php", &slow);
    shop.configure(&keys(&fpm).replace("keep = 3", "keep = 3\nslot_wait = '0s'"));
    deployed(&shop);
    let slow: PathBuf = live::read(&shop.app()).unwrap().dir.join("public/slow.php");
    shop.page("two");
    shop.deploy();
    let second = shop.live();
    assert_eq!(run(&fpm, &slow, Duration::from_secs(10)), "done");
    shop.page("three");
    let told = shop.deploy();
    let (step, why) = told.failure();
    assert!(told.outcome.refused && step == "stage" && why.contains("slot a is used by"), "{step}: {why}");
    assert_eq!(shop.live(), second);
    shop.configure(&keys(&fpm));
    let mut waited = false;
    let told =
        shop.run_watched(Aim::Deploy { reference: None, only_if_changed: false }, None, &mut |event| {
            if format!("{event:?}").contains("waiting for a slot") {
                waited = true;
                fpm.open();
            }
        });
    assert_eq!(told.outcome.ending, Ending::Live, "{:?}", told.outcome);
    assert!(waited, "it waited until the worker was done");
}

#[test]
fn a_pool_that_cannot_be_told_to_forget_fails_the_deploy_and_the_next_one_makes_up_for_it() {
    let fpm = Fpm::start();
    let shop = shop(&fpm, 0);
    for words in ["one", "two"] {
        greet(&shop, words);
        deployed(&shop);
        assert_eq!(get(&fpm, &shop, "public/index.php"), words);
    }
    // Between the rewriting and the forgetting something fails: what is live is not touched.
    let hooked = format!("{}[hooks]\nbefore_warm = ['false']\n", keys(&fpm));
    shop.configure(&hooked);
    greet(&shop, "three");
    assert_eq!(shop.deploy().outcome.ending, Ending::Undone);
    assert!(shop.app().stale().exists(), "what is to be forgotten is written down");
    assert_eq!(get(&fpm, &shop, "public/index.php"), "two");
    shop.configure(&keys(&fpm));
    greet(&shop, "three");
    deployed(&shop);
    assert_eq!(get(&fpm, &shop, "public/index.php"), "three");
    assert!(!shop.app().stale().exists());
}

#[test]
fn a_release_that_is_brought_back_from_the_store_runs_its_own_scripts() {
    let fpm = Fpm::start();
    let shop = shop(&fpm, 3);
    let mut ids = Vec::new();
    for words in ["one", "two", "three"] {
        greet(&shop, words);
        deployed(&shop);
        assert_eq!(get(&fpm, &shop, "public/index.php"), words);
        ids.push(shop.live());
    }
    let told = shop.run(Aim::Restore { to: ids[0].clone(), leaves_bad: false });
    assert_eq!(told.outcome.ending, Ending::Live, "{:?}", told.outcome);
    for _ in 0..6 {
        assert_eq!(get(&fpm, &shop, "public/index.php"), "one");
    }
    // "two" stands in the other slot, or else in the store too; either way by its own scripts.
    let told = match release::manifest::sealed(&shop.app(), &ids[2]) {
        Ok(_) => shop.run(Aim::Rollback { to: ids[2].clone(), forced: false, leaves_bad: false }),
        Err(_) => shop.run(Aim::Restore { to: ids[2].clone(), leaves_bad: false }),
    };
    assert_eq!(told.outcome.ending, Ending::Live, "{:?}", told.outcome);
    assert_eq!(get(&fpm, &shop, "public/index.php"), "three");
}

#[test]
fn what_hooks_make_in_each_release_gives_no_slot_a_new_path_unless_a_link_leads_elsewhere() {
    let fpm = Fpm::start();
    let shop = shop(&fpm, 2);
    let hook = |to: &str| {
        let made = format!(
            "mkdir -p made; echo \"<?php return '$CUTOVER_RELEASE';\" > made/index.php; ln -s {to} made/link"
        );
        shop.configure(&format!("{}[hooks]\nafter_stage = ['''{made}''']\n", keys(&fpm)));
    };
    hook("../public");
    shop.source("public/index.php", "<?php echo require __DIR__ . '/../made/index.php';");
    for page in ["one", "two", "three", "four", "five"] {
        shop.page(page);
        deployed(&shop);
        let live = live::read(&shop.app()).unwrap();
        assert!(["a", "b"].contains(&live.dir.file_name().unwrap().to_str().unwrap()), "{live:?}");
        assert_eq!(get(&fpm, &shop, "public/index.php"), live.id.as_str());
    }
    let live = shop.live();
    hook("../src");
    shop.page("six");
    let told = shop.deploy();
    assert!(told.failure().1.starts_with("made/link leads elsewhere"), "{:?}", told.failure());
    assert_eq!(shop.live(), live);
}
