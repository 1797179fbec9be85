//! No request path whatsoever reads a byte from outside the release and its shared directory.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, Method};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rustix::fs::{CWD, RenameFlags, renameat_with, symlinkat};
use serve::file::Ask;
use serve::resource::Resource;
use serve::tree::Tree;

use crate::shop::{Answer, Shop, answer, get, resolve};

const CANARY: &str = "SECRET-CANARY";
const CASES: u32 = 10_000;

/// A shop with every kind of link planted in it, and canaries all around.
fn minefield() -> Shop {
    let mut shop = Shop::new();
    let canary = format!("<?php {CANARY}");
    for path in [
        "../canary",
        "../canary.php",
        "../outside/canary",
        "canary",
        "releases/r0/a/canary",
        "shared.php",
        "releases/canary",
    ] {
        shop.write_at(path, &canary);
    }
    // What lies inside but may not be sent.
    for path in ["a/.env", ".git/config", "cutover.toml", "a/x.php", "a/x.PHP", "a/x.php.bak", ".env"] {
        shop.write(path, &canary);
    }
    shop.write("a/b/c", "inside")
        .write("a/b/index.html", "inside")
        .write("a.txt", "inside")
        .write_at("shared/a/b", "shared");
    shop.write_at("shared/x.php", &canary);
    let root = shop.app.root().to_owned();
    let targets = [
        "/etc",
        "/",
        "..",
        "../..",
        "../../..",
        "../../../..",
        "../../../canary",
        "../r0",
        "../../canary",
        "/proc/self/root",
        "/proc/self/cwd",
        "/proc/self/fd",
        "loop",
        "self",
        "a",
        "./a/../a",
        "../../shared",
        "../../shared/..",
        "../../shared/../..",
        "../../shared/../canary",
        "a/b/../../../..",
        "x/y",
        "/dev",
        "../../current",
        "../../shared/a/../../../canary",
        "a/.env",
        "a/x.php",
        ".git",
        "../r1/../r1",
        "//",
        "/./",
        "../../shared.php",
    ];
    for (at, target) in targets.iter().enumerate() {
        shop.link(&format!("l{at}"), target);
        shop.link(&format!("a/l{at}"), target);
        symlinkat(*target, CWD, shop.path(&format!("shared/l{at}"))).unwrap();
    }
    for (name, target) in [
        ("abs-app", ""),
        ("abs-shared", "shared"),
        ("abs-current", "current"),
        ("abs-r0", "releases/r0"),
        ("abs-r1", "releases/r1"),
    ] {
        shop.link(name, root.join(target));
        symlinkat(root.join(target), CWD, shop.path(&format!("shared/{name}"))).unwrap();
    }
    shop.link("loop", "loop").link("self", ".");
    shop.says.listing = true;
    shop
}

fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (0u8..32).prop_map(|at| format!("l{at}")),
        6 => prop::sample::select(vec!["a", "b", "c", "a.txt", "canary", "canary.php", "shared", "releases", "r0", "r1", "shop", "current",
            "abs-app", "abs-shared", "abs-current", "abs-r0", "abs-r1", "self", "loop", "etc", "passwd", "outside", "x.php", "x.PHP",
            ".cutover", "cutover.toml", "index.html", ".env", ".git", "config", "proc", "root"]).prop_map(str::to_owned),
        2 => prop::sample::select(vec!["..", ".", "%2e%2e", ".%2e", "%2E%2E", "%252e%252e", "..%2f", "%2f", "%5c..", "..\\", "%00", "a%00",
            "", "...", "%", "%zz", "%c0%ae%c0%ae", "%ef%bc%8f", "..;", "~", "a%20", "x.php%20", "x.php.", "%0a", "%0d%0aX: y", "é"]).prop_map(str::to_owned),
        1 => "[a-z.%0-9/\\\\]{0,6}",
        1 => "\\PC{0,4}",
    ]
}

fn paths() -> impl Strategy<Value = String> {
    (prop::collection::vec(segment(), 0..7), any::<bool>())
        .prop_map(|(segments, slash)| format!("/{}{}", segments.join("/"), if slash { "/" } else { "" }))
}

fn keeps_within(shop: &Shop, tree: &Tree, resource: Resource) -> Result<(), TestCaseError> {
    if let Resource::Script(script) = &resource {
        let open = std::fs::File::open(&script.file).unwrap();
        let real = std::fs::read_link(format!("/proc/self/fd/{}", open.as_raw_fd())).unwrap();
        prop_assert_eq!(&real, &script.file, "the script's path is canonical");
        prop_assert!(real.starts_with(shop.release("")) && real.extension().is_some_and(|e| e == "php"));
        return Ok(());
    }
    let (method, headers) = (Method::GET, HeaderMap::new());
    let Answer { body, .. } =
        answer(tree, Ask { method: &method, headers: &headers, by_kernel: false }, resource);
    prop_assert!(!String::from_utf8_lossy(&body).contains(CANARY));
    prop_assert!(!String::from_utf8_lossy(&body).contains("root:"));
    Ok(())
}

fn no_path_escapes(sealed: bool) {
    let shop = minefield();
    if sealed {
        shop.seal();
    }
    let tree = shop.tree();
    assert_eq!(tree.is_sealed(), sealed);
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    runner.run(&paths(), |path| keeps_within(&shop, &tree, resolve(&tree, &path))).unwrap();
    let absolute = paths().prop_map(|path| format!("{}{path}", shop.app.root().display()));
    let any = prop_oneof![absolute, paths()];
    runner
        .run(&any, |path| {
            let resource = Resource::sendfile(&tree, path.as_bytes());
            prop_assert!(!matches!(resource, Resource::Script(_)));
            keeps_within(&shop, &tree, resource)
        })
        .unwrap();
}

#[test]
fn no_path_escapes_an_unsealed_release() {
    no_path_escapes(false);
}

#[test]
fn no_path_escapes_a_sealed_release() {
    no_path_escapes(true);
}

#[test]
fn the_minefield_has_ways_that_work() {
    let shop = minefield();
    for sealed in [false, true] {
        if sealed {
            shop.seal();
        }
        for (path, wanted) in [
            ("/a/b/c", "inside"),
            ("/l14/b/c", "inside"),
            ("/abs-shared/a/b", "shared"),
            ("/self/l16/a/b", "shared"),
        ] {
            assert_eq!(shop.get(path).text(), wanted, "{path}");
        }
    }
}

/// Somebody who may write into the release swaps a directory with a link to the outside, as fast as possible.
#[test]
fn nobody_wins_a_race_against_the_look() {
    let stop = Arc::new(AtomicBool::new(false));
    let shop = Shop::new();
    shop.write("public/d/deep/file", "inside")
        .write_at("../outside/deep/file", CANARY)
        .write_at("shared/s/file", "shared");
    shop.link("public/evil", shop.path("../outside")).link("public/up", "../../../shared");
    symlinkat(shop.path("../outside/deep"), CWD, shop.path("shared/evil")).unwrap();
    let swap = |a: std::path::PathBuf, b: std::path::PathBuf| {
        let stop = stop.clone();
        std::thread::spawn(move || {
            let mut swaps = 0u64;
            while !stop.load(Ordering::Relaxed) {
                renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).unwrap();
                swaps += 1;
            }
            swaps
        })
    };
    let swappers = [
        swap(shop.release("public/d"), shop.release("public/evil")),
        swap(shop.path("shared/s"), shop.path("shared/evil")),
    ];
    let tree = shop.tree();
    let mut seen = [0u32; 2];
    for _ in 0..20_000 {
        for (at, path) in ["/public/d/deep/file", "/public/up/s/file"].into_iter().enumerate() {
            let answer = get(&tree, path, &[]);
            assert_ne!(answer.body, CANARY.as_bytes());
            seen[at] += u32::from(answer.status == 200);
        }
    }
    stop.store(true, Ordering::Relaxed);
    let swaps: u64 = swappers.map(|thread| thread.join().unwrap()).iter().sum();
    println!("{swaps} swaps, {seen:?} of 20000 each were answered from inside");
    assert!(swaps > 1000 && seen.iter().all(|seen| *seen > 100));
}
