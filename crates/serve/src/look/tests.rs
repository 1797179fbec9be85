//! The look on real links, with flips by other tools and other processes.
#![allow(
    clippy::disallowed_methods,
    reason = "tests play the other tools, which rename and link as they like"
)]

use super::*;
use release::{App, Lease, Pinner};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;
use tempfile::TempDir;

const ROOT: &str = "CUTOVER_TEST_FLIPPER";
const SECONDS: u64 = 3;
const RELEASES: u64 = 64;

struct Shop {
    app: App,
    root: PathBuf,
    _temp: TempDir,
}

impl Shop {
    fn new() -> Shop {
        let temp = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(temp.path()).unwrap().join("srv/shop");
        for n in 0..4 {
            fs::create_dir_all(root.join(format!("releases/r{n}"))).unwrap();
        }
        let app = App::new(&root, Path::new("current"), &[]).unwrap();
        Shop { app, root, _temp: temp }
    }

    fn link(&self, text: &str) {
        relink(self.app.link(), text);
    }

    fn watched(&self, look: &Look) -> Watched<()> {
        look.watch(Pinner::new(self.app.clone(), |_: &Lease| ()))
    }
}

fn relink(link: &Path, text: &str) {
    let temp = link.with_extension("new");
    symlink(text, &temp).unwrap();
    fs::rename(&temp, link).unwrap();
}

fn live(watched: &Watched<()>) -> String {
    watched.pin().unwrap().id().to_string()
}

/// Both ways of looking must tell the same story.
fn both(story: impl Fn(&Look)) {
    story(&Look::new());
    story(&Look::reading());
}

#[test]
fn every_flip_by_another_tool_is_seen_at_once() {
    both(|look| {
        let shop = Shop::new();
        shop.link("releases/r0");
        let watched = shop.watched(look);
        assert_eq!(live(&watched), "r0");
        for n in 1..2000 {
            shop.link(&format!("releases/r{}", n % 4));
            assert_eq!(live(&watched), format!("r{}", n % 4), "flip {n}");
        }
        assert_eq!(watched.flips_seen(), 1999);
    });
}

#[test]
fn a_quiet_app_is_watched_and_a_look_without_a_queue_reads() {
    let shop = Shop::new();
    shop.link("releases/r0");
    assert_eq!(shop.watched(&Look::new()).mode(), Mode::Watching);
    assert!(matches!(shop.watched(&Look::reading()).mode(), Mode::Reading(Distrust::NoQueue(_))));
}

#[test]
fn a_broken_link_serves_the_last_good_release_and_mends_at_once() {
    both(|look| {
        let shop = Shop::new();
        let told = Arc::new(Mutex::new(Vec::new()));
        let ear = Arc::clone(&told);
        let pinner = Pinner::new(shop.app.clone(), |_: &Lease| ());
        let watched = look.watch_telling(pinner, move |news| ear.lock().unwrap().push(news.clone()));
        assert!(matches!(watched.pin(), Err(LiveError::Missing { .. })));
        shop.link("releases/r0");
        assert_eq!(live(&watched), "r0");
        for broken in ["releases/none", "/etc", "current", "nowhere/at/all"] {
            shop.link(broken);
            assert_eq!(live(&watched), "r0", "{broken}");
            assert!(watched.wrong().is_some(), "{broken}");
            shop.link("releases/r0");
            assert_eq!(live(&watched), "r0");
            assert_eq!(watched.wrong(), None, "{broken}");
        }
        fs::remove_file(shop.app.link()).unwrap();
        fs::create_dir(shop.app.link()).unwrap();
        assert_eq!(live(&watched), "r0");
        assert!(matches!(watched.wrong(), Some(LiveError::NotALink { .. })));
        fs::remove_dir(shop.app.link()).unwrap();
        shop.link("releases/r1");
        assert_eq!(live(&watched), "r1");
        assert_eq!(watched.flips_seen(), 1);
        let told = told.lock().unwrap();
        assert_eq!(told.iter().filter(|news| matches!(news, News::Broken(_))).count(), 6, "{told:?}");
        assert_eq!(told.iter().filter(|news| matches!(news, News::Mended(_))).count(), 4, "{told:?}");
    });
}

#[test]
fn a_dangling_link_is_seen_when_its_release_appears() {
    both(|look| {
        let shop = Shop::new();
        shop.link("releases/r9");
        let watched = shop.watched(look);
        assert!(watched.pin().is_err());
        fs::create_dir(shop.root.join("releases/r9")).unwrap();
        assert_eq!(live(&watched), "r9");
    });
}

#[test]
fn a_release_that_is_remade_under_its_name_is_another_release() {
    both(|look| {
        let shop = Shop::new();
        shop.link("releases/r0");
        let watched = shop.watched(look);
        let old = watched.pin().unwrap();
        for round in 0..50 {
            let before = watched.pin().unwrap();
            fs::remove_dir(shop.root.join("releases/r0")).unwrap();
            fs::create_dir(shop.root.join("releases/r0")).unwrap();
            assert!(!Arc::ptr_eq(&before, &watched.pin().unwrap()), "round {round}");
        }
        drop(old);
    });
}

#[test]
fn a_change_anywhere_on_the_way_is_seen() {
    both(|look| {
        let shop = Shop::new();
        let other = shop.root.join("other");
        fs::create_dir_all(other.join("releases")).unwrap();
        symlink("../releases/r0", other.join("stable")).unwrap();
        shop.link("other/stable");
        let watched = shop.watched(look);
        assert_eq!(live(&watched), "r0");
        // The second link of the chain.
        for n in [1, 2, 1, 3] {
            relink(&other.join("stable"), &format!("../releases/r{n}"));
            assert_eq!(live(&watched), format!("r{n}"));
        }
        // The directory the second link stands in.
        let new = shop.root.join("new");
        fs::create_dir(&new).unwrap();
        symlink("../releases/r2", new.join("stable")).unwrap();
        fs::rename(&other, shop.root.join("old")).unwrap();
        fs::rename(&new, &other).unwrap();
        assert_eq!(live(&watched), "r2");
        relink(&other.join("stable"), "../releases/r0");
        assert_eq!(live(&watched), "r0", "the new directory is watched too");
        // The whole app, by its directory's name, and a directory further up.
        for (away, at) in [("srv/shop", 1), ("srv", 2)] {
            let base = shop.root.ancestors().nth(2).unwrap();
            let made = base.join("made").join(if at == 1 { "" } else { "shop" });
            fs::create_dir_all(made.join(format!("releases/r{at}"))).unwrap();
            symlink(format!("releases/r{at}"), made.join("current")).unwrap();
            let before = watched.pin().unwrap();
            fs::rename(base.join(away), base.join(format!("gone-{at}"))).unwrap();
            fs::rename(base.join("made"), base.join(away)).unwrap();
            assert_eq!(live(&watched), format!("r{at}"), "{away}");
            assert!(!Arc::ptr_eq(&before, &watched.pin().unwrap()));
        }
    });
}

#[test]
fn one_queue_serves_many_apps() {
    both(|look| {
        let shops: Vec<_> = (0..5).map(|_| Shop::new()).collect();
        shops.iter().for_each(|shop| shop.link("releases/r0"));
        let watched: Vec<_> = shops.iter().map(|shop| shop.watched(look)).collect();
        for round in 0..50 {
            for (at, shop) in shops.iter().enumerate() {
                shop.link(&format!("releases/r{}", (round + at) % 4));
            }
            for (at, watched) in watched.iter().enumerate() {
                assert_eq!(live(watched), format!("r{}", (round + at) % 4));
            }
        }
    });
}

#[test]
fn an_overflown_queue_loses_no_flip() {
    let shop = Shop::new();
    shop.link("releases/r0");
    let look = Look::new();
    let watched = shop.watched(&look);
    let most: u64 =
        fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    for n in 0..most {
        // Alternating names, for equal events in a row are queued once.
        File::create(shop.root.join(["a", "b"][n as usize % 2])).unwrap();
        fs::remove_file(shop.root.join(["a", "b"][n as usize % 2])).unwrap();
    }
    shop.link("releases/r1");
    assert_eq!(live(&watched), "r1");
    shop.link("releases/r2");
    assert_eq!(live(&watched), "r2");
}

#[test]
fn an_app_that_is_no_longer_watched_is_forgotten() {
    let shop = Shop::new();
    shop.link("releases/r0");
    let look = Look::new();
    let (one, two) = (shop.watched(&look), shop.watched(&look));
    drop(one);
    shop.link("releases/r1");
    assert_eq!(live(&two), "r1");
    look.0.peek.locked(|_, work| assert_eq!(work.slots.len(), 1));
}

#[test]
fn what_panics_while_it_is_made_is_made_again() {
    let shop = Shop::new();
    shop.link("releases/r0");
    let look = Look::new();
    let watched = look.watch(Pinner::new(shop.app.clone(), |lease: &Lease| {
        assert!(lease.path().join("ready").exists() || lease.path().ends_with("r0"), "not ready");
    }));
    assert_eq!(live(&watched), "r0");
    shop.link("releases/r1");
    for _ in 0..2 {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(watched.pin()))).unwrap_err();
    }
    fs::write(shop.root.join("releases/r1/ready"), "").unwrap();
    assert_eq!(live(&watched), "r1");
}

#[tokio::test]
async fn an_idle_process_lets_go_of_the_old_release() {
    let shop = Shop::new();
    shop.link("releases/r0");
    let look = Look::new();
    let watched = shop.watched(&look);
    assert_eq!(live(&watched), "r0");
    let tending = look.clone();
    let task = tokio::spawn(async move { tending.tend().await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    shop.link("releases/r1");
    let end = Instant::now() + Duration::from_secs(5);
    while release::list::used(&shop.root.join("releases/r0")) != release::list::Used::Free {
        assert!(Instant::now() < end, "the old release is still leased");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(watched.flips_seen(), 1);
    task.abort();
}

/// Not a test: where the other process of the next test begins. Flips as fast as it can, and writes down each flip
/// after its rename returned.
#[test]
fn a_flipper_flips() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let root = PathBuf::from(root);
    let counter = File::options().write(true).open(root.join("flips")).unwrap();
    let end = Instant::now() + Duration::from_secs(SECONDS);
    let mut flip = 0_u64;
    while Instant::now() < end {
        flip += 1;
        relink(&root.join("current"), &format!("releases/r{}", flip % RELEASES));
        counter.write_all_at(&flip.to_le_bytes(), 0).unwrap();
        if flip.is_multiple_of(16) {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

#[test]
fn no_look_is_stale_while_another_process_flips() {
    let shop = Shop::new();
    for n in 0..RELEASES {
        fs::create_dir_all(shop.root.join(format!("releases/r{n}"))).unwrap();
    }
    shop.link("releases/r0");
    fs::write(shop.root.join("flips"), 0_u64.to_le_bytes()).unwrap();
    let number = |lease: &Lease| lease.live().id.as_str()[1..].parse::<u64>().unwrap();
    let watched = Look::new().watch(Pinner::new(shop.app.clone(), number));
    let mut flipper = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "look::tests::a_flipper_flips"])
        .env(ROOT, &shop.root)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let counter = File::open(shop.root.join("flips")).unwrap();
    let flips = || {
        let mut bytes = [0; 8];
        counter.read_exact_at(&mut bytes, 0).unwrap();
        u64::from_le_bytes(bytes)
    };
    let end = Instant::now() + Duration::from_secs(SECONDS);
    let looks: u64 = std::thread::scope(|scope| {
        let reader = || {
            let mut looks = 0_u64;
            while Instant::now() < end {
                for _ in 0..100 {
                    let began = flips();
                    let got = watched.pin().unwrap().with;
                    // One more than was written down may have taken effect.
                    let ended = flips() + 1;
                    assert!(
                        ended - began >= RELEASES || (began..=ended).any(|flip| flip % RELEASES == got),
                        "stale: r{got} in a look that began after flip {began} and ended before {ended} returned"
                    );
                    looks += 1;
                }
            }
            looks
        };
        let readers: Vec<_> = (0..3).map(|_| scope.spawn(reader)).collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    assert!(flipper.wait().unwrap().success());
    println!("{looks} looks, {} flips, {} seen, 0 stale", flips(), watched.flips_seen());
    assert!(looks > 1000 && flips() > 100, "{looks} looks, {} flips", flips());
}
