//! Each bad pattern that a Debian php-fpm can have is found in one that runs so; and in nothing else.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use doctor::{Facts, Report, checks};

use crate::php_fpm::Fpm;
use crate::shop::Shop;

/// What is set up, what happens then, and what is found.
struct Case {
    /// Lines of php.ini.
    ini: &'static str,
    /// Lines below `[global]`.
    global: &'static str,
    /// Lines of the pool, or of further ones.
    pool: &'static str,
    /// What is done to the app before it starts.
    shop: fn(&Shop),
    /// What visitors do.
    visit: fn(&Fpm, &Shop),
    /// What is found.
    ids: &'static [&'static str],
}

const PLAIN: Case = Case { ini: "", global: "", pool: "", shop: |_| {}, visit: |_, _| {}, ids: &[] };

/// One worker, so that who is asked is who has answered; a status page; 64 MB of cache.
const POOL: &str = "pm.max_children = 1\npm.status_path = /status\n";

fn through_link(fpm: &Fpm, shop: &Shop) {
    assert_eq!(fpm.get(&shop.root().join("current/index.php")), "r1");
}

fn in_release(fpm: &Fpm, shop: &Shop) {
    fpm.get(&shop.root().join("releases/r1/index.php"));
}

/// A release whose code takes much room: its front script compiles the rest.
fn large(shop: &Shop, files: usize, lines: usize) {
    for file in 0..files {
        let body: String = (0..lines).map(|line| format!("function f{file}_{line}($a) {{ return ['k{file}_{line}' => $a, $a . 'v{file}_{line}']; }}\n")).collect();
        shop.file(&format!("releases/r1/lib/{file}.php"), &format!("<?php\n{body}"));
    }
    shop.file("releases/r1/index.php", "<?php foreach (glob(__DIR__ . '/lib/*.php') as $f) { @opcache_compile_file($f); opcache_is_script_cached($f); } echo 'r1';");
    shop.age();
}

fn keep(shop: &Shop, more: &str) {
    shop.file("cutover.toml", &format!("[app]\nroot = \"{}\"\n{more}", shop.root().display()));
}

fn cases() -> Vec<Case> {
    vec![
        PLAIN,
        Case { ini: "realpath_cache_ttl=0", ids: &["P01"], ..PLAIN },
        Case { ini: "realpath_cache_ttl=0\nrealpath_cache_size=0", ..PLAIN },
        Case { ini: "realpath_cache_ttl=3600", visit: through_link, ids: &["P02", "P16"], ..PLAIN },
        Case { ini: "realpath_cache_ttl=3600", visit: in_release, ..PLAIN },
        Case { ini: "opcache.validate_timestamps=0", visit: through_link, ids: &["P03"], ..PLAIN },
        Case { ini: "opcache.validate_timestamps=0", visit: in_release, ..PLAIN },
        Case {
            pool: "php_admin_flag[opcache.validate_timestamps] = off",
            visit: through_link,
            ids: &["P03"],
            ..PLAIN
        },
        Case {
            ini: "opcache.validate_timestamps=0",
            shop: |shop| {
                shop.file("deploy.sh", &format!("rsync -a build/ {}/current/\n", shop.root().display()))
            },
            ids: &["D10", "P04"],
            ..PLAIN
        },
        Case {
            shop: |shop| {
                File::open(shop.root().join("releases/r1/index.php"))
                    .unwrap()
                    .set_modified(UNIX_EPOCH)
                    .unwrap()
            },
            ids: &["P05"],
            ..PLAIN
        },
        Case {
            shop: |shop| {
                shop.file("slots/a/index.php", "<?php echo 1;");
                shop.file("slots/b/index.php", "<?php echo 2;");
                shop.age();
            },
            ids: &["P06"],
            ..PLAIN
        },
        Case {
            ini: "opcache.memory_consumption=8\nopcache.interned_strings_buffer=1",
            shop: |shop| large(shop, 60, 300),
            visit: in_release,
            ids: &["P07", "P10"],
            ..PLAIN
        },
        Case {
            ini: "opcache.memory_consumption=32",
            shop: |shop| {
                large(shop, 20, 400);
                keep(shop, "keep = 9\n");
            },
            visit: in_release,
            ids: &["P08"],
            ..PLAIN
        },
        Case {
            ini: "opcache.max_accelerated_files=200",
            shop: |shop| {
                large(shop, 60, 1);
                keep(shop, "keep = 5\n");
            },
            visit: in_release,
            ids: &["P09"],
            ..PLAIN
        },
        Case { pool: "php_admin_value[opcache.memory_consumption] = 512", ids: &["P11"], ..PLAIN },
        Case {
            shop: |shop| keep(shop, "[hooks]\nafter_flip = [\"cachetool opcache:reset\"]\n"),
            ids: &["P12"],
            ..PLAIN
        },
        Case { pool: "request_terminate_timeout = 10m", ids: &["P13"], ..PLAIN },
        Case {
            ini: "opcache.preload={shop}/current/index.php\nopcache.preload_user=root",
            ids: &["P14"],
            ..PLAIN
        },
        Case { ini: "opcache.use_cwd=0", ids: &["P15"], ..PLAIN },
        Case { visit: through_link, ids: &["P16"], ..PLAIN },
        Case {
            pool: "[caged]\n{user}\nlisten = {root}/caged.sock\npm = static\npm.max_children = 1\nchroot = {root}\n",
            ids: &["P17"],
            ..PLAIN
        },
        Case {
            ini: "opcache.validate_root=1",
            pool: "[caged]\n{user}\nlisten = {root}/caged.sock\npm = static\npm.max_children = 1\nchroot = {root}\n",
            ..PLAIN
        },
        Case { ini: "opcache.enable_file_override=1", ids: &["P18"], ..PLAIN },
        Case { ini: "opcache.file_cache={root}", ids: &["P19"], ..PLAIN },
        Case {
            shop: |shop| shop.file("releases/r1/warm.php", "<?php\nopcache_compile_file($file);\n"),
            ids: &["P21"],
            ..PLAIN
        },
        Case {
            pool: "[other]\nuser = www-data\nlisten = {root}/other.sock\npm = static\npm.max_children = 1\n",
            ids: &["P22"],
            ..PLAIN
        },
        Case { ini: "opcache.max_wasted_percentage=50", ids: &["P23"], ..PLAIN },
        Case {
            ini: "opcache.jit=1205\nopcache.jit_buffer_size=64K",
            shop: |shop| large(shop, 10, 200),
            visit: in_release,
            ids: &["P24"],
            ..PLAIN
        },
        Case {
            shop: |shop| shop.file("releases/r1/index.php", "<?php apcu_store('user.1', 'x');"),
            visit: in_release,
            ids: &["P25"],
            ..PLAIN
        },
        Case {
            shop: |shop| {
                shop.file("releases/r1/index.php", "<?php apcu_store(basename(__DIR__) . '.user.1', 'x');")
            },
            visit: in_release,
            ..PLAIN
        },
        Case {
            pool: "php_admin_value[auto_prepend_file] = {shop}/current/before.php",
            shop: |shop| shop.file("releases/r1/before.php", "<?php"),
            // That it is looked for through the link is seen too.
            ids: &["P16", "P26"],
            ..PLAIN
        },
        Case {
            ini: "opcache.memory_consumption=8\nopcache.interned_strings_buffer=1\nopcache.max_wasted_percentage=1",
            shop: |shop| {
                large(shop, 60, 100);
                shop.file(
                    "releases/r1/index.php",
                    "<?php $all = glob(__DIR__ . '/lib/*.php'); foreach ($all as $f) { if (!isset($_SERVER['QUERY'])) { @opcache_compile_file($f); opcache_invalidate($f, true); opcache_is_script_cached($f); } }",
                );
                shop.age();
            },
            visit: |fpm, shop| {
                for _ in 0..6 {
                    in_release(fpm, shop);
                }
            },
            ids: &["P27"],
            ..PLAIN
        },
        Case {
            ini: "realpath_cache_size=2K",
            shop: |shop| (0..60).for_each(|n| shop.file(&format!("releases/r1/lib/{n}.php"), "<?php")),
            visit: |fpm, shop| {
                shop.file(
                    "releases/r1/all.php",
                    "<?php foreach (glob(__DIR__ . '/lib/*.php') as $f) { include $f; }",
                );
                fpm.get(&shop.root().join("releases/r1/all.php"));
            },
            ids: &["P28"],
            ..PLAIN
        },
        Case {
            shop: |shop| keep(shop, "[hooks]\nafter_flip = [\"systemctl reload php8.2-fpm\"]\n"),
            ids: &["F01"],
            ..PLAIN
        },
        Case {
            global: "process_control_timeout = 30s",
            shop: |shop| keep(shop, "[hooks]\nafter_flip = [\"systemctl reload php8.2-fpm\"]\n"),
            ..PLAIN
        },
        Case { pool: "pm.status_path =", ids: &["F03"], ..PLAIN },
        Case {
            pool: "php_admin_value[open_basedir] = {shop}/current:/tmp/cutover-doctor-",
            ids: &["F04"],
            ..PLAIN
        },
        Case { pool: "php_value[include_path] = .:{shop}/current/lib", ids: &["F05"], ..PLAIN },
        Case { pool: "security.limit_extensions =", ids: &["F07"], ..PLAIN },
        Case {
            shop: |shop| {
                let dirs = ["a-directory-with-a-rather-long-name"; 7].join("/");
                shop.file(&format!("releases/r1/{dirs}/class.php"), "<?php");
            },
            ids: &["F08"],
            ..PLAIN
        },
        Case {
            visit: |fpm, _| {
                let ini = fpm.dir().join("php.ini");
                let text = std::fs::read_to_string(&ini).unwrap();
                std::fs::write(&ini, text + "opcache.revalidate_freq=60\n").unwrap();
            },
            ids: &["F11"],
            ..PLAIN
        },
        Case { pool: "pm = ondemand\npm.max_children = 90000", ids: &["F12"], ..PLAIN },
        Case {
            pool: "request_terminate_timeout = 2h",
            ini: "opcache.force_restart_timeout=9000",
            shop: |shop| keep(shop, ""),
            ids: &["D06"],
            ..PLAIN
        },
        Case {
            shop: |shop| {
                shop.file(
                    "releases/r1/config.php",
                    &format!("<?php return '{}/current/x';\n", shop.root().display()),
                )
            },
            ids: &["D07"],
            ..PLAIN
        },
        Case { shop: |shop| shop.file("deploy.sh", "ln -sf releases/r2 current\n"), ids: &["D02"], ..PLAIN },
        Case { shop: |shop| shop.link("releases/r1/vendor", "../../shared/vendor"), ids: &["D11"], ..PLAIN },
        Case {
            shop: |shop| keep(shop, "[hooks]\nbefore_flip = [\"php artisan migrate:fresh\"]\n"),
            ids: &["D12"],
            ..PLAIN
        },
        Case {
            ini: "incpath.search_replace_pattern={shop}/current",
            shop: |shop| shop.file("current2/x", ""),
            ids: &["F09"],
            ..PLAIN
        },
        Case {
            ini: "incpath.search_replace_pattern={shop}/current/",
            pool: "php_admin_value[include_path] = .",
            ids: &["F06"],
            ..PLAIN
        },
        Case {
            shop: |shop| {
                std::fs::remove_file(shop.root().join("current")).unwrap();
                shop.file("current/index.php", "<?php");
            },
            ids: &["D01"],
            ..PLAIN
        },
        Case {
            shop: |shop| keep(shop, "[[site.cache]]\npath = \"/*.html\"\ncontrol = \"s-maxage=86400\"\n"),
            ids: &["D08"],
            ..PLAIN
        },
        Case {
            pool: "user = www-data\ngroup = www-data",
            shop: |shop| {
                let release = shop.root().join("releases/r1");
                std::fs::set_permissions(release, std::fs::Permissions::from_mode(0o700)).unwrap();
            },
            ids: &["D14"],
            ..PLAIN
        },
    ]
}

#[test]
fn each_bad_pattern_is_found_in_a_running_php_fpm() {
    let mut wrong = Vec::new();
    for case in cases() {
        let shop = Shop::new();
        (case.shop)(&shop);
        let root = shop.root().display().to_string();
        let at = |text: &str| text.replace("{shop}", &root);
        let fpm = Fpm::start(&at(case.ini), case.global, &at(&format!("{POOL}{}", case.pool)));
        (case.visit)(&fpm, &shop);
        let facts = fpm.facts(&[shop.root()]);
        if found(&facts) != case.ids {
            wrong.push(format!(
                "{:?} {:?}: {:?}, not {:?}: {:#?}",
                case.ini,
                case.pool,
                found(&facts),
                case.ids,
                told(&facts)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}",
        wrong.join(
            "
"
        )
    );
}

#[test]
fn what_nginx_hands_to_a_running_pool_is_found() {
    let shop = Shop::new();
    let root = shop.root().display().to_string();
    let fpm = Fpm::start("opcache.validate_timestamps=0", "", POOL);
    let conf = |root: &str, more: &str, upstream: &str| {
        let socket = fpm.dir().join("fpm.sock").display().to_string();
        let text = format!(
            "events {{}}\nhttp {{\n  upstream php {{\n    server unix:{socket};\n    {upstream}\n  }}\n  server {{\n    listen 127.0.0.1:1;\n    root {root};\n    \
             location ~ \\.php$ {{\n      fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;\n      {more}\n      fastcgi_pass php;\n    }}\n  }}\n}}\n"
        );
        let file = fpm.dir().join("nginx.conf");
        std::fs::write(&file, text).unwrap();
        file
    };
    let look = |conf: PathBuf| found(&fpm.facts_with(&[shop.root()], &[conf]));
    assert_eq!(look(conf(&format!("{root}/releases/r1"), "", "")), [""; 0]);
    assert_eq!(look(conf(&format!("{root}/current"), "", "")), ["P03"]);
    let given = "fastcgi_param PHP_VALUE \"include_path=.\";";
    assert_eq!(look(conf(&format!("{root}/releases/r1"), given, "")), ["F02"]);
    assert_eq!(look(conf(&format!("{root}/releases/r1"), "fastcgi_keep_conn on;", "keepalive 4;")), ["F10"]);
}

#[test]
fn each_check_is_in_the_table_of_where_it_is_tried() {
    let table = include_str!("../../../../docs/doctor/php.md");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let rows = rows.filter(|(ids, _)| ids.starts_with(['P', 'F', 'D']));
    let listed =
        rows.flat_map(|(ids, tried)| ids.split(", ").map(move |id| (id, tried.starts_with("php-fpm"))));
    let listed: BTreeMap<&str, bool> = listed.collect();
    let mut tried: BTreeMap<&str, bool> = checks::all()
        .map(|check| (check.id, false))
        .filter(|(id, _)| id.starts_with(['P', 'F', 'D']))
        .collect();
    // Those of the test with nginx too.
    tried.extend(cases().iter().flat_map(|case| case.ids).chain(&["F02", "F10"]).map(|id| (*id, true)));
    assert_eq!(listed, tried, "left: docs/doctor/php.md, right: the tests");
}

#[test]
fn debians_own_configuration_has_nothing_wrong() {
    let fpm = PathBuf::from("/etc/php/8.2/fpm/php-fpm.conf");
    let facts =
        Facts::look(&doctor::machine::Here, &doctor::Targets { fpm: vec![fpm], ..Default::default() });
    assert_eq!(facts.pools().count(), 1);
    assert_eq!((found(&facts), facts.blind.as_slice()), (vec![], &[][..]));
}

/// The checks of PHP, of its pools and of deploys that have found something.
fn found(facts: &Facts) -> Vec<&'static str> {
    let report = Report::of(facts);
    let mut ids: Vec<&str> =
        report.findings().map(|(check, _)| check.id).filter(|id| id.starts_with(['P', 'F', 'D'])).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn told(facts: &Facts) -> Vec<String> {
    Report::of(facts).findings().map(|(check, finding)| format!("{}: {}", check.id, finding.what)).collect()
}
