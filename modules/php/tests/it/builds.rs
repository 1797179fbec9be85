//! One machine builds the extension for every PHP, without its headers.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::php::{built, text};

/// Every PHP that is built for, by its API's number.
const APIS: [(&str, &str); 5] =
    [("8.1", "20210902"), ("8.2", "20220829"), ("8.3", "20230831"), ("8.4", "20240924"), ("8.5", "20250925")];

#[test]
fn there_is_one_for_each_php_and_php_tells_those_of_others_apart() {
    // What it wants of PHP is the same for all of them, and is there in the one of this machine.
    let offered = symbols(Path::new("/usr/bin/php8.2"), "--defined-only");
    let mut wanted_by_all = BTreeSet::new();
    for (version, api) in APIS {
        for (zts, name) in [("0", "NTS"), ("1", "TS")] {
            let variables = [("CUTOVER_PHP_API", api), ("CUTOVER_PHP_ZTS", zts)];
            let path = built(&format!("php-{api}-{name}"), &variables, &[]);
            let wanted: BTreeSet<String> = symbols(&path, "--undefined-only")
                .into_iter()
                .filter(|name| offered.contains(name))
                .collect();
            assert!(wanted.len() >= 20, "{wanted:?}");
            if wanted_by_all.is_empty() {
                wanted_by_all = wanted.clone();
            }
            assert_eq!(wanted, wanted_by_all, "{version} {name}");
            assert!(symbols(&path, "--defined-only").contains("get_module"));
            let output = Command::new("/usr/bin/php8.2")
                .args(["-n", "-d", "display_errors=1", "-d", "html_errors=0", "-d"])
                .arg(format!("extension={}", path.display()))
                .args(["-r", "echo extension_loaded('cutover') ? 'loaded' : 'not loaded';"])
                .output()
                .unwrap();
            let said = text(&output.stdout);
            if (api, name) == ("20220829", "NTS") {
                assert_eq!(said, "loaded");
            } else if api == "20220829" {
                // The number is right, so PHP reads on, to the build's name.
                assert!(said.contains(&format!("Module compiled with build ID=API{api},{name}")), "{said}");
                assert!(said.ends_with("not loaded"), "{said}");
            } else {
                assert!(said.contains(&format!("Module compiled with module API={api}")), "{said}");
                assert!(said.ends_with("not loaded"), "{said}");
            }
            let binary = std::fs::read(&path).unwrap();
            let build_id = format!("API{api},{name}\0");
            assert!(binary.windows(build_id.len()).any(|part| part == build_id.as_bytes()), "{build_id}");
        }
    }
}

#[test]
fn who_asks_for_one_that_there_is_not_is_told_which_there_are() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/build");
    for (arguments, why) in [
        (&[][..], "where to? modules/php/build DIR [8.2 | 8.2-zts]…"),
        (&["/no/such/directory"], "/no/such/directory is no directory"),
        (
            &["/tmp", "8.3", "7.4-zts"],
            "there is none for PHP 7.4-zts; one of: 8.1 8.2 8.3 8.4 8.5, each with -zts behind it too",
        ),
    ] {
        let output = Command::new(script).args(arguments).output().unwrap();
        assert_eq!(
            (text(&output.stderr), text(&output.stdout), output.status.code()),
            (format!("modules/php/build: {why}"), String::new(), Some(2))
        );
    }
}

fn symbols(file: &Path, which: &str) -> BTreeSet<String> {
    let output = Command::new("nm").arg("-D").arg(which).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let names = text(&output.stdout);
    names
        .lines()
        .filter_map(|line| Some(line.split_whitespace().last()?.split('@').next()?.to_owned()))
        .collect()
}
