//! Frameworks: the configurations that their documentation shows, written anew from what it says. With a plain root
//! nothing is found; with a linked one exactly what the table says. The servers themselves accept all of them.

use std::path::Path;
use std::process::Command;

use crate::web::{Kind, Stand};

/// Each with the module that runs its PHP in Apache, and what is found with a linked root, in Apache and in nginx.
const TABLE: &[(&str, Php, &[&str], &[&str])] = &[
    ("symfony", Php::Fpm, &["A09"], &["N05"]),
    ("laravel", Php::Fpm, &["A09"], &["N02", "N05"]),
    ("wordpress", Php::Module, &["A12"], &["N01"]),
    ("drupal", Php::Module, &["A12"], &["N01"]),
    ("nextcloud", Php::Fpm, &["A09"], &["N01"]),
    ("mediawiki", Php::Module, &["A12"], &["N01"]),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Php {
    Fpm,
    Module,
}

const APACHE: &str = "\
ServerRoot {dir}
DefaultRuntimeDir {dir}/run
PidFile {dir}/run/apache2.pid
ErrorLog {dir}/run/error.log
Listen 127.0.0.1:{port}
ServerName localhost
User {user}
Group {user}
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule env_module /usr/lib/apache2/modules/mod_env.so
LoadModule negotiation_module /usr/lib/apache2/modules/mod_negotiation.so
LoadModule rewrite_module /usr/lib/apache2/modules/mod_rewrite.so
<Directory />
    Options FollowSymLinks
    AllowOverride None
    Require all denied
</Directory>
";
const FPM: &str = "\
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_fcgi_module /usr/lib/apache2/modules/mod_proxy_fcgi.so
";
const MODULE: &str = "\
LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
LoadModule php_module /usr/lib/apache2/modules/libphp8.2.so
<FilesMatch \".+\\.ph(?:ar|p|tml)$\">
    SetHandler application/x-httpd-php
</FilesMatch>
";
const NGINX: &str = "\
pid {dir}/run/nginx.pid;
error_log {dir}/run/error.log;
events { }
http {
    access_log off;
    client_body_temp_path {dir}/run/body;
    proxy_temp_path {dir}/run/proxy;
    fastcgi_temp_path {dir}/run/fastcgi;
    uwsgi_temp_path {dir}/run/uwsgi;
    scgi_temp_path {dir}/run/scgi;
";

/// What a framework's configuration says, with its app at a path.
fn stand(kind: Kind, name: &str, php: Php, root: &str) -> Stand {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/frameworks").join(name);
    let read = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap();
    let conf = match kind {
        Kind::Apache => {
            format!("{APACHE}{}{}", if php == Php::Fpm { FPM } else { MODULE }, read("apache.conf"))
        }
        Kind::Nginx => format!("{NGINX}{}}}\n", read("nginx.conf")),
        Kind::Caddy | Kind::Lighttpd => unreachable!("the frameworks show these two"),
    };
    let stand = Stand::new(kind, &conf.replace("{root}", root).replace("{fpm}", "{dir}/fpm.sock"));
    for app in ["plain", "shop/releases/r1"] {
        for below in ["public/bundles", "web/sites/default/files", "wp-content", "w/images"] {
            stand.file(&format!("{app}/{below}/index.php"), "");
        }
        stand.file(&format!("{app}/index.php"), "");
    }
    stand
}

#[test]
fn what_frameworks_document_for_apache_is_judged_by_whether_the_root_is_linked() {
    for (name, php, linked, _) in TABLE {
        let plain = stand(Kind::Apache, name, *php, "{dir}/plain");
        let report = plain.report();
        assert_eq!(plain.found(), [""; 0], "{name}: {:#?}", report.findings().collect::<Vec<_>>());
        assert!(report.blind.is_empty(), "{name}: {:?}", report.blind);
        let stand = stand(Kind::Apache, name, *php, "{dir}/shop/current");
        assert_eq!(stand.found(), *linked, "{name}");
    }
}

#[test]
fn what_frameworks_document_for_nginx_is_judged_by_whether_the_root_is_linked() {
    for (name, php, _, linked) in TABLE {
        let plain = stand(Kind::Nginx, name, *php, "{dir}/plain");
        let accepted =
            Command::new("/usr/sbin/nginx").args(["-t", "-q", "-c"]).arg(plain.conf()).output().unwrap();
        assert!(accepted.status.success(), "{name}: {}", String::from_utf8_lossy(&accepted.stderr));
        let report = plain.report();
        assert_eq!(plain.found(), [""; 0], "{name}: {:#?}", report.findings().collect::<Vec<_>>());
        assert!(report.blind.is_empty(), "{name}: {:?}", report.blind);
        let stand = stand(Kind::Nginx, name, *php, "{dir}/shop/current");
        let report = stand.report();
        let told: Vec<_> = report.findings().map(|(check, finding)| (check.id, &finding.what)).collect();
        assert_eq!(stand.found(), *linked, "{name}: {told:#?}");
    }
}
