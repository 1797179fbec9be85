//! What is shipped beside the binary: examples that are valid, units that systemd takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CUTOVER: &str = env!("CARGO_BIN_EXE_cutover");

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging")
}

#[test]
fn every_example_is_a_valid_configuration() {
    let mut count = 0;
    for example in fs::read_dir(packaging().join("examples")).unwrap() {
        let example = example.unwrap().path();
        let checked = Command::new(CUTOVER).args(["serve", "--check"]).arg(&example).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{}: {said}", example.display());
        count += 1;
    }
    assert!(count >= 3);
}

/// Only where systemd is: elsewhere nobody runs the units either.
#[test]
fn systemd_takes_the_units_and_finds_the_service_little_exposed() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str| fs::read_to_string(packaging().join("systemd").join(name)).unwrap();
    // The command must be there to be verified, and takes a cutover of this build.
    let service = read("cutover.service").replace("/usr/bin/cutover", CUTOVER);
    fs::write(dir.path().join("cutover.service"), service).unwrap();
    fs::write(dir.path().join("cutover.socket"), read("cutover.socket")).unwrap();
    let analyze = |args: &[&str]| {
        let out = Command::new("systemd-analyze").current_dir(dir.path()).args(args).output().unwrap();
        (
            out.status.success(),
            format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)),
        )
    };
    let (verified, said) = analyze(&["verify", "./cutover.service", "./cutover.socket"]);
    assert!(verified && said.is_empty(), "{said}");
    // In tenths: 2.1 is what a network server that runs PHP gets.
    let (safe, said) = analyze(&["security", "--offline=true", "--threshold=25", "./cutover.service"]);
    assert!(safe, "{said}");
}
