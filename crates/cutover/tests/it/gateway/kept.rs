//! nginx keeps its connections to the gateway, over flips, prunes, reloads and upgrades.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::front::Kind;
use super::hand_over::{Load, end_successor};
use super::stand::{CONFIG, Stand, serve_as, status, until};
use crate::serve::server::App;

const PAGE: &str = "<?php if (isset($_GET['slow'])) { while (!file_exists('../../../go')) { usleep(10000); clearstatcache(); } } \
                    echo 'php of ', basename(dirname(__DIR__));";

/// r1 is live. Of what was live before two are kept.
fn stand() -> Stand {
    let app = App::new(CONFIG);
    lay(app.root(), "r1");
    let app = app.sealed("r1").live("r1");
    let text = app.config().replace("/ROOT", &app.root().display().to_string());
    let keep = "docroot = \"public\"\nkeep = 1\nkeep_for = \"0s\"\n";
    Stand::of(serve_as(app, &text.replace("docroot = \"public\"\n", keep)), Kind::Nginx, "/public")
}

fn lay(root: &Path, id: &str) {
    let docroot = root.join("releases").join(id).join("public");
    fs::create_dir_all(&docroot).unwrap();
    fs::write(docroot.join("index.php"), PAGE).unwrap();
    fs::write(docroot.join("a.txt"), format!("file of {id}")).unwrap();
}

/// A release that is made, sealed and flipped to.
fn deploy(stand: &Stand, id: &str) {
    lay(stand.server.app.root(), id);
    stand.server.app.cutover(&["seal", id]);
    stand.server.app.cutover(&["flip", id]);
}

/// Prunes until it is gone.
fn prune_until_gone(stand: &Stand, id: &str) {
    let release = stand.server.app.root().join("releases").join(id);
    until(&format!("{id} is pruned"), &stand.server, || {
        stand.server.app.cutover(&["prune"]);
        fs::symlink_metadata(&release).is_err()
    });
}

#[test]
fn flips_prunes_and_upgrades_under_load_lose_nothing() {
    let mut stand = stand();
    let load = Load::on(stand.front.port);
    load.goes_on();
    for n in 2..=7 {
        deploy(&stand, &format!("r{n}"));
        load.goes_on();
        if n > 3 {
            prune_until_gone(&stand, &format!("r{}", n - 3));
            load.goes_on();
        }
        if n == 5 {
            stand.server.app.cutover(&["upgrade"]);
            load.goes_on();
            let within = Duration::from_secs(60);
            assert!(stand.server.ends_within(within), "the old process stays:\n{}", stand.said());
        }
    }
    load.end();
    end_successor(&stand.server);
}

#[test]
fn an_idle_kept_connection_holds_no_release_and_a_request_in_hand_holds_its_own() {
    let stand = stand();
    let all: Vec<_> = std::thread::scope(|scope| {
        let asks: Vec<_> = (0..6).map(|_| scope.spawn(|| stand.get("/x").text())).collect();
        asks.into_iter().map(|ask| ask.join().unwrap()).collect()
    });
    assert!(all.iter().all(|text| text == "php of r1"), "{all:?}");
    until("nothing is in hand", &stand.server, || status(&stand.server).sites[0].in_flight == 0);
    assert!(status(&stand.server).connections > 0, "nginx keeps them");
    ["r2", "r3", "r4"].into_iter().for_each(|id| deploy(&stand, id));
    prune_until_gone(&stand, "r1");
    assert_eq!(stand.get("/x").text(), "php of r4");

    std::thread::scope(|scope| {
        let slow = scope.spawn(|| stand.get("/x?slow").text());
        until("it is in hand", &stand.server, || status(&stand.server).sites[0].in_flight == 1);
        ["r5", "r6", "r7"].into_iter().for_each(|id| deploy(&stand, id));
        assert_eq!(
            (stand.get("/x").text(), stand.get("/a.txt").text()),
            ("php of r7".into(), "file of r7".into())
        );
        prune_until_gone(&stand, "r3");
        assert!(stand.server.app.root().join("releases/r4").exists(), "it is in use");
        fs::write(stand.server.app.root().join("go"), "").unwrap();
        assert_eq!(slow.join().unwrap(), "php of r4");
    });
    prune_until_gone(&stand, "r4");
}
