//! The promise: under a continuous flip no request fails, mixes two releases, or is stale.
//!
//! Static files, the front controller, PHP that sleeps between its includes, files that exist in every other release
//! only, uploads in flight; kept connections and new ones; flips by another tool and by `cutover flip`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use prove::probe::pages::{Kind, pages};
use prove::scenario::{Load, Pace, Scenario};
use prove::{Flipper, Target, judge, probe, report, run_blocking};

use super::server::{App, CUTOVER, Server};

/// 100,000 requests and 5,000 flips. `CUTOVER_PROMISE=full`: 200,000 and 10,000, as the promise is worded; it takes minutes.
fn requests_and_flips() -> (u64, u64) {
    match std::env::var("CUTOVER_PROMISE").as_deref() {
        Ok("full") => (200_000, 10_000),
        Ok(_) | Err(_) => (100_000, 5_000),
    }
}

fn ids() -> Vec<String> {
    ["r1", "r2"].map(str::to_owned).into()
}

fn probed(sealed: bool) -> Server {
    probed_with(sealed, "")
}

/// With more keys of `[php]`.
fn probed_with(sealed: bool, php: &str) -> Server {
    probed_after(php, |app| {
        if sealed {
            app.cutover(&["seal", "r1"]);
            app.cutover(&["seal", "r2"]);
        }
    })
}

/// The probe's releases, served after something was done to them.
fn probed_after(php: &str, before: impl FnOnce(&App)) -> Server {
    let app = App::new(&format!(
        "[serve]\nlisten = [\"127.0.0.1:0\"]\n[php]\nfpm = \"embedded\"\nfront = \"index.php\"\nworkers = 8\n\
         {php}[php.ini]\n\"opcache.file_update_protection\" = \"0\"\n"
    ));
    app.write_config(&app.config().replace("docroot = \"public\"", "docroot = \"\""));
    // php-fpm's workers are not root.
    fs::set_permissions(app.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let work = app.root().join("probe");
    probe::scaffold(&work, &ids()).unwrap();
    for name in ["releases", "current"] {
        fs::rename(work.join(name), app.root().join(name)).unwrap();
    }
    before(&app);
    app.serve()
}

fn holds(server: &Server, by: Flipper, requests: u64, flips: u64) {
    holds_as(Kind::Php, server, by, requests, flips);
}

fn holds_as(kind: Kind, server: &Server, by: Flipper, requests: u64, flips: u64) {
    let target = Target::parse(&format!("http://127.0.0.1:{}", server.port())).unwrap();
    let mut scenario = Scenario::new(target, ids(), pages(&ids(), kind), by);
    scenario.load =
        Load { connections: 16, closing: 5, requests, at_most: Duration::from_secs(600), ..Load::default() };
    scenario.flips.count = flips;
    scenario.flips.pace = Pace::Spread;
    let observed = run_blocking(scenario).unwrap();
    let verdicts = judge(&observed).unwrap();
    println!("{}", report::text(&observed, &verdicts));
    assert!(verdicts.holds(), "{:?}", verdicts.total);
    assert!(verdicts.total.ok >= requests, "{:?}", verdicts.total);
    assert!(verdicts.by_page.iter().all(|page| page.ok > 0), "each page was asked");
}

#[test]
fn sealed_releases_flipped_by_another_tool() {
    let server = probed(true);
    let (requests, flips) = requests_and_flips();
    holds(&server, Flipper::link(server.app.root().join("current")), requests, flips);
}

/// The same directory for every release that has its turn there: only the link in releases/ says which that is.
#[test]
fn releases_in_two_slots_flipped_by_another_tool() {
    let server = probed_after("", |app| {
        fs::create_dir(app.root().join("slots")).unwrap();
        for (release, slot) in [("r1", "a"), ("r2", "b")] {
            let (place, slot) = (app.root().join("releases").join(release), Path::new("../slots").join(slot));
            fs::rename(&place, app.root().join("releases").join(&slot)).unwrap();
            std::os::unix::fs::symlink(slot, &place).unwrap();
            app.cutover(&["seal", release]);
        }
    });
    holds(&server, Flipper::link(server.app.root().join("current")), 10_000, 1_000);
}

#[test]
fn unsealed_releases_flipped_by_another_tool() {
    let server = probed(false);
    holds(&server, Flipper::link(server.app.root().join("current")), 6_000, 600);
}

#[test]
fn sealed_releases_flipped_by_cutover_itself() {
    let server = probed(true);
    let root = server.app.root().to_owned();
    let flip = move |release: &str| {
        let out = std::process::Command::new(CUTOVER)
            .arg("-C")
            .arg(&root)
            .args(["flip", release])
            .output()
            .map_err(|why| why.to_string())?;
        match out.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
        }
    };
    holds(&server, Flipper::call(flip), 4_000, 100);
}

/// Twenty deploys, each with its build, its warming through the pool, its checks and its prune, while the site is asked.
#[test]
fn releases_that_a_deploy_makes_while_the_site_is_asked() {
    deployed_while_asked("", 20);
}

/// As many, into three slots: each deploy rewrites one that had the other release, as soon as nobody uses it.
#[test]
fn releases_that_take_turns_in_slots_while_the_site_is_asked() {
    deployed_while_asked("\nlayout = \"slots\"\nslots = 3\nslot_wait = \"2m\"", 10);
}

fn deployed_while_asked(layout: &str, deploys: u64) {
    let probe = tempfile::tempdir().unwrap();
    let source = probe.path().join("source");
    probe::scaffold(&probe.path().join("made"), &ids()).unwrap();
    let (made, next, now) = (probe.path().join("made/releases"), probe.path().join("next"), source.clone());
    let take = move |id: &str| {
        std::os::unix::fs::symlink(made.join(id), &next).unwrap();
        fs::rename(&next, &now).unwrap();
    };
    take("r1");
    // The header would name the deploy's own release; the answers say what they were made of.
    let app = App::new(&format!(
        "[source]\ndir = \"{}\"\n[serve]\nlisten = [\"127.0.0.1:0\"]\nrelease_header = false\n[php]\nfpm = \"embedded\"\n\
         front = \"index.php\"\nworkers = 8\n[health]\npath = \"/route/up\"\n[hooks]\nafter_stage = [\"true\"]\n",
        source.display()
    ));
    let keys = format!("docroot = \"\"\nkeep = 1\nkeep_for = \"0s\"{layout}");
    app.write_config(&app.config().replace("docroot = \"public\"", &keys));
    fs::set_permissions(app.root(), fs::Permissions::from_mode(0o755)).unwrap();
    app.cutover(&["deploy"]);
    let server = app.serve();
    let root = server.app.root().to_owned();
    let app = root.clone();
    let deploy = move |id: &str| {
        take(id);
        let out = std::process::Command::new(CUTOVER).arg("-C").arg(&app).arg("deploy").output();
        let out = out.map_err(|why| why.to_string())?;
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        match out.status.success() && said.contains("in opcache") {
            true => Ok(()),
            false => Err(said + &String::from_utf8_lossy(&out.stderr)),
        }
    };
    holds(&server, Flipper::call(deploy), 4_000, deploys);
    let standing = fs::read_dir(root.join("releases")).unwrap().count();
    assert!(standing <= 5, "prune kept up: {standing}");
}

/// A site without PHP: static files, and programs below `/cgi-bin`.
fn probed_as(kind: Kind, config: &str) -> Server {
    let app = App::new(&format!("[serve]\nlisten = [\"127.0.0.1:0\"]\n{config}"));
    app.write_config(&app.config().replace("docroot = \"public\"", "docroot = \"\""));
    // Programs run as another user than root.
    fs::set_permissions(app.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let work = app.root().join("probe");
    probe::scaffold_as(&work, &ids(), kind).unwrap();
    for name in ["releases", "current"] {
        fs::rename(work.join(name), app.root().join(name)).unwrap();
    }
    app.serve()
}

#[test]
fn static_files_and_indexes_flipped_by_another_tool() {
    let server = probed_as(Kind::Static, "");
    let (requests, flips) = requests_and_flips();
    holds_as(Kind::Static, &server, Flipper::link(server.app.root().join("current")), requests, flips);
}

#[test]
fn cgi_programs_flipped_by_another_tool() {
    let server = probed_as(Kind::Cgi, "[serve.cgi]\n");
    holds_as(Kind::Cgi, &server, Flipper::link(server.app.root().join("current")), 6_000, 600);
}

/// A master of its own for each flip, started under load; the one before ends when its last request is done.
#[test]
fn releases_that_each_get_a_php_fpm_of_their_own() {
    let server = probed_with(true, "linger = \"0s\"\n");
    let link = server.app.root().join("current");
    let socket = server.app.root().join(".cutover/run/serve.sock");
    let flip = move |release: &str| {
        // The prober flips between two; each time a fresh one is wanted, so what waits for nothing goes first.
        let fresh = serve::control::Command::Fresh { site: "shop".into(), release: release.into() };
        let until = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            match serve::control::ask(&socket, &fresh, Duration::from_secs(60)) {
                Ok(serve::control::Answer::Fresh(_)) => break,
                // The old ones still work.
                Ok(serve::control::Answer::Failed(_)) if std::time::Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                other => return Err(format!("{other:?}")),
            }
        }
        let temp = link.with_extension("new");
        std::os::unix::fs::symlink(format!("releases/{release}"), &temp).map_err(|why| why.to_string())?;
        fs::rename(&temp, &link).map_err(|why| why.to_string())
    };
    holds(&server, Flipper::call(flip), 6_000, 30);
    let flipped = server.log().matches("runs in php-fpm process").count();
    assert!(flipped >= 20, "{flipped} masters\n{}", server.log());
}
