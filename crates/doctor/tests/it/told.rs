//! What people and programs are told: on a terminal, in a file for a scanner, for CI; and what is packed for others.

use std::path::{Path, PathBuf};

use doctor::machine::{Recorded, Recording};
use doctor::mute::{self, Ignore};
use doctor::render::paint::Paint;
use doctor::render::{json, junit, sarif, text};
use doctor::{Facts, Report, Targets};

fn machine(id: &str) -> Recorded {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(id).join("bad");
    Recorded::open(&dir).unwrap()
}

fn report(id: &str) -> Report {
    let targets = Targets { nginx: vec!["/etc/nginx/nginx.conf".into()], ..Targets::default() };
    Report::of(&Facts::look(&machine(id), &targets))
}

#[test]
fn a_finding_is_told_with_its_line_its_visitor_and_its_fix() {
    insta::assert_snapshot!("by_check", text::render(&report("N02"), text::By::Check, Paint::Plain));
    insta::assert_snapshot!("by_file", text::render(&report("N07"), text::By::File, Paint::Plain));
    let coloured = text::render(&report("N03"), text::By::Check, Paint::Colours);
    insta::assert_snapshot!("coloured", coloured.replace('\x1b', "\\e"));
}

#[test]
fn clean_and_unseen_are_two_different_things() {
    let told = |files: &[(&str, &str)]| {
        let mut machine = Recorded::default();
        for (path, text) in files {
            machine.file(Path::new(path), text.as_bytes().to_vec());
        }
        let report = Report::of(&Facts::look(&machine, &Targets::default()));
        text::render(&report, text::By::Check, Paint::Plain)
    };
    let clean = told(&[("/etc/nginx/nginx.conf", "events { }\nhttp { server { root /srv/www; } }\n")]);
    assert!(clean.starts_with("clean: "), "{clean}");
    let unseen = told(&[("/etc/nginx/nginx.conf", "events { }\nhttp { include gone.conf; }\n")]);
    insta::assert_snapshot!("unseen", unseen);
}

#[test]
fn a_terminal_takes_no_orders_from_a_file() {
    let mut machine = Recorded::default();
    let conf = "http { server { root /srv/shop/current; add_header X \"\x1b]0;owned\x07$realpath_root\"; } }";
    machine.file(Path::new("/etc/nginx/nginx.conf"), conf.as_bytes().to_vec());
    let report = Report::of(&Facts::look(&machine, &Targets::default()));
    assert!(report.findings().next().is_some());
    for by in [text::By::Check, text::By::File] {
        let told = text::render(&report, by, Paint::Plain);
        assert!(!told.contains('\x1b') && !told.contains('\x07'), "{told:?}");
    }
    assert!(!junit::render(&report).contains('\x1b'));
}

#[test]
fn programs_get_the_same() {
    let report = report("N02");
    let told = json::render(&report);
    assert_eq!(told["findings"][0]["check"], "N02");
    assert_eq!(told["findings"][0]["at"]["line"], 11);
    let log = sarif::render(&report);
    let run = &log["runs"][0];
    assert_eq!(run["results"][0]["ruleId"], "N02");
    let place = &run["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "file:///etc/nginx/nginx.conf");
    assert_eq!(run["tool"]["driver"]["rules"].as_array().unwrap().len(), report.judged.len());
    let xml = junit::render(&report);
    assert!(xml.contains("failures=\"2\"") && xml.contains("<failure type=\"error\""), "{xml}");
    assert_eq!(xml.matches("<testcase").count(), report.judged.len());
}

#[test]
fn what_is_known_or_ignored_is_counted_and_not_told() {
    let mut known = report("N02");
    let baseline = mute::baseline(&known);
    known.known(&baseline);
    assert_eq!((known.findings().count(), known.muted.len()), (0, 2), "{baseline}");

    // Lines above it change nothing, the line itself does.
    let ignore = |check: &str, path: Option<&str>| {
        let mut report = report("N02");
        let reason = "on purpose".to_owned();
        report.ignore(&[Ignore { check: check.into(), path: path.map(PathBuf::from), reason }]);
        report.muted.len()
    };
    assert_eq!(ignore("N02", None), 1);
    assert_eq!(ignore("n02", Some("/etc/nginx")), 1);
    assert_eq!(ignore("N02", Some("/etc/apache2")), 0);
    assert_eq!(ignore("N06", None), 0);
}

#[test]
fn a_pack_is_looked_at_as_the_machine_was_and_has_no_secrets() {
    let mut there = machine("N02");
    let secret = "fastcgi_param DB_PASSWORD \"hunter2\";\n";
    let params = "/etc/nginx/fastcgi_params";
    let text = String::from_utf8(doctor::Machine::read(&there, Path::new(params)).unwrap()).unwrap();
    there.file(Path::new(params), format!("{secret}{text}").into_bytes());
    let recording = Recording::of(there);
    let seen = Report::of(&Facts::look(&recording, &Targets::default()));
    let dir = tempfile::tempdir().unwrap();
    let pack = dir.path().join("web1.tar");
    recording.pack(std::fs::File::create(&pack).unwrap()).unwrap();

    let bytes = std::fs::read(&pack).unwrap();
    assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
    assert!(bytes.windows(11).any(|window| window == b"DB_PASSWORD"));
    let again = Report::of(&Facts::look(&Recorded::open(&pack).unwrap(), &Targets::default()));
    let told = |report: &Report| text::render(report, text::By::Check, Paint::Plain);
    assert_eq!(told(&again), told(&seen));
    assert!(again.findings().any(|(check, _)| check.id == "N02"));

    std::fs::write(&pack, b"no tar").unwrap();
    assert!(
        Recorded::open(&pack)
            .map_or(true, |nothing| Facts::look(&nothing, &Targets::default()).nginx.is_empty())
    );
}
