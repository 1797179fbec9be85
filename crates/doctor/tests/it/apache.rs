//! Apache: each bad pattern in a real server's configuration is found, and Debian's own is not complained of.

use std::path::Path;

use doctor::facts::asked::Asked;
use doctor::machine::Here;
use doctor::{Facts, Report, Targets};

use crate::web::{Kind, Stand, altered, skipped};

const BASE: &str = "\
ServerRoot {dir}
DefaultRuntimeDir {dir}/run
PidFile {dir}/run/apache2.pid
ErrorLog {dir}/run/error.log
Listen 127.0.0.1:{port}
ServerName shop.example.com
User {user}
Group {user}
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_fcgi_module /usr/lib/apache2/modules/mod_proxy_fcgi.so
LoadModule rewrite_module /usr/lib/apache2/modules/mod_rewrite.so
LoadModule vhost_alias_module /usr/lib/apache2/modules/mod_vhost_alias.so
LoadModule file_cache_module /usr/lib/apache2/modules/mod_file_cache.so
LoadModule cache_module /usr/lib/apache2/modules/mod_cache.so
LoadModule cache_disk_module /usr/lib/apache2/modules/mod_cache_disk.so
<Directory />
    AllowOverride None
</Directory>
";

const EVENT: &str = "LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so\n";
const PREFORK: &str = "LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so\n";
const FPM: &str = "<FilesMatch \"\\.php$\">\n\
                   SetHandler \"proxy:unix:{dir}/fpm.sock|fcgi://localhost\"\n\
                   </FilesMatch>\n";
const LINKED: &str = "DocumentRoot {dir}/shop/current/public\n";

fn stand(mpm: &str, lines: &[&str]) -> Stand {
    Stand::new(Kind::Apache, &format!("{BASE}{mpm}{}", lines.concat()))
}

#[test]
fn each_bad_pattern_is_found_in_a_running_server() {
    let vhost = "<VirtualHost *:{port}>\nDocumentRoot {dir}/shop/current/public\n";
    let cases: &[(&str, &[&str], &[&str])] = &[
        (EVENT, &[LINKED], &[]),
        (
            EVENT,
            &[LINKED, "<DirectoryMatch \"^{dir}/shop/\">\nAllowOverride All\n</DirectoryMatch>\n"],
            &["A06"],
        ),
        (
            EVENT,
            &[
                LINKED,
                "ProxyPassMatch \"^/(.*\\.php)$\" \"fcgi://127.0.0.1:9/{dir}/shop/current/public/$1\"\n",
            ],
            &["A07"],
        ),
        (
            EVENT,
            &[
                vhost,
                "RewriteEngine On\nRewriteRule ^/(.*\\.php)$ fcgi://127.0.0.1:9{dir}/shop/current/public/$1 [P]\n</VirtualHost>\n",
            ],
            &["A07"],
        ),
        (EVENT, &[LINKED, FPM], &["A09"]),
        (EVENT, &[vhost, FPM, "</VirtualHost>\n"], &["A09"]),
        (EVENT, &["DocumentRoot {dir}/run\nAlias /shop {dir}/shop/current/public\n", FPM], &["A09"]),
        (EVENT, &["VirtualDocumentRoot {dir}/%0/current/public\nDocumentRoot {dir}/run\n", FPM], &["A09"]),
        (
            EVENT,
            &[
                "<Macro Shop $root>\nDocumentRoot $root/public\n",
                FPM,
                "</Macro>\nUse Shop {dir}/shop/current\n",
            ],
            &["A09"],
        ),
        (
            PREFORK,
            &[
                "LoadModule php_module /usr/lib/apache2/modules/libphp8.2.so\n",
                "<FilesMatch \"\\.php$\">\nSetHandler application/x-httpd-php\n</FilesMatch>\n",
                LINKED,
            ],
            &["A12"],
        ),
        (EVENT, &[LINKED, "<Directory {dir}/shop>\nOptions None\n</Directory>\n"], &["A13"]),
        (EVENT, &[LINKED, "MMapFile {dir}/shop/current/public/app.css\n"], &["A14"]),
        (EVENT, &[LINKED, "CacheFile {dir}/shop/current/public/app.css\n"], &["A14"]),
        (EVENT, &[LINKED, "Include {dir}/shop/current/apache.conf\n"], &["A14"]),
        (EVENT, &[LINKED, "CacheRoot {dir}/run\nCacheEnable disk /\n"], &["A15"]),
        (EVENT, &["DocumentRoot {dir}/shop/releases/r1/public\n", FPM], &["A16"]),
    ];
    let macros = "LoadModule macro_module /usr/lib/apache2/modules/mod_macro.so\n";
    for (mpm, lines, ids) in cases {
        let stand = stand(mpm, &[&[macros], *lines].concat());
        stand.file("shop/current/apache.conf", "AddDefaultCharset utf-8\n");
        let running = stand.start();
        let report = stand.report();
        assert_eq!(stand.found(), *ids, "{lines:?} {report:#?}");
        assert!(report.blind.is_empty(), "{:?}", report.blind);
        drop(running);
    }
}

#[test]
fn a_configuration_that_apache_refuses_is_found_at_its_line() {
    let stand = stand(EVENT, &[LINKED, "<VirtualHost *:{port}>\nAllowOverride All\n</VirtualHost>\n"]);
    let report = stand.report();
    let (check, finding) = report.findings().next().unwrap();
    let at = finding.at.as_ref().unwrap();
    assert_eq!((check.id, at.meant()), ("A11", "AllowOverride All"), "{finding:?}");
}

#[test]
fn what_the_pages_say_of_links_and_kept_files_is_so() {
    let no_links = stand(EVENT, &[LINKED, "<Directory {dir}/shop>\nOptions None\n</Directory>\n"]);
    assert_eq!(no_links.start().get("/app.css").0, 403);
    let kept = stand(EVENT, &[LINKED, "MMapFile {dir}/shop/current/public/app.css\n"]);
    let web = kept.start();
    assert_eq!(web.get("/app.css").1, "r1");
    kept.flip("releases/r2");
    assert_eq!(web.get("/app.css").1, "r1", "A14 is no longer so");
    let plain = stand(EVENT, &[LINKED]);
    let web = plain.start();
    assert_eq!(web.get("/app.css").1, "r1");
    plain.flip("releases/r2");
    assert_eq!(web.get("/app.css").1, "r2");
}

#[test]
fn what_mod_cutover_pins_is_not_complained_of() {
    let vhost = |lines: &str| format!("<VirtualHost *:{{port}}>\n{LINKED}{lines}{FPM}</VirtualHost>\n");
    let alias = "Alias /blog {dir}/blog/current\n";
    let pass = "ProxyPassMatch \"^/(.*\\.php)$\" \"fcgi://127.0.0.1:9{dir}/shop/current/public/$1\"\n";
    let section = "<DirectoryMatch \"^{dir}/shop/current/\">\nRequire all granted\n</DirectoryMatch>\n";
    let cases: &[(&[&str], &[&str])] = &[
        (&[], &["A09"]),
        (&["Cutover On\n"], &[]),
        (&["Cutover Off\nRealpathEvery 1\n"], &["A09"]),
        (&["RealpathEvery 1\n"], &[]),
        (&["UseReadlink On\n"], &[]),
        (&["Cutover On\n", alias], &["A08"]),
        (&["Cutover On\nCutoverLink {dir}/blog/current\n", alias], &[]),
        (&["Cutover On\n", pass], &[]),
        (&["Cutover Off\n", pass], &["A07", "A09"]),
        (&["Cutover On\n<Directory {dir}/shop/current>\nRequire all granted\n</Directory>\n"], &[]),
        (&["Cutover On\n", section], &["A05"]),
    ];
    let module = "LoadModule cutover_module /usr/lib/apache2/modules/mod_cutover.so\n";
    for (lines, ids) in cases {
        let stand = stand(EVENT, &[module, &vhost(&lines.concat())]);
        stand.file("blog/releases/r1/index.php", "");
        stand.link("blog/current", "releases/r1");
        // Debian's Apache has no such module, and refuses all of them.
        let found: Vec<_> = stand.found().into_iter().filter(|id| *id != "A11").collect();
        assert_eq!(found, *ids, "{lines:?}");
    }
}

#[test]
fn debians_own_configuration_is_not_complained_of() {
    let name = "debians_own_configuration_is_not_complained_of";
    if let Some(why) = altered("apache2", Path::new("/etc/apache2")) {
        return skipped(name, &why);
    }
    let targets = Targets { apache: vec!["/etc/apache2/apache2.conf".into()], ..Targets::default() };
    let facts = Facts::look(&Here, &targets);
    let report = Report::of(&facts);
    let found: Vec<_> = report.findings().filter(|(check, _)| check.id.starts_with('A')).collect();
    assert!(found.is_empty(), "{found:#?}");
    assert!(facts.apache[0].blind.is_empty(), "{:?}", facts.apache[0].blind);
    assert_eq!(facts.apache[0].test, Asked::Accepted);
    assert_eq!(facts.apache[0].vhosts.len(), 1);
}
