//! Lighttpd: each bad pattern in a real server's configuration is found, and Debian's own is not complained of.

use std::path::Path;

use doctor::machine::Here;
use doctor::{Facts, Report, Targets};

use crate::web::{Kind, Stand, altered, skipped};

const BASE: &str = "\
server.port = {port}
server.bind = \"127.0.0.1\"
server.errorlog = \"{dir}/run/error.log\"
server.modules = ( \"mod_indexfile\", \"mod_access\", \"mod_alias\", \"mod_fastcgi\", \"mod_staticfile\" )
mimetype.assign = ( \".css\" => \"text/css\" )
";
const LINKED: &str = "server.document-root = \"{dir}/shop/current/public\"\n";
const PLAIN: &str = "server.document-root = \"{dir}/run\"\n";
const LIVE: &str = "server.stat-cache-engine = \"disable\"\n";
const PHP: &str = "fastcgi.server = ( \".php\" => (( \"socket\" => \"{dir}/fpm.sock\", \"check-local\" => \"disable\" )) )\n";

fn stand(lines: &[&str]) -> Stand {
    Stand::new(Kind::Lighttpd, &format!("{BASE}{}", lines.concat()))
}

#[test]
fn each_bad_pattern_is_found_in_a_running_server() {
    let host = "$HTTP[\"host\"] == \"shop.example.com\" {\n";
    let other = "$HTTP[\"host\"] == \"www.example.com\" {\n";
    let cases: &[(&[&str], &[&str])] = &[
        (&[PLAIN, PHP], &[]),
        (&[LINKED, LIVE], &[]),
        (&[LINKED, LIVE, PHP], &["C04"]),
        (&[PLAIN, LIVE, PHP, host, LINKED, "}\n"], &["C04"]),
        (&[PLAIN, LIVE, host, LINKED, "} else ", other, PHP, "}\n"], &[]),
        (&[PLAIN, LIVE, host, LINKED, "$HTTP[\"url\"] =~ \"^/app\" {\n", PHP, "}\n}\n"], &["C04"]),
        (
            &["var.app = \"{dir}/shop\"\nserver.document-root = var.app + \"/current/public\"\n", LIVE, PHP],
            &["C04"],
        ),
        (&[PLAIN, LIVE, PHP, "alias.url = ( \"/shop\" => \"{dir}/shop/current/public\" )\n"], &["C04"]),
        (
            &[
                PLAIN,
                LIVE,
                PHP,
                "server.modules += ( \"mod_simple_vhost\" )\nsimple-vhost.server-root = \"{dir}\"\n\
                 simple-vhost.default-host = \"shop\"\nsimple-vhost.document-root = \"current/public\"\n",
            ],
            &["C04"],
        ),
        (&[PLAIN, LIVE, "include \"conf.d/*.conf\"\n"], &["C04"]),
        (&[LINKED], &["C05"]),
        (&[LINKED, "server.stat-cache-engine = \"inotify\"\n"], &["C05"]),
        (&[LINKED, LIVE, "server.follow-symlink = \"disable\"\n"], &["C06"]),
        (&["server.document-root = \"{dir}/shop/releases/r1/public\"\n"], &["C07"]),
    ];
    for (lines, ids) in cases {
        let stand = stand(lines);
        stand.file("conf.d/shop.conf", &stand.filled(&[host, LINKED, PHP, "}\n"].concat()));
        let running = stand.start();
        let report = stand.report();
        assert_eq!(stand.found(), *ids, "{lines:?} {report:#?}");
        assert!(report.blind.is_empty(), "{:?}", report.blind);
        drop(running);
    }
}

#[test]
fn what_the_pages_say_of_remembered_files_and_links_is_so() {
    let kept = stand(&[LINKED, "server.stat-cache-engine = \"inotify\"\n"]);
    let web = kept.start();
    // It remembers a file from the second request on.
    for _ in 0..3 {
        assert_eq!(web.get("/app.css").1, "r1");
    }
    kept.flip("releases/r2");
    assert_eq!(web.get("/app.css").1, "r1", "C05 is no longer so");
    let live = stand(&[LINKED, LIVE]);
    let web = live.start();
    assert_eq!(web.get("/app.css").1, "r1");
    live.flip("releases/r2");
    assert_eq!(web.get("/app.css").1, "r2");
    let no_links = stand(&[LINKED, LIVE, "server.follow-symlink = \"disable\"\n"]);
    assert_eq!(no_links.start().get("/app.css").0, 403);
}

#[test]
fn a_configuration_that_lighttpd_refuses_is_found() {
    let stand = stand(&[PLAIN, "fastcgi.server = \n"]);
    assert_eq!(stand.found(), ["C09"]);
}

#[test]
fn programs_that_a_configuration_names_are_not_run() {
    let stand = stand(&[PLAIN, "include_shell \"touch {dir}/run/was-run\"\n"]);
    let report = stand.report();
    assert!(!stand.path("run/was-run").exists());
    assert_eq!(report.findings().count(), 0);
    assert!(report.blind.iter().any(|blind| blind.what.starts_with("include_shell")), "{:?}", report.blind);
}

#[test]
fn debians_own_configuration_is_not_complained_of() {
    let name = "debians_own_configuration_is_not_complained_of (lighttpd)";
    if let Some(why) = altered("lighttpd", Path::new("/etc/lighttpd")) {
        return skipped(name, &why);
    }
    let targets = Targets { lighttpd: vec!["/etc/lighttpd/lighttpd.conf".into()], ..Targets::default() };
    let facts = Facts::look(&Here, &targets);
    let report = Report::of(&facts);
    assert_eq!(report.findings().count(), 0, "{report:#?}");
    assert!(report.blind.is_empty(), "{:?}", report.blind);
    assert!(!facts.lighttpd[0].roots.is_empty());
}
