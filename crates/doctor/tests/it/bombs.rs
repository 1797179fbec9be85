//! Bombs: small configurations that multiply themselves, and large ones of nothing. Each is looked at by a process that may
//! have only so much memory and time of a processor: it comes to an end in that, and says what it left out.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use doctor::machine::Here;
use doctor::{Facts, Report, Targets};

/// What a process may have: kilobytes of address space, seconds of a processor. A build for tests is ten times slower than
/// one for use; whoever doubles what is read reaches either at once.
const KILOBYTES: u32 = 1_200_000;
const SECONDS: u32 = 120;

/// A configuration: the server that it is for, its files; the first is the main one.
struct Bomb {
    server: &'static str,
    files: Vec<(String, String)>,
}

/// Their names: what multiplies.
const BOMBS: [&str; 8] = [
    "nginx: maps of maps",
    "apache: parameters of macros that hold one another",
    "apache: a long variable in each of many lines",
    "caddy: blank space that ends words and begins none",
    "lighttpd: a long condition around many settings",
    "fpm: a long name of a section with many lines",
    "fpm: the name of the pool in each value",
    "fpm: a file of nothing but sections",
];

/// Those that take seconds until their bound is reached, for `CUTOVER_PROMISE=full`.
const SLOW: [&str; 3] = [
    "nginx: a thousand includes of ten thousand words",
    "nginx: a file of nothing but directives",
    "caddy: a block in a snippet, again and again",
];

fn bomb(name: &str) -> Bomb {
    let one = |server, text: String| Bomb { server, files: vec![("main.conf".into(), text)] };
    let lines = |count: usize, line: &str| line.repeat(count);
    let long = |bytes: usize| "x".repeat(bytes);
    match name {
        "nginx: maps of maps" => {
            let mut text = "events {}\nhttp {\n".to_owned();
            for map in 0..12 {
                let entries: String = (0..30).map(|entry| format!("k{entry} $m{};", map + 1)).collect();
                writeln!(text, "map $host $m{map} {{ {entries} }}").unwrap();
            }
            let param = "fastcgi_param SCRIPT_FILENAME $m0/x.php; fastcgi_param PHP_VALUE a=$m0;";
            one(
                "nginx",
                text + "server { root $m0; location ~ php { " + param + " fastcgi_pass unix:/x; } }\n}\n",
            )
        }
        "nginx: a thousand includes of ten thousand words" => {
            let words = format!("add_header {};\n", lines(9_000, "x "));
            Bomb {
                server: "nginx",
                files: vec![
                    (
                        "main.conf".into(),
                        format!("events {{}}\nhttp {{\n{}}}\n", lines(5_000, "include words;\n")),
                    ),
                    ("words".into(), lines(20, &words)),
                ],
            }
        }
        "nginx: a file of nothing but directives" => one("nginx", lines(1_300_000, "a;")),
        "apache: parameters of macros that hold one another" => {
            let names: String = (0..40).map(|n| format!(" p{n:02}")).collect();
            let values: String =
                (0..40).map(|n| format!(" {}", format!("p{:02}", n + 1).repeat(20))).collect();
            one("apache", format!("<Macro M{names}>\nServerName p00\n</Macro>\nUse M{values}\n"))
        }
        "apache: a long variable in each of many lines" => {
            let define = format!("Define A {}\n", long(60_000));
            one("apache", define + &lines(30_000, "ServerAlias ${A}\n"))
        }
        "caddy: blank space that ends words and begins none" => {
            one("caddy", "http://x {\n\u{b}\u{a0}root * /srv\u{b}\n}\n".into())
        }
        "caddy: a block in a snippet, again and again" => {
            let block = lines(20_000, "header x\n");
            one(
                "caddy",
                format!(
                    "(s) {{\n{}}}\nhttp://x {{\nimport s {{\n{block}}}\n}}\n",
                    lines(20_000, "{block}\n")
                ),
            )
        }
        "lighttpd: a long condition around many settings" => {
            let settings = lines(50_000, "server.tag = \"x\"\n");
            one("lighttpd", format!("$HTTP[\"host\"] == \"{}\" {{\n{settings}}}\n", long(1 << 20)))
        }
        "fpm: a long name of a section with many lines" => {
            one("fpm", format!("[{}]\nlisten = /nowhere\n{}", long(1 << 20), lines(90_000, "a = b\n")))
        }
        "fpm: the name of the pool in each value" => one(
            "fpm",
            format!("[{}]\nlisten = /nowhere\n{}", long(1 << 20), lines(50_000, "a = $pool$pool\n")),
        ),
        "fpm: a file of nothing but sections" => {
            one("fpm", (0..90_000).map(|n| format!("[p{n}]\nlisten = /nowhere/{n}\n")).collect())
        }
        _ => panic!("no bomb is called {name}"),
    }
}

fn targets(server: &str, main: PathBuf) -> Targets {
    let (main, none) = (vec![main], Targets::default());
    match server {
        "nginx" => Targets { nginx: main, ..none },
        "apache" => Targets { apache: main, ..none },
        "caddy" => Targets { caddy: main, ..none },
        "lighttpd" => Targets { lighttpd: main, ..none },
        "fpm" => Targets { fpm: main, ..none },
        _ => panic!("no server is called {server}"),
    }
}

/// Where the process that looks finds what it is to look at: the server, and the main file.
const LOOK_AT: &str = "CUTOVER_DOCTOR_BOMB";

/// What this test does in a process of its own.
fn look_at(named: &str) {
    let (server, main) = named.split_once('=').unwrap();
    let report = Report::of(&Facts::look(&Here, &targets(server, Path::new(main).to_owned())));
    println!("looked at: {} findings, {} blind", report.findings().count(), report.blind.len());
}

#[test]
fn what_multiplies_itself_is_looked_at_in_bounded_memory_and_time() {
    if let Ok(named) = std::env::var(LOOK_AT) {
        return look_at(&named);
    }
    let limits = format!(
        "ulimit -v {KILOBYTES}; ulimit -t {SECONDS}; exec \"$0\" --exact --nocapture bombs::what_multiplies_itself_is_looked_at_in_bounded_memory_and_time"
    );
    let full = std::env::var_os("CUTOVER_PROMISE").is_some_and(|value| value == "full");
    for name in BOMBS.iter().chain(SLOW.iter().filter(|_| full)) {
        let began = std::time::Instant::now();
        let dir = tempfile::tempdir().unwrap();
        let Bomb { server, files } = bomb(name);
        for (file, text) in &files {
            assert!(text.len() < 4 << 20, "{name}: {} bytes would not be read", text.len());
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        let main = dir.path().join(&files[0].0);
        let mut command = Command::new("sh");
        command.args(["-c", &limits]).arg(std::env::current_exe().unwrap());
        command.env(LOOK_AT, format!("{server}={}", main.display())).env("RUST_TEST_THREADS", "1");
        let out = command.output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success() && said.contains("looked at: "), "{name}: {out:?}");
        println!("{name}: {:?}", began.elapsed());
    }
}
