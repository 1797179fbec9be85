//! Rules of the release: redirects, headers, error pages, login, maintenance; all under the pin.

use super::client::request;
use super::server::App;

#[test]
fn rules_come_from_the_release_that_answers() {
    let rules = |header: &str, to: &str| {
        format!(
            "[app]\ndocroot = \"public\"\n[site.error]\n404 = \"/404.html\"\n\
             [[site.header]]\npath = \"/**\"\nset = {{ x-shop = \"{header}\" }}\n\
             [[site.cache]]\npath = \"*.css\"\ncontrol = \"max-age=60\"\n\
             [[site.redirect]]\nfrom = \"/old/*\"\nto = \"{to}*\"\nstatus = 301\n"
        )
    };
    let server = App::new("")
        .release(
            "r1",
            &[
                ("public/404.html", "one has no such page"),
                ("public/a.css", "a{}"),
                ("cutover.toml", &rules("one", "/new/")),
            ],
        )
        .release(
            "r2",
            &[
                ("public/404.html", "two has no such page"),
                ("public/a.css", "a{}"),
                ("cutover.toml", &rules("two", "/newer/")),
            ],
        )
        .sealed("r1")
        .sealed("r2")
        .live("r1")
        .serve();
    for (id, name, to) in [("r1", "one", "/new/b?c=d"), ("r2", "two", "/newer/b?c=d")] {
        server.app.cutover(&["flip", id]);
        let missing = server.get("/none");
        assert_eq!((missing.status, missing.header("x-shop")), (404, Some(name)));
        assert_eq!(missing.text(), format!("{name} has no such page"));
        let moved = server.get("/old/b?c=d");
        assert_eq!((moved.status, moved.header("location")), (301, Some(to)));
        assert_eq!(server.get("/a.css").header("cache-control"), Some("max-age=60"));
    }
}

#[test]
fn a_guarded_path_asks_for_a_password_however_it_is_written() {
    let hash = bcrypt::hash("sesame", 4).unwrap();
    let server = App::new(&format!("[[site.auth]]\npath = \"/admin\"\nusers = {{ ali = \"{hash}\" }}\n"))
        .release("r1", &[("public/admin/a.txt", "inside"), ("public/a.txt", "outside")])
        .live("r1")
        .serve();
    assert_eq!(server.get("/a.txt").text(), "outside");
    for path in ["/admin/a.txt", "//admin/a.txt", "/%61dmin/a.txt", "/admin//a.txt"] {
        let reply = server.get(path);
        assert!(matches!(reply.status, 401 | 400 | 404 | 301), "{path}: {}", reply.status);
        assert!(!reply.text().contains("inside"), "{path}");
    }
    assert!(server.get("/admin/a.txt").header("www-authenticate").unwrap().starts_with("Basic realm="));
    assert_eq!(server.get_with("/admin/a.txt", "Authorization: Basic YWxpOndyb25n\r\n").status, 401);
    assert_eq!(server.get_with("/admin/a.txt", "Authorization: Basic YWxpOnNlc2FtZQ==\r\n").text(), "inside");
}

#[test]
fn maintenance_shows_its_page_and_ends_when_it_is_turned_off() {
    let server = App::new("[site.maintenance]\npage = \"/back-soon.html\"\n")
        .release("r1", &[("public/a.txt", "one"), ("public/back-soon.html", "back soon")])
        .live("r1")
        .serve();
    server.app.cutover(&["maintenance", "on"]);
    let reply = server.get("/a.txt");
    assert_eq!((reply.status, reply.text().as_str()), (503, "back soon"));
    assert_eq!(reply.header("retry-after"), Some("300"));
    server.app.cutover(&["maintenance", "off"]);
    assert_eq!(server.get("/a.txt").text(), "one");
}

#[test]
fn sites_are_told_by_host_name() {
    let server = App::new("[serve]\nlisten = [\"127.0.0.1:0\"]\nhosts = [\"shop.test\", \"*.shop.test\"]\n")
        .release("r1", &[("public/a.txt", "one")])
        .live("r1")
        .serve();
    let ask = |host: &str| {
        request(server.port(), format!("GET /a.txt HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
            .status
    };
    for (host, status) in [
        ("shop.test", 200),
        ("SHOP.test:80", 200),
        ("www.shop.test", 200),
        ("shop.test.", 200),
        ("other.test", 421),
        ("shop.test.evil", 421),
    ] {
        assert_eq!(ask(host), status, "{host}");
    }
}
