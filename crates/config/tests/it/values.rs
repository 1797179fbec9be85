//! What good files mean.

use super::{parse, parsed};
use config::host::{AccessLog, Fpm, Origin};
use config::value::{HostPattern, ListenAt, parse_duration, parse_size};
use config::{Config, Says};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[test]
fn an_empty_file_is_the_standard_layout_where_it_stands() {
    let config = parsed("");
    assert_eq!(config, Config { host: config.host.clone(), says: Says::default() });
    assert_eq!(config.host.app, Config::standard(Path::new("shop")).host.app);
    assert_eq!(config.host.app.name, "shop");
    assert_eq!(config.host.serve, Config::standard(Path::new("shop")).host.serve);
    assert_eq!(config.host.php, None);
    assert_eq!(config.says.index, ["index.php", "index.html"]);
}

#[test]
fn a_relative_root_is_joined_to_the_files_directory_and_made_absolute_for_the_app() {
    let config = parsed("[app]\nroot = 'deep'\n");
    assert_eq!(config.host.app.root, Path::new("shop/deep"));
    let here = std::env::current_dir().unwrap();
    assert_eq!(config.app().unwrap().link(), here.join("shop/deep/current"));
    let up = parsed("[app]\nroot = '/usr/bin/../lib'\n");
    assert_eq!(up.app().unwrap().root(), Path::new("/usr/lib"));
}

#[test]
fn the_release_half_of_a_file_with_both_is_taken_and_the_other_half_ignored() {
    let text =
        "[app]\nroot = '/elsewhere'\ndocroot = './web/'\n[php]\nfront = '/app.php'\n[serve]\nuser = 'root'\n";
    let says = Says::parse_release(text, Path::new("r1/cutover.toml")).unwrap();
    assert_eq!(says, Says { docroot: "web".into(), front: Some("app.php".into()), ..Says::default() });
}

#[test]
fn php_is_embedded_unless_it_says_where_it_is() {
    let php = parsed("[php]\nworkers = 8").host.php.unwrap();
    assert_eq!((php.fpm, php.exclusive, php.connections), (Fpm::Embedded, true, 7));
    let php = parsed("[php]\nfpm = ['unix:/a', '127.0.0.1:9000', '[::1]:9000']").host.php.unwrap();
    let Fpm::At(addresses) = php.fpm else { panic!() };
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["unix:/a", "127.0.0.1:9000", "[::1]:9000"]);
    assert_eq!((php.exclusive, php.connections), (false, 4));
    assert_eq!(php.read_timeout, Duration::from_secs(60));
}

#[test]
fn php_ini_values_may_be_text_numbers_and_yes_or_no() {
    let php = parsed("[php.ini]\nmemory_limit = '256M'\n'opcache.enable' = true\nmax_input_vars = 5_000")
        .host
        .php
        .unwrap();
    let shown: Vec<String> = php.ini.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(shown, ["max_input_vars=5000", "memory_limit=256M", "opcache.enable=1"]);
}

#[test]
fn the_longest_path_of_the_map_comes_first() {
    let php = parsed("[php]\nfpm = 'a:1'\npath_map = { '/srv' = '/a', '/srv/shop/releases' = '/b' }")
        .host
        .php
        .unwrap();
    assert_eq!(php.path_map[0], (PathBuf::from("/srv/shop/releases"), PathBuf::from("/b")));
}

#[test]
fn with_certificates_tcp_sockets_speak_tls_but_for_port_80() {
    let text = "[serve]\nlisten = ['[::]:80', '[::]:443', 'unix:/run/x', { addr = '127.0.0.1:8443', tls = false }]\ntls = [{ cert = 'c.pem', key = '/k.pem' }]";
    let serve = parsed(text).host.serve;
    assert_eq!(serve.listen.iter().map(|listen| listen.tls).collect::<Vec<_>>(), [false, true, false, false]);
    assert_eq!(serve.tls[0].cert, Path::new("shop/c.pem"));
    assert_eq!(serve.tls[0].key, Path::new("/k.pem"));
    assert!(parsed("[serve]\nlisten = ['[::]:443']").host.serve.listen.iter().all(|listen| !listen.tls));
}

#[test]
fn every_way_to_listen_is_written_as_it_was_read() {
    for text in ["127.0.0.1:8080", "[::]:80", "unix:/run/a.sock", "systemd:http", "fd:3"] {
        assert_eq!(ListenAt::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn a_socket_for_fastcgi_is_told_by_its_prefix_and_never_speaks_tls() {
    let text = "[serve]\nlisten = ['[::]:443', 'fcgi:127.0.0.1:9001', 'fcgi:unix:/run/x', { addr = 'fcgi:systemd:php' }]\n\
                tls = [{ cert = 'c.pem', key = '/k.pem' }]";
    let listen = parsed(text).host.serve.listen;
    let told: Vec<_> = listen.iter().map(|one| (one.at.to_string(), one.fastcgi, one.tls)).collect();
    let told: Vec<_> = told.iter().map(|(at, fastcgi, tls)| (at.as_str(), *fastcgi, *tls)).collect();
    assert_eq!(
        told,
        [
            ("[::]:443", false, true),
            ("127.0.0.1:9001", true, false),
            ("unix:/run/x", true, false),
            ("systemd:php", true, false)
        ]
    );
}

#[test]
fn host_names_are_held_in_lower_case_without_a_trailing_dot() {
    assert_eq!(HostPattern::parse("*.Example.com.").unwrap(), HostPattern::Below("example.com".into()));
    assert_eq!(
        HostPattern::parse("SHOP.example.com").unwrap(),
        HostPattern::Exact("shop.example.com".into())
    );
    assert_eq!(HostPattern::parse("[::01]").unwrap(), HostPattern::Exact("[::1]".into()));
}

#[test]
fn logs_may_go_to_files_beside_the_config() {
    let log = parsed("[serve.log]\naccess = 'access.log'\nformat = 'json'").host.serve.log;
    assert_eq!(log.access, AccessLog::File("shop/access.log".into()));
    assert_eq!(parsed("[serve.log]\naccess = 'stdout'").host.serve.log.access, AccessLog::Stdout);
}

#[test]
fn a_source_is_one_of_three() {
    let source = parsed("[source]\ngit = 'https://x/y.git'\nref = 'main'").host.source.unwrap();
    assert_eq!(source.origin, Origin::Git { repository: "https://x/y.git".into(), reference: "main".into() });
    assert_eq!(parsed("[source]\ndir = '.'").host.source.unwrap().origin, Origin::Dir("shop/.".into()));
}

#[test]
fn error_pages_are_found_by_status_then_by_class() {
    let errors = parsed("[site.error]\n404 = '/404.html'\n'5xx' = '/sorry.html'").says.errors;
    assert_eq!(
        [404, 403, 502].map(|status| errors.page(status)),
        [Some("/404.html"), None, Some("/sorry.html")]
    );
}

#[test]
fn the_maintenance_page_lets_in_whom_it_names_also_when_they_come_over_a_mapped_address() {
    let maintenance = parsed("[site.maintenance]\nallow = ['192.0.2.0/24', '2001:db8::1']").says.maintenance;
    for (client, inside) in
        [("192.0.2.7", true), ("::ffff:192.0.2.7", true), ("2001:db8::1", true), ("192.0.3.1", false)]
    {
        assert_eq!(maintenance.lets_in(client.parse().unwrap()), inside, "{client}");
    }
}

#[test]
fn redirects_carry_what_the_star_matched_and_the_query() {
    let redirect = |from: &str, to: &str| {
        parsed(&format!("[[site.redirect]]\nfrom = '{from}'\nto = '{to}'")).says.redirects[0].clone()
    };
    let table = [
        ("/old", "/new", "/old", None, Some("/new")),
        ("/old", "/new", "/old/x", None, None),
        ("/old", "/new", "/old", Some("a=b"), Some("/new?a=b")),
        ("/old", "/new?x=1", "/old", Some("a=b"), Some("/new?x=1")),
        ("/old/*", "/new/*", "/old/a%20b/c", None, Some("/new/a%20b/c")),
        ("/old/*", "/new", "/old/a", None, Some("/new")),
        ("/old/*", "https://x.test/*", "/old/a", Some("q"), Some("https://x.test/a?q")),
        // Never to another site by what the client wrote.
        ("/old/*", "/*", "/old//evil.test", None, Some("/evil.test")),
        ("/old/*", "/*", "/old/\\evil.test", None, Some("/evil.test")),
    ];
    for (from, to, path, query, location) in table {
        assert_eq!(redirect(from, to).target(path, query).as_deref(), location, "{from} {to} {path}");
    }
    assert_eq!(redirect("/a", "/b").status, 301);
    assert!(parse("[[site.redirect]]\nfrom = '/*'\nto = 'https://x.test*'").is_err());
}

#[test]
fn sizes_and_durations_are_read_with_their_units() {
    for (text, bytes) in
        [("0", 0), ("512", 512), ("64K", 65536), ("1 MiB", 1 << 20), ("2g", 2 << 30), ("1T", 1 << 40)]
    {
        assert_eq!(parse_size(text), Ok(bytes), "{text}");
    }
    for text in ["", "K", "-1", "1.5M", "1Q", "99999999999999999999", "99999999T", "１"] {
        assert!(parse_size(text).is_err(), "{text}");
    }
    for (text, ms) in
        [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("7d", 604_800_000), ("0s", 0)]
    {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
    }
    for text in ["", "s", "30", "-1s", "1.5h", "1y", "99999999999999999999s", "99999999d"] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
}
