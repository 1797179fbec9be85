//! What a path stands for.

use http::Method;
use serve::resource::{Refused, Resource};
use serve::tree::place::Miss;

use crate::shop::{Shop, ask};

/// What a path stands for, in a word or two.
fn meaning(shop: &Shop, target: &str) -> String {
    let tree = shop.tree();
    match crate::shop::resolve(&tree, target) {
        Resource::File(_) => format!("file {}", ask(&tree, Method::GET, target, &[]).text()),
        Resource::Script(script) => {
            assert!(script.docroot.starts_with(tree.root()));
            let file = script.file.strip_prefix(shop.app.root()).unwrap().display();
            let name = String::from_utf8(script.name).unwrap();
            format!("run {file} as {name} with [{}]", String::from_utf8(script.path_info).unwrap())
        }
        Resource::Redirect(to) => format!("to {}", to.to_str().unwrap()),
        Resource::Listing(_) => "listing".into(),
        Resource::Refused(why) => format!("refused {}", why.status()),
        Resource::NotFound => "nothing".into(),
    }
}

/// The same, sealed and not.
fn means(shop: &Shop, table: &[(&str, &str)]) {
    for sealed in [false, true] {
        if sealed {
            shop.seal();
        }
        for (target, wanted) in table {
            assert_eq!(meaning(shop, target), *wanted, "{target}, sealed: {sealed}");
        }
    }
}

#[test]
fn a_static_site_is_found() {
    let shop = Shop::new();
    shop.write("index.html", "home").write("docs/index.html", "docs").write("docs/a b.txt", "ab");
    shop.write("empty/deep/x.txt", "x").write(".well-known/security.txt", "security").write("100%", "all");
    means(
        &shop,
        &[
            ("/", "file home"),
            ("/index.html", "file home"),
            ("//", "file home"),
            ("/docs/", "file docs"),
            ("/docs", "to /docs/"),
            ("/docs?a=b&c=%2F", "to /docs/?a=b&c=%2F"),
            ("//docs", "to /docs/"),
            ("///docs?x", "to /docs/?x"),
            ("/docs/a%20b.txt", "file ab"),
            ("/docs//a%20b.txt", "file ab"),
            ("/docs/a%20b.txt/", "nothing"),
            ("/docs/a%20b.txt/x", "nothing"),
            ("/empty/", "nothing"),
            ("/empty", "nothing"),
            ("/empty/deep/x.txt", "file x"),
            ("/no", "nothing"),
            ("/no/no", "nothing"),
            ("/.well-known/security.txt", "file security"),
            ("/100%25", "file all"),
            ("/100%", "refused 400"),
            ("/%64ocs/index.html", "file docs"),
            ("/docs/../index.html", "refused 400"),
            ("/docs/%2e%2e/index.html", "refused 400"),
            ("/docs%2findex.html", "refused 400"),
            ("/index.html%00", "refused 400"),
            ("/INDEX.HTML", "nothing"),
        ],
    );
    let long = "/".to_owned() + &"x".repeat(255 * 4);
    assert_eq!(meaning(&shop, &long), "nothing");
    assert_eq!(meaning(&shop, &("/".to_owned() + &"x/".repeat(2048))), "refused 414");
}

#[test]
fn hidden_files_are_refused_wherever_they_lie() {
    let shop = Shop::new();
    for path in [".env", ".git/config", "a/.htaccess", "a/.git/HEAD", "cutover.toml", "visible.txt"] {
        shop.write(path, "SECRET");
    }
    shop.link("settings.txt", ".env").link("repository", ".git").link("config.txt", "cutover.toml");
    means(
        &shop,
        &[
            ("/.env", "refused 404"),
            ("/%2eenv", "refused 404"),
            ("/.git/config", "refused 404"),
            ("/.git/", "refused 404"),
            ("/.git", "refused 404"),
            ("/a/.htaccess", "refused 404"),
            ("/a/.git/HEAD", "refused 404"),
            ("/cutover.toml", "refused 404"),
            ("/settings.txt", "refused 404"),
            ("/repository/config", "refused 404"),
            ("/config.txt", "refused 404"),
            ("/visible.txt", "file SECRET"),
        ],
    );
}

#[test]
fn scripts_are_run_and_never_shown() {
    let mut shop = Shop::new();
    for path in
        ["public/index.php", "public/admin/index.php", "public/x.PHP", "public/x.phtml", "public/x.php5"]
    {
        shop.write(path, "<?php SECRET");
    }
    shop.write("public/x.php.bak", "<?php SECRET")
        .write("public/y.php.", "<?php SECRET")
        .write("public/z.php ", "SECRET");
    shop.write("public/img.jpg", "picture")
        .write("public/dir.php/inner.php", "<?php")
        .write("public/admin/style.css", "css");
    shop.write("lib.php", "<?php SECRET")
        .link("public/lib.txt", "../lib.php")
        .link("public/run.php", "img.jpg");
    shop.says.docroot = "public".into();
    means(
        &shop,
        &[
            ("/", "run releases/r1/public/index.php as /index.php with []"),
            ("/index.php", "run releases/r1/public/index.php as /index.php with []"),
            ("/index.php/", "run releases/r1/public/index.php as /index.php with [/]"),
            ("/index.php/a/b%20c", "run releases/r1/public/index.php as /index.php with [/a/b c]"),
            ("/index.php/a.php", "run releases/r1/public/index.php as /index.php with [/a.php]"),
            ("/index.ph%70", "run releases/r1/public/index.php as /index.php with []"),
            ("/admin/", "run releases/r1/public/admin/index.php as /admin/index.php with []"),
            ("/admin", "to /admin/"),
            (
                "/dir.php/inner.php/x",
                "run releases/r1/public/dir.php/inner.php as /dir.php/inner.php with [/x]",
            ),
            ("/img.jpg/x.php", "nothing"),
            ("/img.jpg/.php", "refused 404"),
            ("/admin/style.css/x.php", "nothing"),
            ("/no.php", "nothing"),
            ("/no.php/x", "nothing"),
            ("/index.php%20", "nothing"),
            ("/index.php.", "nothing"),
            ("/index.PHP", "nothing"),
            ("/x.PHP", "refused 404"),
            ("/x.phtml", "refused 404"),
            ("/x.php5", "refused 404"),
            ("/x.php.bak", "refused 404"),
            ("/y.php.", "refused 404"),
            ("/z.php%20", "refused 404"),
            ("/lib.txt", "refused 404"),
            ("/run.php", "refused 404"),
            ("/../lib.php", "refused 400"),
        ],
    );
}

#[test]
fn the_front_controller_gets_what_is_not_there() {
    let mut shop = Shop::new();
    shop.write("public/app.php", "<?php").write("public/css/a.css", "css").write("public/img.jpg", "picture");
    shop.write("public/.env", "SECRET").write("public/evil", "").link("public/etc", "/etc");
    (shop.says.docroot, shop.says.front) = ("public".into(), Some("app.php".into()));
    let front = "run releases/r1/public/app.php as /app.php with []";
    means(
        &shop,
        &[
            ("/", front),
            ("/some/pretty/url", front),
            ("/some/pretty/url/?q", front),
            ("/css/", front),
            ("/css", front),
            ("/css/a.css", "file css"),
            ("/css/a.css/b", front),
            ("/img.jpg/x.php", "nothing"),
            ("/missing.php", front),
            ("/.env", "refused 404"),
            ("/etc/passwd", "refused 403"),
        ],
    );
    let long = "/".to_owned() + &"x".repeat(300);
    assert_eq!(meaning(&shop, &long), front, "no file has so long a name, but a page may");
    shop.says.front = Some("gone.php".into());
    assert_eq!(meaning(&shop, "/x"), "nothing");
}

#[test]
fn links_lead_within_the_release_and_into_shared_only() {
    let mut shop = Shop::new();
    shop.write_at("shared/uploads/a.txt", "upload")
        .write_at("shared/uploads/evil.php", "<?php")
        .write_at("../secret.txt", "SECRET");
    shop.write_at("shared/one.txt", "one")
        .write_at("releases/r0/old.txt", "old")
        .write("storage/app/public/b.txt", "b");
    shop.write("lib/code.txt", "code").write("lib/run.php", "<?php");
    let root = shop.app.root().to_owned();
    shop.link("public/inside", "../lib")
        .link("public/absolute", shop.release("lib"))
        .link("lib/again", "code.txt");
    shop.link("public/uploads", "../../../shared/uploads")
        .link("public/abs-uploads", root.join("shared/uploads"));
    shop.link("public/one.txt", "../../../shared/one.txt")
        .link("storage/app/public/up", "../../../../../shared/uploads");
    shop.link("public/storage", "../storage/app/public").link("public/x.php", "uploads/evil.php");
    shop.link("public/out", "../../../..")
        .link("public/secret", "../../../../secret.txt")
        .link("public/etc", "/etc");
    shop.link("public/app", "../../..")
        .link("public/old", "../../r0")
        .link("public/current", root.join("current"));
    shop.link("public/loop", "loop")
        .link("public/ping", "pong")
        .link("public/pong", "ping")
        .link("public/gone", "nowhere");
    shop.link("public/detour", "../../../shared/../releases/r1/lib")
        .link("public/shared-out", "../../../shared/out");
    shop.link("public/run.php", "../lib/run.php").link("public/proc", "/proc/self/root/etc");
    for (name, target) in [
        ("out", "../../secret.txt"),
        ("into-release", "../releases/r1/lib/code.txt"),
        ("within", "uploads/a.txt"),
    ] {
        rustix::fs::symlinkat(target, rustix::fs::CWD, shop.path("shared").join(name)).unwrap();
    }
    rustix::fs::symlinkat(root.join("shared/one.txt"), rustix::fs::CWD, shop.path("shared/uploads/abs"))
        .unwrap();
    shop.link("public/s", "../../../shared");
    shop.says.docroot = "public".into();
    let table = [
        ("/inside/code.txt", "file code"),
        ("/inside/again", "file code"),
        ("/absolute/code.txt", "file code"),
        ("/uploads/a.txt", "file upload"),
        ("/abs-uploads/a.txt", "file upload"),
        ("/uploads/abs", "file one"),
        ("/one.txt", "file one"),
        ("/storage/b.txt", "file b"),
        ("/storage/up/a.txt", "file upload"),
        ("/detour/code.txt", "refused 403"),
        ("/s/within", "file upload"),
        ("/run.php/info", "run releases/r1/lib/run.php as /run.php with [/info]"),
        ("/uploads/evil.php", "refused 403"),
        ("/x.php", "refused 403"),
        ("/out/secret.txt", "refused 403"),
        ("/out/shop/shared/one.txt", "refused 403"),
        ("/secret", "refused 403"),
        ("/etc/passwd", "refused 403"),
        ("/etc", "refused 403"),
        ("/app/shared/one.txt", "refused 403"),
        ("/app/.cutover/manifests/r1", "refused 404"),
        ("/app/releases/r1/lib/code.txt", "refused 403"),
        ("/app/current/lib/code.txt", "refused 403"),
        ("/old/old.txt", "refused 403"),
        ("/current/lib/code.txt", "refused 403"),
        ("/loop", "refused 404"),
        ("/ping/x", "refused 404"),
        ("/gone", "nothing"),
        ("/shared-out", "refused 403"),
        ("/s/out", "refused 403"),
        ("/s/into-release", "refused 403"),
        ("/proc/passwd", "refused 403"),
        ("/uploads/no", "nothing"),
        ("/uploads/a.txt/no", "nothing"),
    ];
    means(&shop, &table);
    shop.execute_shared = true;
    assert_eq!(
        meaning(&shop, "/uploads/evil.php"),
        "run shared/uploads/evil.php as /uploads/evil.php with []"
    );
}

#[test]
fn shared_may_itself_be_a_link_and_be_named_by_either_path() {
    let shop = Shop::new();
    shop.write_at("../volume/a.txt", "volume");
    std::fs::remove_dir(shop.path("shared")).unwrap();
    rustix::fs::symlinkat("../volume", rustix::fs::CWD, shop.path("shared")).unwrap();
    shop.link("by-name", shop.path("shared/a.txt")).link("by-truth", shop.path("../volume/a.txt"));
    shop.link("relative", "../../shared/a.txt");
    means(&shop, &[("/by-name", "file volume"), ("/by-truth", "file volume"), ("/relative", "file volume")]);
}

#[test]
fn the_docroot_may_be_a_link_within_the_release_and_nothing_else() {
    let mut shop = Shop::new();
    shop.write("build/out/a.txt", "a")
        .link("public", "build/out")
        .link("etc", "/etc")
        .link("up", "../../shared");
    shop.says.docroot = "public".into();
    means(&shop, &[("/a.txt", "file a")]);
    assert!(shop.tree().docroot().ends_with("releases/r1/build/out"));
    for docroot in ["etc", "up", "no", "build/out/a.txt"] {
        let lease = release::Lease::take(&shop.app, &release::live::read(&shop.app).unwrap()).unwrap();
        let says = config::Says { docroot: docroot.into(), ..config::Says::default() };
        let shared = serve::tree::Ground::shared(&shop.app).unwrap();
        let tree = serve::tree::Tree::new(&lease, shared, None, says.into(), false, shop.memory.clone());
        assert!(tree.is_err(), "{docroot}");
    }
}

#[test]
fn special_files_are_not_waited_for() {
    let shop = Shop::new();
    rustix::fs::mknodat(rustix::fs::CWD, shop.release("pipe"), rustix::fs::FileType::Fifo, 0o644.into(), 0)
        .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(shop.release("socket")).unwrap();
    for path in ["/pipe", "/socket"] {
        assert!(matches!(shop.resolve(path), Resource::Refused(Refused::Miss(Miss::Special))), "{path}");
    }
}

#[test]
fn an_application_may_name_a_file_of_its_release_or_of_shared() {
    let mut shop = Shop::new();
    shop.write("data/private.pdf", "pdf").write("public/index.php", "<?php").write_at("shared/film", "film");
    shop.write_at("../secret", "SECRET").link("media", "../../shared").write("data/.env", "SECRET");
    shop.says.docroot = "public".into();
    for sealed in [false, true] {
        if sealed {
            shop.seal();
        }
        let tree = shop.tree();
        let root = shop.app.root().display();
        let send = |path: &str| match Resource::sendfile(&tree, path.as_bytes()) {
            Resource::File(found) => {
                let (method, headers) = (Method::GET, http::HeaderMap::new());
                let ask = serve::file::Ask { method: &method, headers: &headers, by_kernel: false };
                crate::shop::answer(&tree, ask, Resource::File(found)).text().to_owned()
            }
            Resource::Refused(why) => format!("refused {}", why.status()),
            Resource::NotFound => "nothing".into(),
            Resource::Script(_) | Resource::Redirect(_) | Resource::Listing(_) => "?".into(),
        };
        for (path, wanted) in [
            (format!("{root}/releases/r1/data/private.pdf"), "pdf"),
            (format!("{root}/releases/r1/media/film"), "film"),
            (format!("{root}/shared/film"), "film"),
            (format!("{root}/releases/r1/public/../data/private.pdf"), "pdf"),
            (format!("{root}/releases/r1/public/index.php"), "refused 404"),
            (format!("{root}/releases/r1/data/.env"), "refused 404"),
            (format!("{root}/releases/r1/data"), "nothing"),
            (format!("{root}/current/data/private.pdf"), "refused 403"),
            (format!("{root}/../secret"), "refused 403"),
            ("/etc/passwd".into(), "refused 403"),
            ("data/private.pdf".into(), "nothing"),
            (String::new(), "nothing"),
            ("/".into(), "refused 403"),
        ] {
            assert_eq!(send(&path), wanted, "{path}, sealed: {sealed}");
        }
    }
}

#[test]
fn programs_of_cgi_are_the_first_file_on_the_way() {
    let shop = Shop::new();
    shop.write("cgi-bin/env", "#!/bin/sh")
        .write("cgi-bin/deep/tool.pl", "#!")
        .write("other", "")
        .write("cgi-bin/.x", "");
    let tree = shop.tree();
    let program = |raw: &str| {
        let path = serve::resource::UrlPath::parse(raw).unwrap();
        serve::resource::script::program(&tree, &path, b"/cgi-bin/")
            .map(|script| {
                (String::from_utf8(script.name).unwrap(), String::from_utf8(script.path_info).unwrap())
            })
            .map_err(Refused::status)
    };
    let is = |name: &str, info: &str| Ok((name.to_owned(), info.to_owned()));
    assert_eq!(program("/cgi-bin/env"), is("/cgi-bin/env", ""));
    assert_eq!(program("/cgi-bin/env/a/b/"), is("/cgi-bin/env", "/a/b/"));
    assert_eq!(program("/cgi-bin/deep/tool.pl/x"), is("/cgi-bin/deep/tool.pl", "/x"));
    for path in ["/cgi-bin/", "/cgi-bin/deep/", "/cgi-bin/no", "/other", "/cgi-bin/.x"] {
        assert_eq!(program(path), Err(404), "{path}");
    }
}

#[test]
fn a_directory_is_listed_only_where_the_release_says_so() {
    let mut shop = Shop::new();
    shop.write("d/<b>.txt", "x")
        .write("d/.hidden", "")
        .write("d/s.php", "<?php")
        .write("d/e/f", "")
        .link("d/out", "/etc");
    shop.link("d/in", "e").write("cutover.toml", "");
    assert_eq!(meaning(&shop, "/d/"), "nothing");
    shop.says.listing = true;
    means(&shop, &[("/d/", "listing"), ("/d", "to /d/"), ("/d/e", "to /d/e/"), ("/.git/", "refused 404")]);
    let page = shop.get("/d/");
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.text().contains("<a href=\"./%3Cb%3E.txt\">&lt;b&gt;.txt</a>"), "{}", page.text());
    assert!(page.text().contains("./e/") && page.text().contains("./in/"));
    for hidden in [".hidden", "s.php", "out"] {
        assert!(!page.text().contains(hidden), "{hidden}");
    }
    assert!(!shop.get("/").text().contains("cutover.toml"));
    assert_eq!(ask(&shop.tree(), Method::POST, "/d/", &[]).status, 405);
    let head = ask(&shop.tree(), Method::HEAD, "/d/", &[]);
    assert_eq!((head.header("content-length"), head.body.len()), (&*page.body.len().to_string(), 0));
}
