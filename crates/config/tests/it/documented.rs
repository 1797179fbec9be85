//! docs/config.md and the parser know the same keys.

use super::{parse, parsed};
use config::keys::{TABLES, Table};
use std::collections::{BTreeMap, BTreeSet};

const DOCS: &str = include_str!("../../../../docs/config.md");

/// The fenced toml blocks.
fn blocks() -> Vec<&'static str> {
    let openings = DOCS.split("```toml\n").skip(1);
    openings.map(|rest| rest.split("```").next().unwrap()).collect()
}

/// Table name to the keys in the first column below its heading.
fn documented() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut tables: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut table = "";
    for line in DOCS.lines() {
        if let Some(heading) = line.strip_prefix("## [") {
            table = heading.trim_matches(['[', ']']);
            tables.entry(table).or_default();
        }
        if let Some(key) = line.strip_prefix("| `") {
            tables.entry(table).or_default().insert(key.split('`').next().unwrap());
        }
    }
    tables
}

fn heading(table: &Table) -> String {
    if table.many { format!("## [[{}]]", table.name) } else { format!("## [{}]", table.name) }
}

#[test]
fn every_example_in_the_docs_parses() {
    assert!(blocks().len() >= 2);
    for block in blocks() {
        parsed(block);
    }
}

#[test]
fn every_key_of_the_parser_is_in_the_docs_and_the_other_way_round() {
    let documented = documented();
    for table in TABLES.iter().filter(|table| !table.name.is_empty()) {
        assert!(DOCS.contains(&heading(table)), "{} has no heading in docs/config.md", table.name);
        let known: BTreeSet<&str> = table.keys.iter().copied().collect();
        assert_eq!(documented[table.name], known, "the keys of [{}]", table.name);
    }
    let free = ["site.error"];
    for name in documented.keys().filter(|name| !name.is_empty() && !free.contains(name)) {
        assert!(TABLES.iter().any(|table| table.name == *name), "[{name}] is documented but unknown");
    }
}

#[test]
fn the_large_example_uses_every_key_but_the_alternatives_to_another() {
    let block = blocks().into_iter().next_back().unwrap();
    let unused: Vec<String> = TABLES
        .iter()
        .flat_map(|table| table.keys.iter().map(|key| format!("{}.{key}", table.name)))
        .filter(|full| {
            let key = full.rsplit('.').next().unwrap();
            !block.lines().any(|line| line.split('#').next().unwrap().contains(&format!("{key} = ")))
        })
        .collect();
    assert_eq!(unused, ["source.git", "source.ref", "source.archive"]);
}

#[test]
fn every_key_is_really_read_so_a_wrong_type_under_it_is_refused_where_it_stands() {
    // A date is no key's value.
    let needed = BTreeMap::from([
        ("site.redirect", "from = '/a'\nto = '/b'\n"),
        ("site.header", "path = '/a'\nset = { a = 'b' }\n"),
        ("site.cache", "path = '/a'\ncontrol = 'no-store'\n"),
        ("site.auth", "path = '/a'\n"),
        ("serve.forward", "path = '/a'\nto = 'a:1'\n"),
        ("serve.tls", "cert = 'a'\nkey = 'b'\n"),
        ("serve.listen", "addr = '[::]:1'\n"),
        ("source", "git = 'a'\n"),
        ("host", "ssh = 'a'\n"),
        ("notify", "url = 'http://a'\n"),
        ("doctor.ignore", "check = 'N05'\nreason = 'a'\n"),
    ]);
    let mut tried = 0;
    for table in TABLES.iter().filter(|table| !table.name.is_empty()) {
        for key in table.keys {
            let mut text =
                if table.many { format!("[[{}]]\n", table.name) } else { format!("[{}]\n", table.name) };
            let others = needed.get(table.name).copied().unwrap_or_default();
            let origin = table.name == "source" && ["dir", "archive"].contains(key)
                || table.name == "notify" && ["url_env", "url_file"].contains(key);
            for line in others.lines().filter(|line| !line.starts_with(&format!("{key} =")) && !origin) {
                text.push_str(&format!("{line}\n"));
            }
            text.push_str(&format!("{key} = 1979-05-27\n"));
            let Err(error) = parse(&text) else { panic!("{}.{key} is never read:\n{text}", table.name) };
            let place = format!("cutover.toml:{}:", text.lines().count());
            assert!(error.to_string().contains(&place), "{}.{key}: {error}", table.name);
            assert!(error.to_string().contains("it is a date"), "{}.{key}: {error}", table.name);
            tried += 1;
        }
    }
    assert!(tried > 80, "{tried}");
}
