//! Each check finds its bad fixture, is silent about its good one, and has a page.

use std::path::{Path, PathBuf};

use doctor::machine::{Machine, Recorded};
use doctor::{Check, Facts, Targets, Verdict, checks};

fn fixture(check: &Check, kind: &str) -> Verdict {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(check.id).join(kind);
    let machine = Recorded::open(&dir).unwrap_or_else(|why| panic!("{}: {why}", dir.display()));
    let targets = Targets { apps: vec![PathBuf::from("/srv/shop")], ..Targets::default() };
    (check.look)(&Facts::look(&machine, &targets))
}

#[test]
fn each_check_finds_its_bad_fixture_and_is_silent_about_its_good_one() {
    for check in checks::all() {
        let bad = fixture(check, "bad");
        assert!(!bad.findings.is_empty(), "{} does not find its bad fixture: {bad:?}", check.id);
        let good = fixture(check, "good");
        assert_eq!(good, Verdict::clean(), "{} has something to say of its good fixture", check.id);
    }
}

/// A bad fixture whose web server hands PHP to a gateway of Cutover's.
fn behind_a_gateway(id: &str, config: &str, gateway: Option<&str>) -> Verdict {
    let check = checks::all().find(|check| check.id == id).unwrap();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(id).join("bad");
    let mut machine = Recorded::open(&dir).unwrap();
    let text = String::from_utf8(machine.read(Path::new(config)).unwrap()).unwrap();
    let text = text.replace("/run/php/php8.2-fpm.sock", "/run/php/php-fpm.sock");
    machine.file(Path::new(config), text.replace("/run/php/php-fpm.sock", "/run/cutover/shop.sock").into());
    let listen = gateway.map(|at| format!("[app]\nname = \"shop\"\n[serve]\nlisten = [\"{at}\"]\n"));
    machine.file(Path::new("/srv/shop/cutover.toml"), listen.unwrap_or_default().into());
    let targets = Targets { apps: vec![PathBuf::from("/srv/shop")], ..Targets::default() };
    (check.look)(&Facts::look(&machine, &targets))
}

#[test]
fn what_is_handed_to_cutovers_own_gateway_may_be_named_by_the_link() {
    for (id, config) in [
        ("A09", "/etc/apache2/apache2.conf"),
        ("C01", "/etc/caddy/Caddyfile"),
        ("C04", "/etc/lighttpd/lighttpd.conf"),
        ("N01", "/etc/nginx/nginx.conf"),
    ] {
        let ours = behind_a_gateway(id, config, Some("fcgi:unix:/run/cutover/shop.sock"));
        assert_eq!(ours.findings, [], "{id}");
        for other in [Some("fcgi:unix:/run/cutover/other.sock"), Some("unix:/run/cutover/shop.sock"), None] {
            assert!(!behind_a_gateway(id, config, other).findings.is_empty(), "{id}: {other:?}");
        }
    }
}

#[test]
fn each_check_has_a_page_and_a_name_of_its_own() {
    let all: Vec<&Check> = checks::all().collect();
    for pair in all.windows(2) {
        assert!(pair[0].id < pair[1].id, "{} stands before {}", pair[0].id, pair[1].id);
    }
    for check in checks::all() {
        let title = check.page.lines().next().unwrap_or_default();
        assert_eq!(title, format!("# {}: {}", check.id, check.title));
    }
}

#[test]
fn each_check_of_a_web_server_is_in_the_table_of_where_it_is_tried() {
    let table = include_str!("../../../../docs/doctor/servers.md");
    let first = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let listed: Vec<&str> = first.flat_map(|ids| ids.split(", ")).collect();
    for check in checks::all().filter(|check| check.id.starts_with(['A', 'C', 'N'])) {
        assert_eq!(listed.iter().filter(|id| **id == check.id).count(), 1, "{}", check.id);
    }
}
