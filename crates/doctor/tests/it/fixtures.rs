//! Each check finds its bad fixture, is silent about its good one, and has a page.

use std::path::{Path, PathBuf};

use doctor::machine::Recorded;
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
