//! A pool in a chroot: it sees the releases by other paths (`php.path_map`), and nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use prove::probe::pages::{Kind as Pages, pages};
use prove::scenario::{Load, Pace, Scenario};
use prove::{Flipper, Target, judge, report, run_blocking};

use super::front::Kind;
use super::pool::Pool;
use super::stand::{CONFIG, Stand, probe, serve_as};
use crate::serve::server::App;
use crate::web::{full, ids};

const WHERE: &str = "<?php echo __FILE__, ' ', $_SERVER['DOCUMENT_ROOT'], ' ', $_SERVER['CUTOVER_RELEASE_ROOT'], \
                     ' ', file_exists('/etc') ? 'free' : 'caged';";

const SENDS: &str = "<?php header('X-Sendfile: ' . __DIR__ . '/sent.txt');";

#[test]
fn a_pool_in_a_chroot_runs_the_pinned_release_by_the_paths_that_it_sees() {
    if !nix::unistd::geteuid().is_root() {
        println!(
            "\nskipped: gateway::caged::a_pool_in_a_chroot_runs_the_pinned_release_by_the_paths_that_it_sees: not root\n"
        );
        return;
    }
    let app = App::new(CONFIG);
    // The cage is the app's root: there it is called /.
    let root = fs::canonicalize(app.root()).unwrap();
    let text = probe(&app);
    for id in ids() {
        fs::write(root.join("releases").join(&id).join("where.php"), WHERE).unwrap();
        fs::write(root.join("releases").join(&id).join("sends.php"), SENDS).unwrap();
        fs::write(root.join("releases").join(&id).join("sent.txt"), &id).unwrap();
    }
    // Where PHP puts uploads.
    fs::create_dir(root.join("tmp")).unwrap();
    fs::set_permissions(root.join("tmp"), PermissionsExt::from_mode(0o1777)).unwrap();
    let pool_dir = tempfile::tempdir().unwrap();
    fs::set_permissions(pool_dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let pool = Pool::start(pool_dir.path(), &format!("chroot = {}\n", root.display()));
    let map = format!("path_map = {{ \"{}\" = \"/\" }}\n", root.display());
    let text = text.split("[php.ini]").next().unwrap().replace("workers = 4\n", &map);
    let text = text.replace("\"embedded\"", &format!("\"unix:{}\"", pool.socket.display()));
    let stand = Stand::of(serve_as(app, &text), Kind::Nginx, "");

    let link = root.join("current");
    for id in ["r2", "r1"] {
        Flipper::link(&link).flip(id).unwrap();
        let seen = format!("/releases/{id}");
        let told = stand.get("/where.php");
        let wanted = format!("{seen}/where.php {seen} {seen} caged");
        assert_eq!((told.text(), told.release()), (wanted, id), "{}", stand.said());
        assert_eq!(stand.get("/sends.php").text(), id, "a file is named as PHP sees it");
    }
    let target = Target::parse(&format!("http://127.0.0.1:{}", stand.front.port)).unwrap();
    let mut scenario = Scenario::new(target, ids(), pages(&ids(), Pages::Php), Flipper::link(&link));
    let (requests, flips) = if full() { (100_000, 30_000) } else { (3_000, 1_000) };
    let at_most = Duration::from_secs(3600);
    scenario.load = Load { connections: 8, closing: 3, requests, at_most, ..Load::default() };
    scenario.flips.count = flips;
    scenario.flips.pace = Pace::Each(Duration::from_millis(1));
    let observed = run_blocking(scenario).unwrap();
    let verdicts = judge(&observed).unwrap();
    println!("{}", report::text(&observed, &verdicts));
    assert!(verdicts.holds(), "{:?}\n{}", verdicts.total, stand.said());
}
