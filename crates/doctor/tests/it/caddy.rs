//! Caddy: each bad pattern in a real server's configuration is found, and Debian's own is not complained of.

use std::path::Path;
use std::process::Command;

use doctor::machine::Here;
use doctor::{Facts, Report, Targets};

use crate::web::{Kind, Stand, altered, skipped};

const GLOBAL: &str = "{\n\tadmin off\n\tauto_https off\n}\n";
const LINKED: &str = "root * {dir}/shop/current/public\n";
const PHP: &str = "php_fastcgi unix/{dir}/fpm.sock";

fn stand(before: &str, lines: &[&str]) -> Stand {
    let site = format!("http://127.0.0.1:{{port}} {{\n{}}}\n", lines.concat());
    let filled = format!("{GLOBAL}{before}{site}");
    Stand::new(Kind::Caddy, &filled)
}

#[test]
fn each_bad_pattern_is_found_in_a_running_server() {
    let php = &format!("{PHP}\n");
    let resolved = &format!("{PHP} {{\n\tresolve_root_symlink\n}}\n");
    let snippet = format!("(app) {{\n\troot * {{args.0}}/current/public\n\t{PHP}\n}}\n");
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("", &["root * {dir}/run\n", php, "file_server\n"], &[]),
        ("", &[LINKED, php], &["C01"]),
        ("", &[LINKED, php, "file_server\n"], &["C01", "C02"]),
        ("", &[LINKED, resolved, "file_server\n"], &["C02"]),
        ("", &[LINKED, "file_server\n"], &["C02"]),
        (
            "",
            &[LINKED, "reverse_proxy unix/{dir}/fpm.sock {\ntransport fastcgi {\nsplit .php\n}\n}\n"],
            &["C01"],
        ),
        (
            "",
            &["handle_path /shop/* {\n", LINKED, php, "}\n", "handle {\nroot * {dir}/run\nfile_server\n}\n"],
            &["C01"],
        ),
        ("", &["import sites/*\n"], &["C01"]),
        (&snippet, &["import app {dir}/shop\n"], &["C01"]),
        ("", &["root * {dir}/shop/releases/r1/public\nfile_server\n"], &["C07"]),
    ];
    for (before, lines, ids) in cases {
        let stand = stand(before, lines);
        stand.file("sites/shop", &stand.filled(&[LINKED, php].concat()));
        let running = stand.start();
        let report = stand.report();
        assert_eq!(stand.found(), *ids, "{lines:?} {report:#?}");
        assert!(report.blind.is_empty(), "{:?}", report.blind);
        drop(running);
    }
}

#[test]
fn the_same_is_found_in_caddys_own_form() {
    let stand = stand("", &[LINKED, PHP, "\nfile_server\n"]);
    let conf = stand.conf();
    let mut adapt = Command::new("/usr/bin/caddy");
    adapt.args(["adapt", "--adapter", "caddyfile", "--config"]).arg(conf).env("HOME", stand.path("run"));
    let adapted = adapt.output().unwrap();
    stand.file("caddy.json", &String::from_utf8(adapted.stdout).unwrap());
    let targets = Targets { caddy: vec![stand.path("caddy.json")], ..Targets::default() };
    let report = Report::of(&Facts::look(&Here, &targets));
    let ids: Vec<_> = report.findings().map(|(check, _)| check.id).collect();
    assert_eq!(ids, ["C01", "C02"], "{report:#?}");
    let at = report.findings().next().unwrap().1.also[0].1.clone();
    assert!(at.meant().ends_with("/shop/current/public"), "{at:?}");
}

#[test]
fn a_configuration_that_caddy_refuses_is_found() {
    let stand = stand("", &["file_servr\n"]);
    assert_eq!(stand.found(), ["C08"]);
}

#[test]
fn what_is_to_be_written_into_a_caddyfile_is_what_caddy_wants() {
    let stand = stand("", &[LINKED, PHP, "\n"]);
    let (_, finding) =
        stand.report().findings().map(|(check, finding)| (check, finding.clone())).next().unwrap();
    let [doctor::finding::Edit::Replace { at, with }] = &finding.fix.edits[..] else { panic!("{finding:?}") };
    let text = std::fs::read_to_string(stand.conf()).unwrap().replace(at.meant(), with);
    std::fs::write(stand.conf(), text).unwrap();
    assert_eq!(stand.found(), ["C02"]);
    drop(stand.start());
}

#[test]
fn debians_own_configuration_is_not_complained_of() {
    let name = "debians_own_configuration_is_not_complained_of (caddy)";
    if let Some(why) = altered("caddy", Path::new("/etc/caddy")) {
        return skipped(name, &why);
    }
    let targets = Targets { caddy: vec!["/etc/caddy/Caddyfile".into()], ..Targets::default() };
    let facts = Facts::look(&Here, &targets);
    let report = Report::of(&facts);
    assert_eq!(report.findings().count(), 0, "{report:#?}");
    assert!(report.blind.is_empty(), "{:?}", report.blind);
    assert_eq!(facts.caddy[0].handlers.len(), 1, "{:?}", facts.caddy);
}
