//! Killed (SIGKILL) before every effect in turn: the next stage completes the release. And: any tree is staged as it is.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use crate::staging::{Yard, tree};

const ROOT: &str = "CUTOVER_TEST_STAGER";

/// Not a test: where a started stager begins.
#[test]
fn a_stager_stages() {
    let Ok(root) = std::env::var(ROOT) else { return };
    let mut yard = Yard::at(Path::new(&root));
    yard.shared();
    yard.make("r2");
}

#[test]
fn a_stage_killed_anywhere_is_completed_by_the_next() {
    for n in 1.. {
        assert!(n < 300, "staging has no end");
        let mut yard = Yard::new();
        yard.shared();
        for (path, content) in [("a/b", "1"), ("a/c", "2"), ("d", "3"), ("shared/x", "4"), (".env", "5")] {
            yard.write(path, content);
        }
        symlink("d", yard.source().join("link")).unwrap();
        yard.make("r1");
        yard.write("a/c", "changed");
        yard.write("new", "6");
        let before = tree(&yard.release("r1"));
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "stage_crash::a_stager_stages", "--nocapture"]).env(ROOT, yard.root());
        command.env("CUTOVER_CRASH_AT", n.to_string()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = command.output().unwrap();
        let killed = output.status.signal() == Some(9);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(killed || output.status.success(), "effect {n}: {}: {said}", output.status);
        assert_eq!(tree(&yard.release("r1")), before, "effect {n}");
        if release::manifest::sealed(&yard.app, &crate::staging::id("r2")).is_err() {
            yard.make("r2");
        }
        assert_eq!(fs::read_to_string(yard.release("r2").join("a/c")).unwrap(), "changed", "effect {n}");
        assert_eq!(fs::read_to_string(yard.release("r2").join("new")).unwrap(), "6");
        assert_eq!(fs::read_to_string(yard.release("r2").join("shared/x")).unwrap(), "4");
        assert_eq!(tree(&yard.release("r2")).len(), 9, "effect {n}");
        // What a killed run left in the store harms nothing.
        yard.make("r3");
        assert_eq!(tree(&yard.release("r3")), tree(&yard.release("r2")), "effect {n}");
        let report = deploy::fsck::fsck(&yard.app, &[], &[], deploy::fsck::How::Look, &mut |_| {}).unwrap();
        assert_eq!(report.findings, [], "effect {n}");
        if !killed {
            println!("staging: killed before each of {} effects", n - 1);
            return;
        }
    }
}

fn things() -> impl Strategy<Value = Vec<(Vec<u8>, u8, Vec<u8>)>> {
    let name = prop::collection::vec(prop::sample::select(b"ab\n \xff%.".to_vec()), 1..3);
    let names = prop::collection::vec(name, 1..4).prop_map(|parts| parts.join(&b'/'));
    prop::collection::vec((names, 0u8..4, prop::collection::vec(any::<u8>(), 0..40)), 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn any_tree_staged_is_the_tree_and_staged_again_the_same(things in things(), after in things()) {
        use std::os::unix::ffi::OsStrExt;
        let yard = Yard::new();
        let plant = |things: &[(Vec<u8>, u8, Vec<u8>)]| {
            for (path, kind, content) in things {
                if path.split(|byte| *byte == b'/').any(|part| matches!(part, b"." | b"..")) {
                    continue;
                }
                let path = yard.source().join(std::ffi::OsStr::from_bytes(path));
                // What does not fit beside what is there already is left away.
                if path.symlink_metadata().is_ok() || fs::create_dir_all(path.parent().unwrap()).is_err() {
                    continue;
                }
                match kind {
                    0 => drop(fs::create_dir(&path)),
                    1 => drop(symlink(std::ffi::OsStr::from_bytes(&[b"x", &content.iter().map(|byte| byte | 1).collect::<Vec<u8>>()[..]].concat()), &path)),
                    _ => {
                        if fs::write(&path, content).is_ok() {
                            crate::staging::age(&path, 100);
                        }
                    }
                }
            }
        };
        plant(&things);
        yard.make("r1");
        let first = tree(&yard.source());
        prop_assert_eq!(tree(&yard.release("r1")), first.clone());
        yard.make("r2");
        prop_assert_eq!(tree(&yard.release("r2")), first.clone());
        plant(&after);
        yard.make("r3");
        prop_assert_eq!(tree(&yard.release("r3")), tree(&yard.source()));
        prop_assert_eq!(tree(&yard.release("r1")), first);
    }
}
