//! Varnish in front: what it keeps, what it asks for again, and what that costs in truth.

use std::fs;
use std::process::Command;

use super::fronts::much;
use super::{behind, recipe, serve};
use crate::web::Site;

/// The probe application behind Varnish with this configuration; Cutover notes what it is asked.
fn varnish(vcl: &str, cutover: &str) -> Site {
    let mut shop = Site::lay("", 1);
    let log =
        format!("\n[serve.log]\nformat = \"json\"\naccess = \"{}\"\n", shop.path("access.log").display());
    let config = fs::read_to_string(shop.path("app/cutover.toml")).unwrap() + &log + cutover;
    fs::write(shop.path("app/cutover.toml"), config).unwrap();
    serve(&mut shop);
    let vcl = vcl.replace("8080", &shop.port.to_string());
    behind(&mut shop, &vcl, |shop, port| {
        let mut command = Command::new("/usr/sbin/varnishd");
        command.args(["-F", "-j", "none", "-s", "malloc,256m", "-T", "none", "-p", "thread_pool_min=10"]);
        command.arg("-a").arg(format!("127.0.0.1:{port}")).arg("-n").arg(shop.path("varnish"));
        command.arg("-f").arg(shop.path("front.conf"));
        command
    });
    shop
}

/// What Cutover answered to requests for this path, by its access log.
fn answered(site: &Site, path: &str) -> Vec<u64> {
    let text = fs::read_to_string(site.path("access.log")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = whole.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines
        .filter(|line| line.to_string().contains(path))
        .map(|line| line["status"].as_u64().unwrap())
        .collect()
}

#[test]
fn varnish_keeps_what_cutover_says_is_still_the_same() {
    let site = varnish(&recipe("varnish"), &recipe("varnish cutover.toml"));
    for (id, page) in [("r1", "one"), ("r2", "two")] {
        site.file(id, "page.html", page);
        site.file(id, "same.html", "same");
        site.file(id, "assets/app.1a2b.css", "body {}");
        site.cutover(&["seal", id, "--again"]);
    }
    let ask = |path: &str| {
        let reply = site.get(path);
        assert_eq!(reply.status, 200, "{}", reply.head);
        reply.text()
    };
    for _ in 0..3 {
        assert_eq!(
            (ask("/page.html"), ask("/same.html"), ask("/assets/app.1a2b.css")),
            ("one".into(), "same".into(), "body {}".into())
        );
    }
    site.flip("releases/r2");
    assert_eq!(
        (ask("/page.html"), ask("/same.html"), ask("/assets/app.1a2b.css")),
        ("two".into(), "same".into(), "body {}".into())
    );
    // Asked each time, sent only when it was new; the asset was asked for once.
    site.until(|| answered(&site, "/same.html").len() == 4 && !answered(&site, "/assets/").is_empty());
    assert_eq!(answered(&site, "/page.html"), [200, 304, 304, 200]);
    assert_eq!(answered(&site, "/same.html"), [200, 304, 304, 304]);
    assert_eq!(answered(&site, "/assets/"), [200]);
}

#[test]
fn varnish_gives_nobody_what_is_not_live() {
    let site = varnish(&recipe("varnish"), &recipe("varnish cutover.toml"));
    site.holds(&much(), Vec::new());
}

/// The exception: a page of PHP is kept for a second, and is the new one after that, without a purge.
#[test]
fn varnish_may_keep_a_page_for_a_second_which_is_then_how_stale_it_gets() {
    let vcl = recipe("varnish");
    let (before, _) = vcl.rsplit_once("    } else {\n").unwrap();
    let vcl = before.to_owned()
        + &recipe("varnish a second")
        + "    set beresp.ttl = 120s;\n    return (deliver);\n}\n";
    let site = varnish(&vcl, "");
    let said = |release: &str| site.get("/probe.php").text().contains(&format!("[release {release}]"));
    assert!(said("r1"));
    for _ in 0..50 {
        assert!(said("r1"));
    }
    // What stands before it in the log is all that was asked.
    site.get("/route/marker");
    site.until(|| !answered(&site, "/route/marker").is_empty());
    assert!(answered(&site, "/probe.php").len() < 51, "it is kept");
    site.flip("releases/r2");
    site.until(|| said("r2"));
    assert!(said("r2"));
}
