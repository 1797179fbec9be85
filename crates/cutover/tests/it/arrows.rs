//! The house as ARCHITECTURE.md draws it is the house as it stands.

use std::collections::{BTreeMap, BTreeSet};

const DRAWN: &str = include_str!("../../../../ARCHITECTURE.md");

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// The fenced block `arrows`: `serve -> release, config` per line; `release ->` for none.
fn drawn() -> Arrows {
    let block = DRAWN.split("```arrows\n").nth(1).expect("ARCHITECTURE.md has a block ```arrows");
    let lines = block.split("```").next().unwrap().lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let (from, to) = line.split_once("->").unwrap_or_else(|| panic!("no arrow in {line:?}"));
            let to = to.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
            (from.trim().to_owned(), to.collect())
        })
        .collect()
}

/// What `cargo metadata` says: members of the workspace on each other, test dependencies left out.
fn standing() -> Arrows {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let metadata = cargo_metadata::MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap();
    let short = |name: &str| name.strip_prefix("cutover-").unwrap_or(name).to_owned();
    let members: BTreeSet<String> =
        metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let arrows = metadata.packages.iter().map(|package| {
        let normal = |kind| {
            kind == cargo_metadata::DependencyKind::Normal || kind == cargo_metadata::DependencyKind::Build
        };
        let to = package.dependencies.iter().filter(|on| normal(on.kind) && members.contains(&on.name));
        (short(&package.name), to.map(|on| short(&on.name)).collect())
    });
    arrows.collect()
}

#[test]
fn the_arrows_between_the_crates_are_those_that_are_drawn() {
    assert_eq!(standing(), drawn(), "left: cargo metadata, right: ARCHITECTURE.md");
}

#[test]
fn no_arrow_points_up_and_the_trades_never_import_each_other() {
    // From the top down; within a floor nobody imports a neighbour.
    let floors = [
        vec!["cutover", "demo"],
        vec!["dash"],
        vec!["deploy", "serve", "doctor"],
        vec!["config", "prove"],
        vec!["release", "fastcgi"],
    ];
    let floor = |name: &str| {
        floors
            .iter()
            .position(|floor| floor.contains(&name))
            .unwrap_or_else(|| panic!("{name} is on no floor"))
    };
    for (from, to) in standing() {
        for to in to {
            assert!(floor(&from) < floor(&to), "{from} -> {to}");
        }
    }
}
