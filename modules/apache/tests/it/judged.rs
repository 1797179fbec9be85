//! Judged: `cutover prove` floods each MPM while the link is flipped a thousand times a second.

use crate::apache::{Apache, Mpm, full, program};
use crate::fpm::Fpm;
use crate::shop::Shop;
use std::process::Command;

/// Runs the load against a site of these lines, on the probe application. `PROBE` is its directory.
fn judge(name: &str, mpm: Mpm, lines: &str, more: &[&str]) {
    let Some(program) = program() else {
        println!("\nskipped: {name}: no program `cutover`; name it by CUTOVER_BIN\n");
        return;
    };
    let shop = Shop::new();
    let fpm = Fpm::start(&shop);
    let probe = shop.beside().join("probe");
    let made = Command::new(&program).args(["prove", "--scaffold"]).arg(&probe).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let lines = lines
        .replace("PROBE", &probe.display().to_string())
        .replace("FPM", &format!("proxy:unix:{}|fcgi://localhost", fpm.socket.display()));
    let apache = Apache::start(&shop, mpm, &lines);
    let out = Command::new(&program)
        .args(["prove", &format!("http://{}", apache.address), "--kind", "php", "--releases", "r1,r2"])
        .args(["--requests", if full() { "100000" } else { "4000" }, "--flips-per-second", "1000"])
        .args(["--connections", "8", "--patience", "120s"])
        .arg("--link")
        .arg(probe.join("current"))
        .args(more)
        .output()
        .unwrap();
    let report = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    println!("{report}");
    assert_eq!(out.status.code(), Some(0), "{report}\n{}", apache.log());
}

/// Room enough that Apache closes no kept connection to free a thread or to end a process that is too many: it does so
/// also when a request is on its way.
const ROOM: &str = "KeepAlive On\nMaxKeepAliveRequests 0\nKeepAliveTimeout 75\nServerLimit 16\n<IfModule !mpm_prefork_module>\n\
    ThreadsPerChild 32\nMaxRequestWorkers 64\nMinSpareThreads 1\nMaxSpareThreads 64\n</IfModule>\n\
    <IfModule mpm_event_module>\nAsyncRequestWorkerFactor 4\n</IfModule>";

/// A site at the probe's link, whose front controller is found by this.
fn site(front: &str, php: &str) -> String {
    format!(
        "DocumentRoot PROBE/current\nCutover On\nDirectoryIndex disabled\n{ROOM}\n{front}\n<Directory PROBE/current>\nRequire all granted\nOptions FollowSymLinks\nDirectorySlash Off\n</Directory>\n{php}\n"
    )
}

const BY_SERVER: &str =
    "RewriteEngine On\nRewriteCond %{DOCUMENT_ROOT}%{REQUEST_URI} !-f\nRewriteRule ^ /index.php [L]";
const BY_SECTION: &str = "<Directory PROBE/current>\nRewriteEngine On\nRewriteCond %{REQUEST_FILENAME} !-f\n\
    RewriteRule ^ index.php [L]\n</Directory>";
const BY_FPM: &str = "<FilesMatch \\.php$>\nSetHandler \"FPM\"\n</FilesMatch>";

#[test]
fn prefork_with_mod_php_is_acquitted() {
    let php = "php_admin_value opcache.file_update_protection 0";
    judge("prefork_with_mod_php_is_acquitted", Mpm::Prefork, &site(BY_SERVER, php), &[]);
}

#[test]
fn worker_with_php_fpm_and_rules_in_a_section_is_acquitted() {
    judge(
        "worker_with_php_fpm_and_rules_in_a_section_is_acquitted",
        Mpm::Worker,
        &site(BY_SECTION, BY_FPM),
        &[],
    );
}

#[test]
fn event_with_php_fpm_is_acquitted() {
    judge("event_with_php_fpm_is_acquitted", Mpm::Event, &site(BY_SERVER, BY_FPM), &[]);
}

#[test]
fn http2_is_acquitted() {
    let php = format!("{BY_FPM}\nProtocols h2c http/1.1");
    judge("http2_is_acquitted", Mpm::Event, &site(BY_SERVER, &php), &["--http2", "--streams", "4"]);
}
