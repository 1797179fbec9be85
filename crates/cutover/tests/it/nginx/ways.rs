//! Every way that a request takes through nginx ends in the release that it began with.

#![expect(clippy::disallowed_methods, reason = "no flip happens while a path is resolved")]

use std::fs;
use std::path::Path;

use super::stand::Stand;

#[test]
fn every_way_to_another_path_stays_on_the_release_that_the_request_began_with() {
    let stand = Stand::start(
        "[[site.header]]\npath = \"/api/**\"\nset = { X-Api = \"1\" }\n[site.error]\n404 = \"/gone.html\"\n[[site.header]]\npath = \"/**\"\nset = { X-Own = \"yes\" }\n\
         [[site.cache]]\npath = \"*.css\"\ncontrol = \"max-age=60\"\n\
         [[site.redirect]]\nfrom = \"/old/*\"\nto = \"/new/*\"\nstatus = 308\n",
        "",
    );
    // The answer is another file of the release, named by PHP after the flip that happens meanwhile.
    let accel = &stand.at_the_gate("header('X-Accel-Redirect: /own.css');");
    for id in ["r1", "r2"] {
        stand.file(id, "gone.html", &format!("nothing in {id}"));
        stand.file(id, "own.css", &format!("css of {id}"));
        stand.file(id, "accel.php", accel);
        stand.file(id, "told.php", "<?php echo $_SERVER['CUTOVER_RELEASE'], ' ', $_SERVER['CUTOVER_RELEASE_ROOT'], ' ', $_SERVER['DOCUMENT_ROOT'], ' ', $_SERVER['PATH_INFO'] ?? '';");
    }
    let root = fs::canonicalize(stand.path("app/releases/r1")).unwrap();
    let root = root.display();
    assert_eq!(stand.get("/told.php/a/b").text(), format!("r1 {root} {root} /a/b"));
    let css = stand.get("/own.css");
    assert_eq!(
        (css.release(), css.header("x-own"), css.header("cache-control")),
        ("r1", Some("yes"), Some("max-age=60"))
    );
    assert_eq!(stand.get("/api/by-the-front-controller").header("x-api"), Some("1"));
    assert_eq!(stand.get("/told.php").header("x-api"), None);
    let moved = stand.get("/old/a%2Fb?x=1");
    assert_eq!(moved.status, 308);
    assert!(moved.header("location").unwrap().ends_with("/new/a%2Fb?x=1"), "{}", moved.head);
    assert_eq!(stand.get("/.env").status, 404);

    let slow = std::thread::scope(|scope| {
        let slow = scope.spawn(|| stand.get("/accel.php"));
        stand.until_begun();
        stand.flip("releases/r2");
        stand.open();
        slow.join().unwrap()
    });
    assert_eq!((slow.text().as_str(), slow.release()), ("css of r1", "r1"));
    assert_eq!(stand.get("/own.css").text(), "css of r2");
    assert_eq!(stand.get("/.git/config").text(), "nothing in r2");

    stand.flip("releases/none");
    assert_eq!(stand.get("/own.css").status, 503);
    stand.flip("releases/r1");
    assert_eq!(stand.get("/own.css").text(), "css of r1");
}

#[test]
fn scripts_among_uploads_do_not_run_and_maintenance_closes_the_site() {
    let stand = Stand::start("[site.maintenance]\npage = \"/closed.html\"\n", "");
    stand.change("root = \".\"", "root = \".\"\nshared_dirs = [\"up\"]");
    stand.file("r1", "up/evil.php", "<?php echo 'ran';");
    stand.file("r1", "closed.html", "back soon");
    assert_eq!(stand.get("/up/evil.php").text(), "ran");
    assert!(stand.write().contains("nginx reloaded"));
    stand.until(|| stand.get("/up/evil.php").status == 403);
    assert!(stand.write().contains("unchanged; nginx was left alone"));

    let closed = stand.path("app/.cutover/maintenance");
    fs::write(&closed, "").unwrap();
    let reply = stand.get("/own.css");
    assert_eq!((reply.status, reply.text().as_str()), (503, "back soon"));
    fs::remove_file(closed).unwrap();
    assert_eq!(stand.get("/closed.html").status, 200);
}

#[test]
fn what_nginx_refuses_is_put_back_and_what_it_cannot_hold_is_not_written() {
    let stand = Stand::start("", "");
    let before = fs::read(stand.site()).unwrap();
    let config = stand.path("app/cutover.toml");
    let text = fs::read_to_string(&config).unwrap();
    let tls = "tls = [{ cert = \"none.pem\", key = \"none.key\" }]";
    fs::write(&config, text.replace("[serve]", &format!("[serve]\n{tls}"))).unwrap();
    let out = stand.try_write();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("nginx refuses it") && said.contains("is there again"), "{said}");
    assert_eq!(fs::read(stand.site()).unwrap(), before);

    for (change, why) in [
        (("docroot = \"\"", "docroot = \"a$b\""), "nginx cannot hold"),
        (("[php]\nfpm = [", "[php]\n#"), "embedded"),
    ] {
        let base = text.replace("root = \".\"", "root = \".\"\ndocroot = \"\"");
        fs::write(&config, base.replace(change.0, change.1)).unwrap();
        let out = stand.try_write();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{said}");
        assert!(said.contains(why) && said.contains("nothing was written"), "{said}");
    }
    assert!(Path::new("/etc/nginx/fastcgi_params").exists());
}
