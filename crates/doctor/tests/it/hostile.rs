//! Hostile: directories of configuration that somebody has prepared. What could not be read is told; the doctor comes to
//! an end, and changes nothing.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use doctor::machine::Here;
use doctor::{Facts, Report};

use crate::web::{Kind, Stand};

const KINDS: [Kind; 4] = [Kind::Apache, Kind::Caddy, Kind::Lighttpd, Kind::Nginx];

/// How each includes a file, or files.
fn include(kind: Kind, what: &str) -> String {
    match kind {
        Kind::Apache => format!("Include {{dir}}/{what}\n"),
        Kind::Caddy => format!("import {{dir}}/{what}\n"),
        Kind::Lighttpd => format!("include \"{{dir}}/{what}\"\n"),
        Kind::Nginx => format!("include {{dir}}/{what};\n"),
    }
}

fn report(stand: &Stand) -> Report {
    Report::of(&Facts::look(&Here, &stand.targets()))
}

/// What was told of it could not be looked at, as one text.
fn told(report: &Report) -> String {
    report.blind.iter().fold(String::new(), |mut all, blind| {
        writeln!(all, "{}: {}", blind.what, blind.why).unwrap();
        all
    })
}

#[test]
fn what_cannot_be_read_is_told_with_the_reason() {
    for kind in KINDS {
        for (what, why) in [
            ("fifo", "is a special file"),
            ("zero", "is a special file"),
            ("huge", "too large"),
            ("odd", "not UTF-8"),
            ("circle", ""),
            ("gone/x", "not there"),
        ] {
            let stand = Stand::new(kind, &include(kind, what));
            rustix::fs::mknodat(
                rustix::fs::CWD,
                stand.path("fifo"),
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::RWXU,
                0,
            )
            .unwrap();
            stand.link("zero", "/dev/zero");
            stand.link("circle", "circle");
            stand.file("odd", "");
            std::fs::write(stand.path("odd"), b"\xff\xfe root /srv;\n").unwrap();
            std::fs::File::create(stand.path("huge")).unwrap().set_len(1 << 40).unwrap();
            let told = told(&report(&stand));
            assert!(told.contains(what) && told.contains(why), "{kind:?} {what}: {told}");
            // Nor is the server made to read it: Caddy took gigabytes of memory for that. nginx is asked only if it runs.
            if matches!(what, "fifo" | "zero" | "huge") && kind != Kind::Nginx {
                assert!(told.contains("it would read"), "{kind:?} {what}: {told}");
            }
        }
    }
}

#[test]
fn files_that_include_each_other_come_to_an_end() {
    for kind in KINDS {
        let stand = Stand::new(kind, &include(kind, "a"));
        stand.file("a", &stand.filled(&(include(kind, "b") + &include(kind, "b"))));
        stand.file("b", &stand.filled(&(include(kind, "a") + &include(kind, "a"))));
        let told = told(&report(&stand));
        assert!(told.contains("/a"), "{kind:?}: {told}");
    }
}

#[test]
fn thousands_of_files_are_read() {
    for kind in KINDS {
        let stand = Stand::new(kind, &include(kind, "many/*.conf"));
        for number in 0..3_000 {
            stand.file(&format!("many/{number}.conf"), "# nothing\n");
        }
        let read = Facts::look(&Here, &stand.targets()).sources.paths().count();
        assert!(read > 3_000, "{kind:?} {read}");
    }
}

#[test]
fn a_configuration_of_somebody_else_is_not_given_to_the_servers_test() {
    if !rustix::process::geteuid().is_root() {
        return crate::web::skipped("a_configuration_of_somebody_else", "only root can give files away");
    }
    for kind in [Kind::Apache, Kind::Caddy, Kind::Lighttpd] {
        let stand = Stand::new(kind, "nonsense {\n");
        std::os::unix::fs::chown(stand.conf(), Some(65_534), None).unwrap();
        let report = report(&stand);
        assert_eq!(report.findings().count(), 0, "{kind:?}");
        assert!(told(&report).contains("belongs to another user"), "{kind:?}: {}", told(&report));
    }
}

#[test]
fn nothing_is_written_where_nothing_may_be_written() {
    for kind in KINDS {
        let stand = Stand::new(kind, &include(kind, "sites/*"));
        stand.file("sites/a\n\u{1b}[31m.conf", "<{[(\n");
        let before = listing(&stand.path(""));
        for dir in ["sites", "shop"] {
            std::fs::set_permissions(stand.path(dir), std::fs::Permissions::from_mode(0o555)).unwrap();
        }
        let text = doctor::render::text::render(
            &report(&stand),
            doctor::render::text::By::Check,
            doctor::render::paint::Paint::Plain,
        );
        assert!(!text.contains('\u{1b}'), "{kind:?}: {text:?}");
        assert_eq!(listing(&stand.path("")), before, "{kind:?}");
    }
}

/// All paths below a directory.
fn listing(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                dirs.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    found
}
