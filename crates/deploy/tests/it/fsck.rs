//! Fsck finds what is damaged and mends what something else still has; diff tells two releases apart.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::Duration;

use config::host::LinkMode;
use deploy::diff::{What, diff};
use deploy::fsck::{self, How, Outcome, Report, Wrong};
use deploy::store;
use release::lock::DeployLock;
use release::manifest;

use crate::staging::{Yard, id, tree};

fn look(yard: &Yard) -> Report {
    fsck::fsck(&yard.app, &[], &[], How::Look, &mut |_| {}).unwrap()
}

fn mend(yard: &Yard) -> Report {
    let lock = DeployLock::take(&yard.app, Duration::ZERO).unwrap();
    fsck::fsck(&yard.app, &[], &[], How::Mend(&lock), &mut |_| {}).unwrap()
}

fn yard() -> Yard {
    let yard = Yard::new();
    yard.write("a", "content of a");
    yard.write("d/b", "content of b");
    symlink("a", yard.source().join("link")).unwrap();
    yard
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let yard = yard();
    yard.make("r1");
    yard.make("r2");
    let report = look(&yard);
    assert_eq!(report.findings, []);
    assert_eq!((report.releases, report.files, report.blobs), (2, 4, 2));
}

#[test]
fn what_is_damaged_in_a_release_is_made_again_from_what_others_have() {
    let mut yard = yard();
    yard.rules.link_mode = LinkMode::Copy;
    yard.make("r1");
    yard.make("r2");
    let sealed = tree(&yard.release("r1"));
    let r1 = yard.release("r1");
    fs::write(r1.join("a"), "damaged in a").unwrap();
    fs::remove_dir_all(r1.join("d")).unwrap();
    fs::remove_file(r1.join("link")).unwrap();
    fs::write(r1.join("extra"), "x").unwrap();
    let wrong: Vec<(PathBuf, Wrong)> =
        look(&yard).findings.into_iter().map(|finding| (finding.path, finding.wrong)).collect();
    let wanted = [
        ("a", Wrong::Content),
        ("d", Wrong::Missing),
        ("d/b", Wrong::Missing),
        ("link", Wrong::Missing),
        ("extra", Wrong::Extra),
    ];
    assert_eq!(wrong, wanted.map(|(path, wrong)| (path.into(), wrong)));
    let report = mend(&yard);
    assert_eq!(report.still_wrong().count(), 0, "{:?}", report.findings);
    fs::remove_file(r1.join("extra")).unwrap();
    assert_eq!(tree(&r1), sealed);
    assert_eq!(look(&yard).findings, []);
}

#[test]
fn a_damaged_blob_goes_and_what_only_it_had_is_told_as_lost() {
    let yard = yard();
    yard.make("r1");
    yard.make("r2");
    // One inode: the store's and that of both releases.
    let time = fs::metadata(yard.release("r1").join("a")).unwrap().modified().unwrap();
    fs::write(yard.release("r1").join("a"), "CONTENT of a").unwrap();
    fs::File::options().write(true).open(yard.release("r1").join("a")).unwrap().set_modified(time).unwrap();
    let report = mend(&yard);
    let told: Vec<_> =
        report.findings.iter().map(|finding| (finding.release.clone(), finding.outcome.clone())).collect();
    assert_eq!(
        told,
        [(None, Outcome::Mended), (Some(id("r1")), Outcome::Lost), (Some(id("r2")), Outcome::Lost)]
    );
    // The next deploy has it again, and then the others can be mended.
    yard.make("r3");
    assert_eq!(fs::read_to_string(yard.release("r3").join("a")).unwrap(), "content of a");
    assert_eq!(mend(&yard).still_wrong().count(), 0);
    assert_eq!(fs::read_to_string(yard.release("r1").join("a")).unwrap(), "content of a");
}

#[test]
fn blobs_that_no_release_has_are_swept_out() {
    let yard = yard();
    yard.make("r1");
    yard.write("a", "another a");
    yard.make("r2");
    fs::remove_dir_all(yard.release("r1")).unwrap();
    let lock = DeployLock::take(&yard.app, Duration::ZERO).unwrap();
    let swept = store::sweep(&lock).unwrap();
    assert_eq!((swept.blobs, swept.bytes), (1, 12));
    assert_eq!(look(&yard).findings, []);
}

#[test]
fn two_releases_are_told_apart_by_their_manifests() {
    let yard = yard();
    yard.make("r1");
    yard.write("a", "changed a!");
    fs::set_permissions(yard.source().join("d/b"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(yard.source().join("link")).unwrap();
    yard.write("e/new", "n");
    yard.make("r2");
    let load = |name| manifest::load_at(&yard.app, &id(name), &yard.release(name)).unwrap().unwrap();
    let diff = diff(&load("r1"), &load("r2"));
    let told = |list: &[deploy::diff::Change]| {
        list.iter()
            .map(|change| (change.path.display().to_string(), change.before, change.after, change.what))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&diff.added), [("e/new".into(), None, Some(1), What::Presence)]);
    assert_eq!(
        told(&diff.changed),
        [("a".into(), Some(12), Some(10), What::Content), ("d/b".into(), Some(12), Some(12), What::Mode)]
    );
    assert_eq!(told(&diff.removed), [("link".into(), None, None, What::Presence)]);
}
