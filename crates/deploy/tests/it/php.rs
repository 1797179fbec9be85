//! A PHP application is compiled, asked and checked through a real PHP-FPM before anybody sees it.

use std::time::Duration;

use deploy::journal::Ending;
use deploy::keep::{self, Rule};
use deploy::used::Workers;
use fastcgi::{Address, Params, blocking};
use release::lock::DeployLock;

use crate::fpm::Fpm;
use crate::shop::{Shop, Told};

const HEALTH: &str = "[health]\npath = '/up?x=1'\nattempts = 1\n";
const FRONT: &str = "<?php require __DIR__ . '/../src/shop.php'; http_response_code(status()); echo $_SERVER['CUTOVER_RELEASE'], ' ', __DIR__;";

fn shop(fpm: &Fpm, more: &str) -> Shop {
    let shop = Shop::new(&format!("{}{more}", fpm.keys()));
    shop.source("public/index.php", FRONT);
    shop.source("src/shop.php", "<?php function status(): int { return $_GET['x'] === '1' ? 200 : 500; }");
    shop
}

fn warmed(told: &Told) -> (u64, u64, Vec<String>) {
    let done = told.events.iter().find_map(|event| {
        let deploy::event::Event::Done { step: deploy::receipt::Step::Warm, told, .. } = event else {
            return None;
        };
        Some(told.clone())
    });
    let text = done.expect("it was warmed");
    let numbers: Vec<u64> = text.split(' ').filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1], told.outcome.problems.clone())
}

#[test]
fn a_release_is_compiled_and_asked_by_its_own_paths_before_the_flip() {
    let fpm = Fpm::start();
    let shop = shop(&fpm, &format!("[warm]\nrequests = ['/first?x=1', '/index.php/second?x=1']\n{HEALTH}"));
    let told = shop.deploy();
    assert_eq!(told.outcome.ending, Ending::Live, "{:?}", told.outcome);
    let (compiled, requests, problems) = warmed(&told);
    assert_eq!((compiled, requests), (2, 3), "{problems:?}");
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn the_pages_that_visitors_want_most_are_asked_before_the_flip() {
    let fpm = Fpm::start();
    let shop = shop(&fpm, "[warm]\nlog = 'access.log'\nlog_requests = 2\n");
    let line = |target: &str| format!("192.0.2.1 - - [x] \"GET {target} HTTP/1.1\" 200 9 \"-\" \"curl\"\n");
    let asked = "<?php file_put_contents(__DIR__ . '/../../../asked', $_SERVER['REQUEST_URI'] . \"\\n\", FILE_APPEND);";
    shop.source("public/index.php", asked);
    let often = ["/list?page=2", "/list?page=2", "/list?page=2", "/", "/", "/about", "/about", "/index.html"];
    let log: String = often
        .iter()
        .chain(&["/index.html", "/index.html", "/index.html"])
        .map(|target| line(target))
        .collect();
    std::fs::write(shop.path("app/access.log"), log).unwrap();
    let told = shop.deploy();
    assert_eq!((warmed(&told).1, told.warnings().as_str()), (2, ""));
    // What needs no PHP is not asked.
    assert_eq!(std::fs::read_to_string(shop.path("app/asked")).unwrap(), "/list?page=2\n/\n");
    // A page that fails, or a log that cannot be read, is no reason not to deploy.
    shop.source("public/index.php", "<?php throw new Exception('no database');");
    let told = shop.deploy();
    assert!(
        told.warnings().contains("2 of the pages that visitors want most: /list?page=2"),
        "{told:?}",
        told = told.outcome
    );
    std::fs::remove_file(shop.path("app/access.log")).unwrap();
    let told = shop.deploy();
    assert!(told.warnings().contains("no pages were asked for by"), "{}", told.warnings());
}

#[test]
fn a_file_that_does_not_parse_fails_the_deploy_with_its_place_and_the_old_release_stays_live() {
    let fpm = Fpm::start();
    let shop = shop(&fpm, "");
    let first = shop.deployed("one");
    shop.source("src/broken.php", "<?php\n\nfunction (] {");
    shop.page("two");
    let told = shop.deploy();
    assert_eq!(told.outcome.ending, Ending::Undone);
    let (step, why) = told.failure();
    assert_eq!(step, "warm");
    assert!(why.contains("src/broken.php:3: "), "{why}");
    assert_eq!(shop.live(), first);
    // Where the file is not meant to be run, it can be left out.
    shop.configure(&format!("{}[warm]\nexclude = ['/src/broken.php']\n", fpm.keys()));
    shop.deployed("two");
}

#[test]
fn two_files_that_declare_the_same_function_are_compiled_all_the_same() {
    let fpm = Fpm::start();
    let shop = shop(&fpm, "");
    shop.source("src/other.php", "<?php function status(): int { return 404; }");
    let told = shop.deploy();
    assert_eq!(told.outcome.ending, Ending::Live, "{:?}", told.outcome);
    let (compiled, _, problems) = warmed(&told);
    assert_eq!((compiled, problems), (3, Vec::new()));
}

#[test]
fn whatever_runs_in_a_deploy_is_told_its_release() {
    let fpm = Fpm::start();
    let keys = "[warm]\nrequests = ['/warm']\n[health]\npath = '/health'\nattempts = 1\n\
                [hooks]\nafter_stage = ['php -r \"echo getenv(\\\"CUTOVER_RELEASE\\\");\"']\nbefore_flip = ['echo $CUTOVER_RELEASE']\n\
                after_flip = ['echo $CUTOVER_RELEASE']\n";
    let shop = shop(&fpm, keys);
    let told = "<?php file_put_contents(__DIR__ . '/../../../told', $_SERVER['REQUEST_URI'] . ' ' . $_SERVER['CUTOVER_RELEASE'] . ' ' . getenv('CUTOVER_RELEASE') . \"\\n\", FILE_APPEND);";
    shop.source("public/index.php", told);
    let told = shop.deploy();
    assert_eq!(told.outcome.ending, Ending::Live, "{:?}", told.outcome);
    let id = told.outcome.release.clone().unwrap();
    assert_eq!(told.output(), [id.as_str(), id.as_str(), id.as_str()]);
    let asked = std::fs::read_to_string(shop.path("app/told")).unwrap();
    let lines: Vec<&str> = asked.lines().collect();
    // Once before the flip and once, through the pool, as nobody listens, after it.
    let (warm, health) = (format!("/warm {id} {id}"), format!("/health {id} {id}"));
    assert_eq!(lines, [warm.as_str(), &health, &health]);
}

#[test]
fn an_ill_release_is_found_before_the_flip() {
    let fpm = Fpm::start();
    let shop = shop(&fpm, HEALTH);
    let first = shop.deployed("one");
    shop.source("src/shop.php", "<?php function status(): int { throw new Exception('no database'); }");
    let told = shop.deploy();
    let (step, why) = told.failure();
    assert_eq!(step, "warm");
    assert!(why.contains("answered 500, not 200") && why.contains("no database"), "{why}");
    assert_eq!(shop.live(), first);
}

#[test]
fn a_pool_that_does_not_answer_fails_the_deploy_before_the_flip() {
    let fpm = Fpm::start();
    let shop = shop(&fpm, HEALTH);
    let first = shop.deployed("one");
    drop(fpm);
    shop.page("two");
    let told = shop.deploy();
    assert_eq!((told.failure().0.as_str(), told.outcome.ending), ("warm", Ending::Undone));
    assert_eq!(shop.live(), first);
}

#[test]
fn a_release_that_a_worker_still_runs_is_not_pruned() {
    let fpm = Fpm::start();
    let shop = shop(&fpm, "");
    shop.source("public/slow.php", &format!("<?php {}", fpm.until_open()));
    let first = shop.deployed("one");
    let app = shop.app();
    let slow = app.release(&first).canonicalize().unwrap().join("public/slow.php");
    let at = Address::Unix(fpm.socket());
    let running = {
        let at = at.clone();
        std::thread::spawn(move || {
            let mut params = Params::new();
            params
                .push(b"SCRIPT_FILENAME", slow.as_os_str().as_encoded_bytes())
                .push(b"REQUEST_METHOD", b"GET");
            let limits = blocking::Limits { total: Duration::from_secs(300), ..blocking::Limits::default() };
            blocking::send(&at, &params, b"", limits).map(drop)
        })
    };
    fpm.until_begun();
    shop.deployed("two");
    shop.deployed("three");
    let workers = [Workers { at, path: "/fpm-status".into(), map: Vec::new() }];
    let rule = Rule { keep: 0, keep_for: Duration::ZERO, slots: false };
    let lock = DeployLock::take(&app, Duration::ZERO).unwrap();
    let pruned = keep::prune(&lock, rule, &workers).unwrap();
    assert_eq!(pruned.gone, [], "{pruned:?}");
    assert_eq!(pruned.used[0].0, first, "{pruned:?}");
    // A pool of another user shows nothing in /proc: its status alone says so.
    let releases = app.releases().canonicalize().unwrap();
    let said = deploy::used::by_worker(&releases, &workers[0]).unwrap();
    assert!(said[&first].starts_with("worker "), "{said:?}");
    fpm.open();
    running.join().unwrap().unwrap();
    let pruned = keep::prune(&lock, rule, &workers).unwrap();
    assert_eq!(pruned.gone, [first]);
}

#[test]
fn a_release_that_a_process_works_in_is_not_pruned() {
    let shop = Shop::new("");
    let first = shop.deployed("one");
    let mut cron = std::process::Command::new("sleep")
        .arg("600")
        .current_dir(shop.app().release(&first))
        .spawn()
        .unwrap();
    shop.deployed("two");
    shop.deployed("three");
    let rule = Rule { keep: 0, keep_for: Duration::ZERO, slots: false };
    let lock = DeployLock::take(&shop.app(), Duration::ZERO).unwrap();
    let pruned = keep::prune(&lock, rule, &[]).unwrap();
    assert!(pruned.gone.is_empty() && pruned.used[0].1.contains("(sleep)"), "{pruned:?}");
    cron.kill().unwrap();
    cron.wait().unwrap();
    assert_eq!(keep::prune(&lock, rule, &[]).unwrap().gone, [first]);
}
