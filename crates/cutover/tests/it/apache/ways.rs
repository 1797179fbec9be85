//! What cutover.toml says, as Apache does it; what Apache refuses is put back.

use std::fs;

use super::stand::{Stand, With};
use crate::web::{Site, ids};

const RULES: &str = "[[site.header]]\npath = \"/api/**\"\nset = { X-Api = \"100% \\\"so\\\"\" }\n[site.error]\n404 = \"/gone.html\"\n\
     [[site.header]]\npath = \"/**\"\nset = { X-Own = \"yes\" }\n\
     [[site.cache]]\npath = \"/first.css\"\ncontrol = \"no-store\"\n[[site.cache]]\npath = \"*.css\"\ncontrol = \"max-age=60\"\n\
     [[site.redirect]]\nfrom = \"/old/*\"\nto = \"/new/*\"\nstatus = 308\n[[site.redirect]]\nfrom = \"/one\"\nto = \"/a%20b$1?x\"\n";

fn answers(with: With) {
    let stand = Stand::start("event", with, RULES, 1, |site| {
        for id in ids() {
            site.file(&id, "gone.html", &format!("nothing in {id}"));
            site.file(&id, "own.css", &format!("css of {id}"));
            site.file(&id, "first.css", "first");
            site.file(&id, "told.php", "<?php echo $_SERVER['CUTOVER_RELEASE'], ' ', $_SERVER['DOCUMENT_ROOT'], ' ', __DIR__, ' ', $_SERVER['PATH_INFO'] ?? '', ' ', $_SERVER['HTTP_PROXY'] ?? 'none';");
        }
    });
    let root = stand.path("app/releases/r1");
    let root = root.display();
    let told = stand.get_with("/told.php/a/b", "Proxy: http://evil/\r\n");
    assert_eq!(told.text(), format!("r1 {root} {root} /a/b none"), "{with:?}");
    let css = stand.get("/own.css");
    assert_eq!(
        (css.release(), css.header("x-own"), css.header("cache-control")),
        ("r1", Some("yes"), Some("max-age=60")),
        "{with:?}"
    );
    assert_eq!(stand.get("/first.css").header("cache-control"), Some("no-store"));
    assert_eq!(stand.get("/api/by-the-front-controller").header("x-api"), Some("100% \"so\""));
    assert_eq!(stand.get("/told.php").header("x-api"), None);
    let front = stand.get("/route/some/where");
    assert!(front.status == 200 && front.text().contains("[release r1]"), "{}", front.head);
    assert_eq!(stand.get("/none.php").status, 404, "the front controller's");
    for (path, to) in [
        ("/old/a%20b?x=1", "/new/a%20b?x=1"),
        ("/one", "/a%20b$1?x"),
        ("/old//evil.test/", "/new/evil.test/"),
    ] {
        let moved = stand.get(path);
        let status = if path == "/one" { 301 } else { 308 };
        assert_eq!(moved.status, status, "{with:?} {path}");
        assert!(moved.header("location").unwrap().ends_with(to), "{with:?} {path}: {}", moved.head);
    }
    let hidden = stand.get("/.env");
    assert_eq!((hidden.status, hidden.text().as_str()), (404, "nothing in r1"), "{with:?}");
    stand.flip("releases/r2");
    assert_eq!(stand.get("/own.css").text(), "css of r2");
    assert_eq!(stand.get("/.git/config").text(), "nothing in r2");
}

#[test]
fn the_module_answers_by_the_rules_of_cutover_toml() {
    answers(With::Module);
}

#[test]
fn in_front_of_cutover_serve_nothing_is_lost_on_the_way_by_http() {
    answers(With::Http);
}

#[test]
fn in_front_of_cutover_serve_nothing_is_lost_on_the_way_by_fastcgi() {
    answers(With::FastCgi);
}

#[test]
fn uploads_neither_run_nor_configure_and_maintenance_closes_the_site() {
    let stand =
        Stand::start("prefork", With::Module, "[site.maintenance]\npage = \"/closed.html\"\n", 1, |site| {
            site.file("r1", "up/evil.php", "<?php echo 'ran';");
            site.file("r1", "up/plain.txt", "<?php echo 'ran';");
            site.file("r1", "up/.htaccess", "<Files plain.txt>\nRequire all denied\n</Files>\n");
            site.file("r1", "closed.html", "back soon");
        });
    assert_eq!(stand.get("/up/evil.php").text(), "ran");
    assert_eq!(stand.get("/up/plain.txt").status, 403, "its .htaccess counts");
    stand.change("root = \".\"", "root = \".\"\nshared_dirs = [\"up\"]");
    assert!(stand.write().contains("Apache reloaded"));
    stand.until(|| stand.get("/up/evil.php").status == 403);
    stand.until(|| stand.get("/up/plain.txt").status == 200);
    assert!(stand.write().contains("unchanged; Apache was left alone"));

    let closed = stand.path("app/.cutover/maintenance");
    fs::write(&closed, "").unwrap();
    let reply = stand.get("/probe.php");
    assert_eq!((reply.status, reply.text().as_str()), (503, "back soon"));
    fs::remove_file(closed).unwrap();
    assert_eq!(stand.get("/closed.html").status, 200);
}

#[test]
fn what_apache_refuses_is_put_back_and_what_it_cannot_hold_is_not_written() {
    let stand = Stand::start("event", With::Module, "", 1, |_| {});
    let before = fs::read(stand.vhost()).unwrap();
    stand.change("[serve]", "[serve]\ntls = [{ cert = \"none.pem\", key = \"none.key\" }]");
    let out = stand.try_write();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("Apache refuses it") && said.contains("a2enmod ssl"), "{said}");
    assert!(said.contains("is there again"), "{said}");
    assert_eq!(fs::read(stand.vhost()).unwrap(), before);
    assert_eq!(stand.get("/static/small.txt").status, 200);
    for (change, why) in [
        (("root = \".\"", "root = \".\"\ndocroot = \"a${b}\""), "Apache cannot hold"),
        (("docroot = \"a${b}\"", "layout = \"slots\""), "slots"),
    ] {
        stand.change(change.0, change.1);
        let out = stand.try_write();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{said}");
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn without_a_way_to_cutover_serve_it_says_so() {
    let site = Site::lay("", 1);
    let listen = format!("listen = [\"127.0.0.1:{}\"]", site.port);
    site.change(&listen, "listen = [\"systemd:web\"]");
    let out = site.tries(&["apache"]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{said}");
    assert!(said.contains("no address that Apache can hand requests to"), "{said}");
}
