//! What PHP caches of releases, on a real PHP-FPM: warm after a deploy, within its room, and said when it cannot be.

use std::path::PathBuf;

use deploy::engine::FreshPool;
use deploy::journal::Ending;
use deploy::opcache::ask::{Bounds, Look, Spare};
use deploy::opcache::{Cache, room};
use deploy::plan::Aim;
use deploy::used::{self, Workers};
use fastcgi::Address;
use release::ReleaseId;

use crate::fpm::Fpm;
use crate::shop::{Shop, Told};

const FRONT: &str = "<?php require __DIR__ . '/../src/shop.php'; echo shop();";
const DEPLOY: Aim = Aim::Deploy { reference: None, only_if_changed: false };

/// A shop of two scripts.
fn shop(keys: &str) -> Shop {
    let shop = Shop::new(keys);
    shop.source("public/index.php", FRONT);
    shop.source("src/shop.php", "<?php function shop(): string { return 'one'; }");
    shop
}

/// Adds classes of which each takes about 45 kB when it is compiled.
fn grow(shop: &Shop, classes: usize) {
    let method = |n: usize| {
        format!(
            "function m{n}(int $a): array {{ $x = ['k{n}' => $a]; foreach ($x as $k => $v) {{ $x[] = sprintf('%d-%s', $v, $k); }} return $x; }}\n"
        )
    };
    let methods: String = (0..40).map(method).collect();
    for n in 0..classes {
        shop.source(&format!("src/c{n:03}.php"), &format!("<?php class C{n} {{\n{methods}}}\n"));
    }
}

fn cache(shop: &Shop, pool: &Address) -> Cache {
    Cache::of(&shop.app(), &[], pool).unwrap()
}

fn look(shop: &Shop, pool: &Address) -> Look {
    let releases = shop.app().releases().canonicalize().unwrap();
    cache(shop, pool).look(Some(&releases), Some(shop.live().as_str())).unwrap()
}

fn script(shop: &Shop, id: &ReleaseId, path: &str) -> PathBuf {
    shop.app().release(id).canonicalize().unwrap().join(path)
}

fn goes_live(told: &Told) -> ReleaseId {
    assert_eq!(told.outcome.ending, Ending::Live, "{:?}", told.outcome);
    told.outcome.release.clone().unwrap()
}

#[test]
fn after_a_warm_deploy_no_visitor_compiles_anything_nor_after_going_back() {
    let fpm = Fpm::start();
    let shop = shop(&fpm.keys());
    let first = goes_live(&shop.deploy());
    assert_eq!(fpm.get(&script(&shop, &first, "public/index.php")), "one");
    shop.source("src/shop.php", "<?php function shop(): string { return 'two'; }");
    let second = goes_live(&shop.deploy());
    let before = look(&shop, &fpm.address()).figures;
    assert_eq!(fpm.get(&script(&shop, &second, "public/index.php")), "two");
    assert_eq!(shop.rollback().outcome.ending, Ending::Live);
    assert_eq!(fpm.get(&script(&shop, &first, "public/index.php")), "one");
    let after = look(&shop, &fpm.address()).figures;
    assert_eq!((after.misses, after.scripts), (before.misses, before.scripts));
    assert!(after.hits >= before.hits + 4, "{before:?} {after:?}");
}

#[test]
fn what_visitors_use_is_compiled_when_there_is_no_room_for_all_and_the_cache_is_never_full() {
    let fpm = Fpm::small(8);
    let shop = shop(&fpm.keys());
    grow(&shop, 60);
    let first = goes_live(&shop.deploy());
    for used in ["public/index.php", "src/c059.php"] {
        fpm.get(&script(&shop, &first, used));
    }
    goes_live(&shop.deploy());
    let told = shop.deploy();
    let third = goes_live(&told);
    assert!(told.warnings().contains("is too small for the release: it has "), "{}", told.warnings());
    let look = look(&shop, &fpm.address());
    assert!(!look.figures.full && look.figures.restarts == 0, "{look:?}");
    let paths: Vec<&[u8]> = look.scripts.iter().map(|script| script.path.as_slice()).collect();
    for used in ["public/index.php", "src/shop.php", "src/c059.php"] {
        assert!(paths.contains(&used.as_bytes()), "{used} of {third} is not in {paths:?}");
    }
    assert!(paths.len() < 60, "{paths:?}");
}

#[test]
fn a_foreign_pool_is_restarted_by_php_in_a_deploy_that_was_forecast_and_never_by_its_visitors() {
    let fpm = Fpm::small(8);
    let shop = shop(&format!("keep = 1\n{}", fpm.keys()));
    grow(&shop, 60);
    let used: Vec<String> =
        (0..60).map(|n| format!("src/c{n:03}.php")).chain(["public/index.php".into()]).collect();
    let mut forecast = false;
    let mut restarts = 0;
    for deploy in 0..7 {
        let told = shop.deploy();
        let live = goes_live(&told);
        let before = look(&shop, &fpm.address());
        assert_eq!(before.shares[live.as_str()].0, 62, "deploy {deploy}: {}", told.warnings());
        if before.figures.restarts > restarts {
            assert!(forecast, "deploy {deploy}: nobody said that PHP would empty it");
            restarts = before.figures.restarts;
        }
        forecast =
            told.warnings().contains("no room for another deploy: then PHP empties it during a deploy");
        for path in &used {
            fpm.get(&script(&shop, &live, path));
        }
        let after = look(&shop, &fpm.address()).figures;
        assert_eq!(
            (after.misses, after.restarts, after.full),
            (before.figures.misses, restarts, false),
            "deploy {deploy}"
        );
    }
    assert!(restarts > 0);
}

#[test]
fn a_release_larger_than_the_cache_goes_live_half_compiled_and_this_is_said() {
    let fpm = Fpm::small(8);
    let shop = shop(&fpm.keys());
    grow(&shop, 250);
    let told = shop.deploy();
    goes_live(&told);
    let said = told.warnings();
    assert!(
        said.contains("of the release's 252 files") && said.contains("opcache.memory_consumption="),
        "{said}"
    );
    let look = look(&shop, &fpm.address());
    assert!(!look.figures.full && look.scripts.len() > 50, "{look:?}");
    // Nothing new fits, and the visitor is served all the same.
    assert_eq!(fpm.get(&script(&shop, &shop.live(), "public/index.php")), "one");
}

#[test]
fn what_a_pruned_release_took_is_given_back_to_the_next_restart() {
    let fpm = Fpm::start();
    let shop = shop(&format!("keep = 1\n{}", fpm.keys()));
    let first = goes_live(&shop.deploy());
    goes_live(&shop.deploy());
    let third = goes_live(&shop.deploy());
    assert_eq!(look(&shop, &fpm.address()).shares[first.as_str()].0, 2);
    let fourth = goes_live(&shop.deploy());
    let look = look(&shop, &fpm.address());
    let names: Vec<&str> = look.shares.keys().map(String::as_str).filter(|name| !name.is_empty()).collect();
    assert!(
        !names.contains(&first.as_str())
            && names.contains(&third.as_str())
            && names.contains(&fourth.as_str()),
        "{names:?}"
    );
    assert!(look.figures.wasted > 0, "{look:?}");
}

#[test]
fn a_cache_that_is_full_of_dead_releases_heals_in_the_deploy() {
    let fpm = Fpm::small(8);
    let shop = shop(&fpm.keys());
    grow(&shop, 60);
    let first = goes_live(&shop.deploy());
    fpm.get(&script(&shop, &first, "public/index.php"));
    // What a tool leaves that flips without caring.
    let dead = shop.app().releases().canonicalize().unwrap().join("dead");
    std::fs::create_dir_all(dead.join("src")).unwrap();
    for n in 0..120 {
        let source = shop.path("src").join(format!("src/c{:03}.php", n % 60));
        std::fs::copy(source, dead.join(format!("src/d{n}.php"))).unwrap();
    }
    let files: Vec<PathBuf> = (0..120).map(|n| dead.join(format!("src/d{n}.php"))).collect();
    let brim = Bounds { time: std::time::Duration::from_secs(9), spare: Spare::Nothing };
    let fill = cache(&shop, &fpm.address());
    fill.compile(files.iter().map(PathBuf::as_path), brim).unwrap();
    let full = fill.look(None, None).unwrap().figures;
    assert!(full.full && full.wasted == 0, "{full:?}");
    let told = shop.deploy();
    let second = goes_live(&told);
    assert!(told.warnings().contains("PHP restarted the opcache"), "{}", told.warnings());
    let look = look(&shop, &fpm.address());
    assert!(!look.figures.full && look.figures.restarts == 1, "{look:?}");
    assert_eq!(look.shares[second.as_str()].0, 62);
    // Those of what was live that visitors used came first, and are back too.
    assert_eq!(look.shares[first.as_str()].0, 2);
}

#[test]
fn pools_of_one_master_are_warmed_once_and_each_master_is() {
    let ini = ["zend_extension=opcache"];
    let two = Fpm::with(&ini, "[two]\n{user}\nlisten = {root}/two.sock\npm = static\npm.max_children = 1");
    let other = Fpm::with(&ini, "");
    let sockets = [two.socket(), two.socket().with_file_name("two.sock"), other.socket()];
    let list: Vec<String> = sockets.iter().map(|path| format!("'unix:{}'", path.display())).collect();
    let shop =
        shop(&format!("[php]\nfpm = [{}]\nfront = 'index.php'\n[warm]\nrequests = ['/']\n", list.join(", ")));
    let told = shop.deploy();
    goes_live(&told);
    assert_eq!(told.warnings(), "");
    let text = format!("{:?}", told.events);
    assert!(text.contains("4 files in opcache, 2 requests answered"), "{text}");
    for socket in &sockets {
        assert_eq!(look(&shop, &Address::Unix(socket.clone())).scripts.len(), 2);
    }
    assert_eq!(look(&shop, &Address::Unix(sockets[1].clone())).figures.restarts, 0);
}

#[test]
fn a_pool_in_a_chroot_is_warmed_by_the_paths_that_it_sees() {
    let shop = shop("");
    let root = shop.app().root().canonicalize().unwrap();
    let fpm = Fpm::with(&["zend_extension=opcache"], &format!("chroot = {}", root.display()));
    let map = format!("path_map = {{ '{}' = '/' }}\n", root.display());
    shop.configure(&format!("{}{map}[warm]\nrequests = ['/']\n", fpm.keys()));
    let told = shop.deploy();
    let live = goes_live(&told);
    assert_eq!(told.warnings(), "");
    let map = [(root.clone(), PathBuf::from("/"))];
    let cache = Cache::of(&shop.app(), &map, &fpm.address()).unwrap();
    let look = cache.look(Some(&root.join("releases")), None).unwrap();
    assert_eq!(look.shares[live.as_str()].0, 2, "{look:?}");
    // Without the map nothing can be compiled, and this is said.
    shop.configure(&fpm.keys());
    let told = shop.deploy();
    goes_live(&told);
    assert!(told.warnings().contains("php.path_map has to say"), "{}", told.warnings());
}

#[test]
fn a_pool_on_tcp_is_warmed_too() {
    let port = crate::port::free();
    let pool = format!("[tcp]\n{{user}}\nlisten = 127.0.0.1:{port}\npm = static\npm.max_children = 1");
    let fpm = Fpm::with(&["zend_extension=opcache"], &pool);
    let shop = shop(&format!("[php]\nfpm = '127.0.0.1:{port}'\nfront = 'index.php'\n"));
    let told = shop.deploy();
    goes_live(&told);
    assert_eq!((told.warnings().as_str(), look(&shop, &fpm.address()).scripts.len()), ("", 2));
}

#[test]
fn where_nothing_can_be_warmed_the_deploy_says_why_and_goes_on() {
    const ON: &str = "zend_extension=opcache";
    let cases: [(&[&str], &str, &str); 9] = [
        (&[], "", "has no opcache: install PHP's opcache"),
        (&[ON, "opcache.enable=0"], "", "opcache switched off: set opcache.enable=1"),
        (&[ON, "opcache.enable=0", "opcache.enable_cli=1"], "", "opcache.enable_cli is not for FPM"),
        (&[ON], "php_admin_value[opcache.enable] = 0", "opcache switched off"),
        (&[ON, "opcache.file_cache=/tmp", "opcache.file_cache_only=1"], "", "only in files, in /tmp"),
        (&[ON, "opcache.restrict_api=/opt/admin"], "", "only scripts below /opt/admin"),
        (
            &[ON, "disable_functions=opcache_invalidate"],
            "",
            "take opcache_invalidate out of disable_functions",
        ),
        (&[ON], "security.limit_extensions = .phtml", "security.limit_extensions has to allow .php"),
        (&[ON], "php_admin_value[open_basedir] = /srv/elsewhere", "open_basedir has to allow that directory"),
    ];
    for (ini, pool, wanted) in cases {
        let fpm = Fpm::with(ini, pool);
        let shop = shop(&fpm.keys());
        let told = shop.deploy();
        goes_live(&told);
        let said = told.warnings();
        assert!(
            said.contains(wanted) && said.contains("nothing was compiled before the flip"),
            "{wanted}: {said}"
        );
    }
}

#[test]
fn preloaded_code_and_a_full_jit_are_told() {
    let preload = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(preload.path(), "<?php class Preloaded {}").unwrap();
    let preload = format!("opcache.preload={}", preload.path().display());
    let ini = ["zend_extension=opcache", "opcache.jit=tracing", "opcache.jit_buffer_size=8M"];
    let ini = [&ini[..], &[preload.as_str(), "opcache.preload_user=root"]].concat();
    let fpm = Fpm::with(&ini, "");
    let shop = shop(&fpm.keys());
    let told = shop.deploy();
    goes_live(&told);
    let said = told.warnings();
    assert!(said.contains("what it loaded stays as it was when this PHP-FPM was started"), "{said}");
    let look = look(&shop, &fpm.address());
    assert!(look.scripts.len() == 2 && look.figures.jit >= 8_000_000, "{look:?}");
}

#[test]
fn a_status_page_that_is_off_is_told_by_the_prune() {
    let fpm = Fpm::start();
    let workers = Workers { at: fpm.address(), path: "/elsewhere".into(), map: Vec::new() };
    let said = used::by_worker(std::path::Path::new("/srv"), &workers).unwrap_err();
    assert!(said.contains("has no status at /elsewhere (its pm.status_path)"), "{said}");
}

#[test]
fn where_there_is_no_room_a_fresh_pool_gets_the_release() {
    let (old, new) = (Fpm::small(8), Fpm::small(64));
    let shop = shop(&format!("{}[warm]\nrequests = ['/']\n", old.keys()));
    grow(&shop, 60);
    let start = |_: &release::ReleaseId| Ok(new.address());
    let fresh = || Some(FreshPool { always: false, start: Box::new(start) });
    let warm = |told: Told| {
        assert_eq!(told.warnings(), "");
        let id = goes_live(&told);
        let look = |fpm: &Fpm| look(&shop, &fpm.address()).shares.get(id.as_str()).map_or(0, |share| share.0);
        (look(&old), look(&new))
    };
    assert_eq!(warm(shop.run_with(DEPLOY, fresh())), (62, 0));
    assert_eq!(warm(shop.run_with(DEPLOY, fresh())), (62, 0));
    let back = shop.live();
    assert_eq!(warm(shop.run_with(DEPLOY, fresh())), (0, 62));
    // What is used of the release before is warm there too, for a rollback, where the next deploys have room all the same.
    assert_eq!(look(&shop, &new.address()).shares[back.as_str()].0, 2);
    // Where none can be had the release has to do with the old one.
    let none = |_: &release::ReleaseId| Err("fork: no memory".to_owned());
    let told = shop.run_with(DEPLOY, Some(FreshPool { always: false, start: Box::new(none) }));
    goes_live(&told);
    assert!(
        told.warnings().contains("no second PHP-FPM was started: fork: no memory"),
        "{}",
        told.warnings()
    );
    // Where each release needs one, the deploy fails before the flip.
    let live = shop.live();
    let told = shop.run_with(DEPLOY, Some(FreshPool { always: true, start: Box::new(none) }));
    assert_eq!((told.outcome.ending, shop.live()), (Ending::Undone, live));
}

#[test]
fn what_is_left_free_is_enough_for_a_visitors_own_scripts() {
    let fpm = Fpm::small(8);
    let shop = shop(&fpm.keys());
    goes_live(&shop.deploy());
    let figures = look(&shop, &fpm.address()).figures;
    let (bytes, _) = room::spare(&figures);
    assert!(bytes >= 256 << 10 && figures.free > bytes);
}
