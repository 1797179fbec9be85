//! Reload mode: each flip rewrites a file of nginx's configuration, and returns when the new workers have taken over.

#![expect(clippy::disallowed_methods, reason = "no flip happens while a path is resolved")]

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use prove::Flipper;
use prove::scenario::Pace;

use super::stand::{Stand, called};
use crate::serve::client::connect;
use crate::web::{CUTOVER, Much, Site, full, ids, page};

/// nginx in reload mode over so many pools.
fn reloaded(more: &str, pools: usize, http: &str) -> Stand {
    let site = Site::lay(more, pools);
    let command = called(&site.path("nginx.conf"));
    let mut config = fs::read_to_string(site.path("app/cutover.toml")).unwrap();
    config += &format!("\n[nginx]\nmode = \"reload\"\ncommand = \"{command}\"\n");
    fs::write(site.path("app/cutover.toml"), config).unwrap();
    Stand::over(site, http, |stand| {
        let said = stand.write();
        assert!(said.contains("written and tested; nginx does not run"), "{said}");
    })
}

fn flips(app: &Path) -> Flipper {
    let app = app.to_owned();
    Flipper::call(move |release| {
        let out = Command::new(CUTOVER).arg("-C").arg(&app).args(["flip", release]).output();
        let out = out.map_err(|why| why.to_string())?;
        match out.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
        }
    })
}

#[test]
fn no_request_is_lost_mixed_or_stale_while_nginx_is_reloaded_for_each_flip() {
    // Switched off by what we write: it would remember that a mark is not there.
    let files = "open_file_cache max=1000;\nopen_file_cache_valid 60s;\nopen_file_cache_errors on;";
    let stand = reloaded("[site.error]\n404 = \"/gone.html\"\n", 2, files);
    for id in ids() {
        stand.file(&id, "gone.html", &format!("gone [release {id}]\n"));
        stand.file(&id, "own.txt", &format!("own [release {id}]\n"));
        stand.file(&id, "accel.php", "<?php usleep(3000); header('X-Accel-Redirect: /own.txt');");
    }
    let more =
        vec![page("/.hidden", 404, "gone [release {}]\n"), page("/accel.php", 200, "own [release {}]\n")];
    let (requests, count) = if full() { (100_000, 3_000) } else { (8_000, 25) };
    let much = Much { requests, flips: count, pace: Pace::Spread };
    let (observed, verdicts) = stand.flood(flips(&stand.path("app")), &much, more);
    assert!(verdicts.holds(), "{:?}\n{}", verdicts.total, stand.said());
    assert!(observed.flips.iter().all(|flip| flip.returned_ns.is_some()));
}

#[test]
fn a_request_that_is_under_way_ends_on_the_release_it_began_with() {
    let stand = reloaded("", 1, "");
    for id in ids() {
        stand.file(&id, "own.txt", &format!("own of {id}"));
        stand.file(&id, "accel.php", &stand.at_the_gate("header('X-Accel-Redirect: /own.txt');"));
    }
    let mut slow = connect(stand.port);
    slow.write_all(b"GET /accel.php HTTP/1.0\r\nHost: probe.test\r\n\r\n").unwrap();
    stand.until_begun();
    assert_eq!(stand.get("/own.txt").text(), "own of r1");
    assert!(stand.cutover(&["flip", "r2"]).contains("r2 is live"));
    let fresh = stand.get("/own.txt");
    assert_eq!((fresh.text().as_str(), fresh.release()), ("own of r2", "r2"));
    stand.open();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("own of r1") && answer.contains("200 OK"), "{answer}");
}

#[test]
fn what_another_tool_flips_is_followed_when_nginx_is_told_and_by_the_next_command() {
    let stand = reloaded("", 1, "");
    stand.flip("releases/r2");
    assert_eq!(stand.get("/static/small.txt").release(), "r1", "nobody has told it");
    assert!(stand.cutover(&["nginx", "--follow"]).contains("r2: nginx goes by it"));
    assert_eq!(stand.get("/static/small.txt").release(), "r2");
    stand.flip("releases/r1");
    stand.cutover(&["prune", "--dry-run"]);
    assert_eq!(stand.get("/static/small.txt").release(), "r1");
    // Killed right after the link was renamed.
    let flip = ["flip", "r2"];
    let effects = (1..40).find(|n| {
        let mut command = Command::new(CUTOVER);
        command.arg("-C").arg(stand.path("app")).args(flip).env("CUTOVER_CRASH_AT", n.to_string());
        command.output().unwrap();
        fs::read_link(stand.path("app/current")).unwrap() == Path::new("releases/r2")
    });
    assert!(effects.is_some(), "it never got so far");
    stand.cutover(&["nginx", "--follow"]);
    assert_eq!(stand.get("/static/small.txt").release(), "r2");
}

#[test]
fn an_nginx_that_would_refuse_leaves_the_old_release_live() {
    let stand = reloaded("", 1, "");
    fs::write(stand.path("conf.d/other.conf"), "server { lisssten 1; }\n").unwrap();
    let out = stand.tries(&["flip", "r2"]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("lisssten") && said.contains("r1 is still live"), "{said}");
    assert_eq!(fs::read_link(stand.path("app/current")).unwrap(), Path::new("releases/r1"));
    fs::remove_file(stand.path("conf.d/other.conf")).unwrap();
    stand.cutover(&["flip", "r2"]);
    assert_eq!(stand.get("/static/small.txt").release(), "r2");
    assert!(stand.cutover(&["rollback", "r1", "--force"]).contains("r1 is live"));
    assert_eq!(stand.get("/static/small.txt").release(), "r1");
}

#[test]
fn a_deploy_tells_nginx_before_it_asks_for_health_and_after_it_flipped_back() {
    let stand = reloaded("", 1, "");
    let source = stand.path("source");
    fs::create_dir(&source).unwrap();
    let health = format!("curl -s http://127.0.0.1:{}/own.txt | grep -q", stand.port);
    let more = format!(
        "[source]\ndir = \"{}\"\n[warm]\ncompile = false\n[hooks]\nafter_verify = [\"{health} first\"]\n[php]\n",
        source.display()
    );
    stand.change("[php]\n", &more);
    fs::write(source.join("own.txt"), "the first deploy\n").unwrap();
    stand.cutover(&["deploy"]);
    assert_eq!(stand.get("/own.txt").text(), "the first deploy\n");
    fs::write(source.join("own.txt"), "the second\n").unwrap();
    let out = stand.tries(&["deploy"]);
    assert_eq!(out.status.code(), Some(1), "{}", String::from_utf8_lossy(&out.stdout));
    assert_eq!(stand.get("/own.txt").text(), "the first deploy\n");
}

/// Files from a tree of nginx's own, scripts from the pool's; the file that is rewritten is where both see it.
#[test]
fn nginx_and_the_pool_may_see_different_trees() {
    let site = Site::lay("", 1);
    let (app, seen) = (site.path("app"), site.path("seen"));
    let command = called(&site.path("nginx.conf"));
    for id in ids() {
        site.file(&id, "own.txt", &format!("own of {id}, as the pool has it"));
        site.file(&id, "told.php", "<?php echo __FILE__, ' ', $_SERVER['DOCUMENT_ROOT'];");
    }
    Command::new("cp").arg("-a").arg(&app).arg(&seen).status().unwrap();
    for id in ids() {
        fs::write(seen.join("releases").join(&id).join("own.txt"), format!("own of {id}")).unwrap();
    }
    let told = site.path("told");
    let keys = format!(
        "[nginx]\nmode = \"reload\"\ncommand = \"{command}\"\ntree = \"{}\"\ninclude = \"{}/shop.conf\"\n[php]\n",
        seen.display(),
        told.display()
    );
    site.change("[php]\n", &keys);
    let stand = Stand::over(site, "", |stand| drop(stand.write()));
    for id in ["r1", "r2"] {
        stand.cutover(&["flip", id]);
        let root = fs::canonicalize(app.join("releases").join(id)).unwrap();
        assert_eq!(stand.get("/own.txt").text(), format!("own of {id}"));
        assert_eq!(stand.get("/told.php").text(), format!("{0}/told.php {0}", root.display()));
    }
    // The same without a reload, where nginx's tree has the link too.
    stand.change("mode = \"reload\"", "mode = \"link\"");
    stand.write();
    let root = fs::canonicalize(app.join("releases/r1")).unwrap();
    let told = format!("{0}/told.php {0}", root.display());
    // For a moment old workers answer beside the new ones.
    stand.until(|| stand.get("/own.txt").text() == "own of r1" && stand.get("/told.php").text() == told);
}

#[test]
fn a_mode_that_flips_do_not_go_by_is_not_written() {
    let site = Site::lay("", 1);
    let shown = site.cutover(&["nginx", "--mode", "reload"]);
    assert!(shown.contains("include \"") && !shown.contains("$realpath_root"), "{shown}");
    let out = site.tries(&["nginx", "--mode", "reload", "--write", "/nowhere/x.conf"]);
    assert_eq!(out.status.code(), Some(2));
    let out = site.tries(&["nginx", "--follow"]);
    assert!(String::from_utf8_lossy(&out.stderr).contains("looks at the link itself"));
}
