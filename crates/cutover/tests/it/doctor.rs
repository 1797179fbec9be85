//! `cutover doctor` as a person or CI runs it, on files that a real nginx takes.
#![allow(
    clippy::disallowed_methods,
    reason = "links where none was before, and a directory that goes away: no flip"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::web::CUTOVER;

/// An app with a release, and an nginx that has a site for it, reached by a link in `sites-enabled/`.
struct Host {
    dir: tempfile::TempDir,
}

const SITE: &str = "server {
    listen unix:DIR/run/nginx.sock;
    server_name shop.example.com;
    root DIR/shop/current/public;
    location / {
        try_files $uri /index.php$is_args$args;
    }
    location ~ \\.php$ {
        include DIR/etc/fastcgi_params;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        fastcgi_pass unix:DIR/run/fpm.sock;
    }
}
";

impl Host {
    fn new() -> Host {
        let host = Host { dir: tempfile::tempdir().unwrap() };
        fs::set_permissions(host.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        host.file("shop/releases/r1/public/index.php", "<?php echo 'r1';");
        symlink("releases/r1", host.path("shop/current")).unwrap();
        host.file(
            "shop/cutover.toml",
            "[app]\nname = \"shop\"\nroot = \".\"\ndocroot = \"public\"\n[php]\nfpm = \"unix:DIR/run/fpm.sock\"\n\
             front = \"index.php\"\n",
        );
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path DIR/run/{name};\n"))
            .concat();
        let conf = format!(
            "pid DIR/run/pid;\nerror_log DIR/run/log;\nevents {{ }}\nhttp {{\naccess_log off;\n{temporary}\
             include DIR/etc/sites-enabled/*;\n}}\n"
        );
        host.file("etc/nginx.conf", &conf);
        host.file(
            "etc/fastcgi_params",
            "fastcgi_param DOCUMENT_ROOT $document_root;\nfastcgi_param QUERY_STRING $query_string;\n",
        );
        host.file("etc/sites-available/shop", SITE);
        fs::create_dir_all(host.path("etc/sites-enabled")).unwrap();
        fs::create_dir_all(host.path("run")).unwrap();
        symlink("../sites-available/shop", host.path("etc/sites-enabled/shop")).unwrap();
        host
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn site(&self) -> PathBuf {
        self.path("etc/sites-available/shop")
    }

    fn file(&self, below: &str, text: &str) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace("DIR", self.dir.path().to_str().unwrap())).unwrap();
    }

    fn cutover(&self, words: &[&str]) -> Output {
        Command::new(CUTOVER).args(words).current_dir(self.dir.path()).output().unwrap()
    }

    /// `cutover doctor --nginx …`.
    fn doctor(&self, words: &[&str]) -> Output {
        let conf = self.path("etc/nginx.conf");
        self.cutover(&[&["doctor", "--nginx", conf.to_str().unwrap()], words].concat())
    }

    /// The ids of what is found.
    fn found(&self, words: &[&str]) -> Vec<String> {
        let out = self.doctor(&[&["--json"], words].concat());
        let told: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|why| panic!("{why}: {out:?}"));
        let findings = told["findings"].as_array().unwrap_or_else(|| panic!("{told}"));
        findings.iter().map(|finding| finding["check"].as_str().unwrap().to_owned()).collect()
    }

    fn nginx_takes_it(&self) {
        let out =
            Command::new("/usr/sbin/nginx").arg("-t").arg("-c").arg(self.path("etc/nginx.conf")).output();
        let out = out.expect("nginx is needed (scripts/setup)");
        assert!(out.status.success(), "{}", text(&out.stderr));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_cutover_nginx_prints_is_no_finding() {
    let host = Host::new();
    let listen = format!("unix:{}", host.path("run/nginx.sock").display());
    let app = host.path("shop");
    let out = host.cutover(&["-C", app.to_str().unwrap(), "nginx", "--listen", &listen]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    fs::write(host.site(), &out.stdout).unwrap();
    host.nginx_takes_it();
    assert_eq!(host.found(&[]), Vec::<String>::new());
    assert_eq!(host.doctor(&["--fail-on", "blind"]).status.code(), Some(0));
}

#[test]
fn exit_codes_reports_ignored_findings_and_baselines_are_for_ci() {
    let host = Host::new();
    assert_eq!(host.found(&[]), ["N01"]);
    assert_eq!(host.doctor(&[]).status.code(), Some(1));
    let (sarif, junit) = (host.path("doctor.sarif"), host.path("doctor.xml"));
    host.doctor(&["--sarif", sarif.to_str().unwrap(), "--junit", junit.to_str().unwrap()]);
    let log: Value = serde_json::from_slice(&fs::read(sarif).unwrap()).unwrap();
    assert_eq!(log["runs"][0]["results"][0]["ruleId"], "N01");
    assert!(fs::read_to_string(junit).unwrap().contains("failures=\"1\""));

    let known = host.path("known");
    let known = known.to_str().unwrap();
    assert_eq!(host.doctor(&["--baseline", known]).status.code(), Some(2));
    assert_eq!(host.doctor(&["--baseline", known, "--write-baseline"]).status.code(), Some(0));
    assert_eq!(host.doctor(&["--baseline", known]).status.code(), Some(0));

    let ignore = "[app]\nname = \"shop\"\nroot = \"shop\"\n[[doctor.ignore]]\ncheck = \"N01\"\nreason = \"tried out\"\n";
    host.file("cutover.toml", ignore);
    let out = host.doctor(&["--json"]);
    let told: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(told["ignored"][0]["reason"], "tried out");
    assert!(told["findings"].as_array().unwrap().iter().all(|finding| finding["check"] != "N01"), "{told}");

    for (words, code, said) in [
        (&["doctor", "--explain", "n01"][..], 0, "# N01: "),
        (&["doctor", "--explain", "N99"], 2, "there is no check N99"),
        (&["doctor", "--list"], 0, "N01 error"),
        (&["doctor", "nothing.tar"], 2, "nothing.tar"),
        (&["doctor", "--write"], 2, "--fix"),
    ] {
        let out = host.cutover(words);
        let all = text(&out.stdout) + &text(&out.stderr);
        assert!(out.status.code() == Some(code) && all.contains(said), "{words:?}: {all}");
    }
}

#[test]
fn a_fix_is_shown_and_written_with_a_copy_beside_it_and_tested_by_nginx() {
    let host = Host::new();
    let before = fs::read_to_string(host.site()).unwrap();
    let shown = text(&host.doctor(&["--fix"]).stdout);
    assert!(
        shown.contains("+        fastcgi_param SCRIPT_FILENAME $realpath_root$fastcgi_script_name;"),
        "{shown}"
    );
    assert_eq!(fs::read_to_string(host.site()).unwrap(), before);

    let out = host.doctor(&["--fix", "--write"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    host.nginx_takes_it();
    assert_eq!(host.found(&[]), ["N05"]);
    assert!(fs::symlink_metadata(host.path("etc/sites-enabled/shop")).unwrap().is_symlink());
    let kept = names(&host.path("etc/sites-available"));
    assert!(kept.len() == 2 && kept[0].starts_with(".shop.bak-"), "{kept:?}");
    assert_eq!(fs::read_to_string(host.path("etc/sites-available").join(&kept[0])).unwrap(), before);

    // What is left pins the whole request, by stock nginx's own means.
    let out = host.doctor(&["--fix", "--write"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    host.nginx_takes_it();
    assert_eq!(host.found(&[]), Vec::<String>::new());

    // Files that nginx refuses already are left alone.
    fs::write(host.site(), before.replace("try_files", "tri_files")).unwrap();
    let out = host.doctor(&["--fix", "--write"]);
    let said = text(&out.stderr);
    assert!(out.status.code() == Some(1) && said.contains("nothing was changed"), "{said}");
    assert!(fs::read_to_string(host.site()).unwrap().contains("tri_files"));
}

#[test]
fn a_machine_is_collected_there_and_looked_at_here() {
    let host = Host::new();
    host.file(
        "etc/fastcgi_params",
        "fastcgi_param DB_PASSWORD \"hunter2\";\nfastcgi_param DOCUMENT_ROOT $document_root;\n",
    );
    let out = host.doctor(&["--collect", "web1.tar"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let pack = host.path("web1.tar");
    assert_eq!(fs::metadata(&pack).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!text(&fs::read(&pack).unwrap()).contains("hunter2"));
    let there = text(&host.doctor(&[]).stdout);
    fs::rename(host.path("etc"), host.path("gone")).unwrap();
    assert_eq!(text(&host.doctor(&["web1.tar"]).stdout), there);
}
