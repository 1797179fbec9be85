//! What a web server names, and what it gets of the pinned release.

use super::stand::{CONFIG, serve, serve_as};
use super::wire::Wire;
use crate::serve::server::{App, Server};

const TELL: &str = "<?php header('Content-Type: text/plain'); foreach ($_SERVER as $k => $v) if (is_string($v)) echo \"$k=$v\\n\";";

/// r1 was live, r2 is. Each has a file and a script that the other has not.
fn shop() -> Server {
    let common = [("public/index.php", TELL), ("public/a/b.php", TELL), ("config/x.php", TELL)];
    let app = App::new(CONFIG)
        .release("r1", &common)
        .release("r1", &[("public/only-r1.php", TELL), ("public/both.txt", "r1")])
        .release("r2", &common)
        .release("r2", &[("public/only-r2.txt", "of r2"), ("public/both.txt", "r2")]);
    serve(app.sealed("r1").sealed("r2").live("r2"))
}

/// The file that ran, relative to the release; its name; the path behind it.
fn ran(server: &Server, pairs: &[(&str, &str)]) -> (String, String, String) {
    let root = std::fs::canonicalize(server.app.root()).unwrap();
    let named: Vec<(&str, String)> = pairs
        .iter()
        .map(|(name, value)| (*name, value.replace("APP", &server.app.root().display().to_string())))
        .collect();
    let mut all = vec![("REQUEST_METHOD", "GET"), ("SERVER_NAME", "shop.test")];
    all.extend(named.iter().map(|(name, value)| (*name, value.as_str())));
    let answer = Wire::to(server.port()).ask(&all, b"");
    assert_eq!(answer.header("x-cutover-release"), Some("r2"), "{answer:?}");
    match answer.told("SCRIPT_FILENAME") {
        Some(file) => {
            assert_eq!(
                answer.told("DOCUMENT_ROOT").unwrap(),
                root.join("releases/r2/public").display().to_string()
            );
            let release = root.join("releases/r2").display().to_string();
            (
                file.strip_prefix(&release).unwrap_or(&file).to_owned(),
                answer.told("SCRIPT_NAME").unwrap(),
                answer.told("PATH_INFO").unwrap_or_default(),
            )
        }
        None => (answer.text(), answer.status().to_string(), String::new()),
    }
}

#[test]
fn whatever_path_a_web_server_names_it_is_the_pinned_releases() {
    let server = shop();
    let index = ("/public/index.php", "/index.php", "");
    let b = ("/public/a/b.php", "/a/b.php", "");
    let info = ("/public/a/b.php", "/a/b.php", "/more info");
    // What is told, and the file that runs, its name and the path behind it.
    type Case<'a> = (&'a [(&'a str, &'a str)], (&'a str, &'a str, &'a str));
    let table: &[Case<'_>] = &[
        (&[("SCRIPT_FILENAME", "APP/current/public/index.php"), ("SCRIPT_NAME", "/index.php")], index),
        (&[("SCRIPT_FILENAME", "APP/releases/r2/public/a/b.php")], b),
        (&[("SCRIPT_FILENAME", "APP/releases/r1/public/a/b.php"), ("REQUEST_URI", "/a/b.php")], b),
        (&[("SCRIPT_FILENAME", "APP/releases/gone/public/a/b.php"), ("REQUEST_URI", "/a/b.php")], b),
        (&[("SCRIPT_FILENAME", "proxy:fcgi://127.0.0.1:9001APP/current/public/a/b.php")], b),
        (&[("SCRIPT_FILENAME", "proxy:balancer://php/APP/current/public/a/b.php/more info")], info),
        (
            &[
                ("SCRIPT_FILENAME", "proxy:fcgi://localhost:9001APP/current/public/a/b.php/more%20info"),
                ("SCRIPT_NAME", "/a/b.php/more info"),
                ("REQUEST_URI", "/a/b.php/more%20info"),
            ],
            info,
        ),
        (&[("SCRIPT_FILENAME", "//a/b.php"), ("SCRIPT_NAME", "/a/b.php/more info")], info),
        (&[("SCRIPT_FILENAME", "APP/current/public/a/b.php"), ("PATH_INFO", "/more info")], info),
        (&[("SCRIPT_NAME", "/a/b.php"), ("PATH_INFO", "/more info")], info),
        (
            &[
                ("SCRIPT_FILENAME", "APP/current/public/"),
                ("SCRIPT_NAME", ""),
                ("PATH_INFO", "/a/b.php/more info"),
            ],
            info,
        ),
        (&[("SCRIPT_FILENAME", "/var/www/html/a/b.php"), ("DOCUMENT_ROOT", "/var/www/html")], b),
        (&[("SCRIPT_FILENAME", "/elsewhere/a/b.php"), ("SCRIPT_NAME", "/a/b.php")], b),
        (&[("DOCUMENT_URI", "/a/b.php")], b),
        // The site begins below a path of the web server's.
        (
            &[
                ("SCRIPT_FILENAME", "APP/current/public/a/b.php"),
                ("SCRIPT_NAME", "/app/a/b.php"),
                ("REQUEST_URI", "/app/a/b.php"),
            ],
            ("/public/a/b.php", "/app/a/b.php", ""),
        ),
        (
            &[
                ("SCRIPT_FILENAME", "APP/current/public/nowhere"),
                ("SCRIPT_NAME", "/app/nowhere"),
                ("REQUEST_URI", "/app/nowhere?q=1"),
            ],
            ("/public/index.php", "/app/index.php", ""),
        ),
        // A rewrite of the web server's own: its word counts.
        (&[("SCRIPT_FILENAME", "APP/current/public/a/b.php"), ("REQUEST_URI", "/pretty")], b),
        // What only another release has: decided anew.
        (
            &[
                ("SCRIPT_FILENAME", "APP/releases/r1/public/only-r1.php"),
                ("SCRIPT_NAME", "/only-r1.php"),
                ("REQUEST_URI", "/only-r1.php?x"),
            ],
            index,
        ),
        (
            &[
                ("SCRIPT_FILENAME", "APP/releases/r1/public/index.php"),
                ("SCRIPT_NAME", "/index.php"),
                ("REQUEST_URI", "/only-r2.txt"),
            ],
            ("of r2", "200", ""),
        ),
        // There in both, so the web server did not look for it: it wants the front controller.
        (
            &[
                ("SCRIPT_FILENAME", "APP/releases/r1/public/index.php"),
                ("SCRIPT_NAME", "/index.php"),
                ("REQUEST_URI", "/both.txt"),
            ],
            index,
        ),
        (
            &[
                ("SCRIPT_FILENAME", "APP/current/public/index.php"),
                ("SCRIPT_NAME", "/index.php"),
                ("REQUEST_URI", "/only-r2.txt"),
            ],
            index,
        ),
    ];
    for (pairs, (file, name, path_info)) in table {
        let got = ran(&server, pairs);
        assert_eq!((got.0.as_str(), got.1.as_str(), got.2.as_str()), (*file, *name, *path_info), "{pairs:?}");
    }
}

#[test]
fn nothing_outside_of_the_docroot_runs() {
    let server = shop();
    std::fs::write(server.app.root().join("outside.php"), "<?php echo 'outside';").unwrap();
    for file in ["APP/outside.php", "APP/current/config/x.php", "/usr/share/tool/index.php"] {
        let name = file.rsplit_once('/').unwrap().1;
        let uri = format!("/{name}");
        let pairs = [("SCRIPT_FILENAME", file), ("SCRIPT_NAME", uri.as_str()), ("REQUEST_URI", uri.as_str())];
        let got = ran(&server, &pairs);
        assert_eq!(got.0, "/public/index.php", "{file}");
    }
    let mut wire = Wire::to(server.port());
    for (file, status) in [
        ("APP/current/public/../config/x.php", 400),
        ("APP/current/public/a\0/b.php", 400),
        ("APP/current/public/.git/x.php", 404),
        ("APP/current/public/cutover.toml", 404),
    ] {
        let file = file.replace("APP", &server.app.root().display().to_string());
        let answer = wire.ask(&[("SCRIPT_FILENAME", file.as_str()), ("REQUEST_URI", "/x")], b"");
        assert_eq!(answer.status(), status, "{file}: {answer:?}");
    }
}

#[test]
fn what_sticks_to_a_worker_or_forges_is_dropped_and_of_two_words_the_last_counts() {
    let server = shop();
    let root = server.app.root().display().to_string();
    let answer = Wire::to(server.port()).ask(
        &[
            ("SCRIPT_FILENAME", "/wrong"),
            ("SCRIPT_FILENAME", &format!("{root}/current/public/index.php")),
            ("APP_ENV", "one"),
            ("APP_ENV", "two"),
            ("PHP_VALUE", "auto_prepend_file=/etc/passwd"),
            ("PHP_ADMIN_VALUE", "open_basedir=/"),
            ("HTTP_PROXY", "http://evil"),
            ("CUTOVER_RELEASE", "forged"),
            ("CUTOVER_RELEASE_ROOT", "/forged"),
            ("CONTEXT_DOCUMENT_ROOT", "/old"),
            ("PATH_TRANSLATED", "/old"),
            ("REMOTE_USER", "ann"),
            ("HTTPS", "on"),
        ],
        b"",
    );
    assert_eq!(answer.told("APP_ENV").as_deref(), Some("two"));
    assert_eq!(answer.told("CUTOVER_RELEASE").as_deref(), Some("r2"));
    assert_eq!(answer.told("REMOTE_USER").as_deref(), Some("ann"));
    assert_eq!(answer.told("REDIRECT_STATUS").as_deref(), Some("200"));
    assert!(answer.told("CONTEXT_DOCUMENT_ROOT").unwrap().ends_with("/releases/r2/public"));
    for absent in ["PHP_VALUE", "PHP_ADMIN_VALUE", "HTTP_PROXY", "PATH_TRANSLATED"] {
        assert_eq!(answer.told(absent), None, "{absent}");
    }
    assert_eq!(answer.text().matches("forged").count(), 0);
}

#[test]
fn scripts_among_uploads_run_only_where_that_is_allowed() {
    for (allowed, status) in [("", 403), ("execute_shared = true\n", 200)] {
        let app = App::new(CONFIG).release("r1", &[("public/index.php", "<?php echo 'front';")]);
        std::fs::create_dir_all(app.root().join("shared/up")).unwrap();
        std::fs::write(app.root().join("shared/up/x.php"), "<?php echo 'ran';").unwrap();
        std::os::unix::fs::symlink("../../../shared/up", app.root().join("releases/r1/public/up")).unwrap();
        let text = app.config().replace("/ROOT", &app.root().display().to_string());
        let text = text.replace("workers = 4\n", &format!("workers = 4\n{allowed}"));
        let server = serve_as(app.live("r1"), &text);
        let root = server.app.root().display().to_string();
        let file = format!("{root}/current/public/up/x.php");
        let pairs =
            [("SCRIPT_FILENAME", file.as_str()), ("SCRIPT_NAME", "/up/x.php"), ("REQUEST_URI", "/up/x.php")];
        let answer = Wire::to(server.port()).ask(&pairs, b"");
        assert_eq!(answer.status(), status, "{answer:?}");
        assert_eq!(answer.text() == "ran", status == 200);
    }
}

#[test]
fn a_web_server_that_sees_other_paths_is_understood_by_the_path_map() {
    let app = App::new(CONFIG).release("r1", &[("public/index.php", TELL), ("public/a.php", TELL)]);
    let root = app.root().display().to_string();
    let text = app.config().replace("/ROOT", &root);
    // The pool sees what we see, by another name: a link that stands for another container.
    let seen = tempfile::tempdir().unwrap();
    let there = seen.path().join("www");
    std::os::unix::fs::symlink(app.root(), &there).unwrap();
    std::fs::set_permissions(seen.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let there = there.display().to_string();
    let text =
        text.replace("workers = 4\n", &format!("workers = 4\npath_map = {{ \"{root}\" = \"{there}\" }}\n"));
    let server = serve_as(app.live("r1"), &text);
    let file = format!("{there}/current/public/a.php");
    let answer =
        Wire::to(server.port()).ask(&[("SCRIPT_FILENAME", file.as_str()), ("REQUEST_URI", "/pretty")], b"");
    assert_eq!(
        answer.told("SCRIPT_FILENAME"),
        Some(format!("{there}/releases/r1/public/a.php")),
        "{answer:?}"
    );
    assert_eq!(answer.told("CUTOVER_RELEASE_ROOT"), Some(format!("{there}/releases/r1")));
}

#[test]
fn a_guarded_path_is_guarded_by_whatever_name_and_a_redirect_leads_to_where_the_site_begins() {
    let app = App::new(CONFIG)
        .release(
            "r1",
            &[("public/index.php", "<?php echo 'front';"), ("public/admin/x.php", "<?php echo 'secret';")],
        )
        .release("r1", &[("public/dir/index.html", "here")]);
    let text = app.config().replace("/ROOT", &app.root().display().to_string());
    let users = "users = { alice = \"$2y$10$abcdefghijklmnopqrstuuW7r1ZQbTQKq4zWn6p7sB2rW0b0n4eWq\" }";
    let server = serve_as(
        app.live("r1"),
        &format!("{text}\n[[site.auth]]\npath = \"/admin\"\nrealm = \"staff\"\n{users}\n"),
    );
    let root = server.app.root().display().to_string();
    let mut wire = Wire::to(server.port());
    let secret = format!("{root}/current/public/admin/x.php");
    for uri in ["/admin/x.php", "/rewritten"] {
        let answer = wire.ask(&[("SCRIPT_FILENAME", secret.as_str()), ("REQUEST_URI", uri)], b"");
        assert_eq!(answer.status(), 401, "{uri}: {answer:?}");
        assert!(answer.header("www-authenticate").is_some_and(|how| how.contains("staff")), "{answer:?}");
    }
    assert_eq!(wire.ask(&[("REQUEST_URI", "/"), ("SCRIPT_NAME", "/")], b"").text(), "front");
    let dir = format!("{root}/current/public/dir");
    let pairs =
        [("SCRIPT_FILENAME", dir.as_str()), ("SCRIPT_NAME", "/app/dir"), ("REQUEST_URI", "/app/dir?q=1")];
    let moved = wire.ask(&pairs, b"");
    assert_eq!((moved.status(), moved.header("location")), (301, Some("/app/dir/?q=1")), "{moved:?}");
}
