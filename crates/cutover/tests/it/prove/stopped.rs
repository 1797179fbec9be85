//! Runs that end before they are done: what was observed is kept and judged, and the report says so.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::site::{Site, prove};

/// Whether the saved observations hold answers.
fn has_answers(saved: &str) -> bool {
    let text = std::fs::read_to_string(saved).unwrap();
    text.lines().filter(|line| line.starts_with('[')).count() > 10
}

#[test]
fn a_flip_command_that_fails_ends_the_run_with_what_it_said() {
    let site = Site::start();
    let saved = site.path("saved").display().to_string();
    let line = "test {release} = r1 || { echo the disk is full >&2; exit 5; }";
    let ran = site.prove(&["--flip", line, "--flip-every", "1s", "--save", &saved]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("CUT SHORT"), "{}", ran.out);
    assert!(ran.out.contains("ended with exit status: 5: the disk is full"), "{}", ran.out);
    assert!(has_answers(&saved));
    assert_eq!(prove(&["--replay", &saved]).code, 1, "judged again, it is as bad");
}

#[test]
fn a_flip_command_that_hangs_is_ended_and_the_run_with_it() {
    let site = Site::start();
    let saved = site.path("saved").display().to_string();
    let line = "test {release} = r1 || { echo waiting for the lock >&2; sleep 1000; }";
    // The first flip has to be done in that time, however slow the machine.
    let words = ["--flip", line, "--flip-every", "1s", "--flip-timeout", "3s", "--save", &saved];
    let ran = site.prove(&words);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("hung: it was ended after 3s, and said: waiting for the lock"), "{}", ran.out);
    assert!(has_answers(&saved));
}

#[test]
fn a_first_flip_that_fails_means_that_nothing_was_flooded() {
    let site = Site::start();
    let ran = site.prove(&["--flip", "echo no rights >&2; false {release}"]);
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("cannot put r1 live before the load starts"), "{}", ran.err);
    assert!(ran.err.contains("no rights"), "{}", ran.err);
    let missing = site.prove(&["--app", &site.app(), "--releases", "r9,r1", "--flips", "3"]);
    assert_eq!(missing.code, 2, "{}{}", missing.out, missing.err);
}

#[test]
fn ctrl_c_ends_the_run_and_judges_what_there_is() {
    let site = Site::start();
    let saved = site.path("saved").display().to_string();
    let link = site.link();
    let words = ["--link", &link, "--for", "1h", "--save", &saved];
    let mut child = site.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    assert!(first.starts_with("flooding"), "{first}");
    // Long enough for some answers, however slow the machine: its end is what is judged, not its length.
    std::thread::sleep(Duration::from_secs(1));
    assert!(Command::new("/bin/kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{rest}");
    assert!(rest.contains("CUT SHORT: it was stopped after"), "{rest}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("stopping"));
    assert!(has_answers(&saved));
}
