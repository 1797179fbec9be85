//! A tree becomes a release: the same content, times that opcache accepts, unchanged files shared.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use deploy::stage::StageError;
use release::manifest;

use crate::staging::{Yard, age, id, ino, tree};

#[test]
fn a_staged_tree_is_the_tree_whatever_is_in_it() {
    let yard = Yard::new();
    yard.write("index.php", "<?php echo 1;");
    yard.write("a/b/c/deep.txt", "deep");
    yard.write("line\nbreak", "x");
    yard.write("empty", "");
    fs::write(yard.source().join(std::ffi::OsStr::from_bytes(b"not\xffutf8")), "y").unwrap();
    age(&yard.source().join(std::ffi::OsStr::from_bytes(b"not\xffutf8")), 60);
    yard.write("large.bin", &"0123456789abcdef".repeat(200_000));
    fs::set_permissions(yard.write("bin/run", "#!/bin/sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(yard.write("secret", "s"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(yard.source().join("nothing")).unwrap();
    fs::set_permissions(yard.source().join("nothing"), fs::Permissions::from_mode(0o750)).unwrap();
    for (text, name) in
        [("/etc/hostname", "absolute"), ("nowhere", "dangling"), ("loop", "loop"), ("a/b", "inside")]
    {
        symlink(text, yard.source().join(name)).unwrap();
    }
    let staged = yard.make("r1");
    assert_eq!(tree(&yard.release("r1")), tree(&yard.source()));
    assert_eq!((staged.files, staged.dirs, staged.links), (8, 6, 4));
    let again = yard.make("r2");
    assert_eq!(tree(&yard.release("r2")), tree(&yard.source()));
    assert_eq!((again.bytes, again.bytes_copied), (staged.bytes, 0));
    for name in ["r1", "r2"] {
        assert!(manifest::sealed(&yard.app, &id(name)).is_ok());
    }
    assert_eq!(ino(yard.release("r1").join("large.bin")), ino(yard.release("r2").join("large.bin")));
}

#[test]
fn only_what_changed_is_copied() {
    let yard = Yard::new();
    for n in 0..50 {
        yard.write(&format!("d{}/f{n}", n % 7), &format!("content {n}"));
    }
    yard.make("r1");
    yard.write("d3/f3", "another content");
    let staged = yard.make("r2");
    assert_eq!(staged.bytes_copied, 15);
    assert_eq!(fs::read_to_string(yard.release("r2").join("d3/f3")).unwrap(), "another content");
    assert_eq!(fs::read_to_string(yard.release("r1").join("d3/f3")).unwrap(), "content 3");
    assert_eq!(ino(yard.release("r1").join("d4/f4")), ino(yard.release("r2").join("d4/f4")));
}

#[test]
fn a_fresh_checkout_of_the_same_content_shares_its_files() {
    let yard = Yard::new();
    yard.write("a", "same");
    yard.write("b", "same");
    yard.make("r1");
    let old = fs::metadata(yard.release("r1").join("a")).unwrap().mtime();
    for name in ["a", "b"] {
        fs::remove_file(yard.source().join(name)).unwrap();
        age(&yard.write(name, "same"), 30);
    }
    let staged = yard.make("r2");
    assert_eq!(staged.bytes_copied, 0);
    assert_eq!(fs::metadata(yard.release("r2").join("a")).unwrap().mtime(), old);
    // Another mode is another file.
    fs::set_permissions(yard.source().join("a"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(yard.make("r3").bytes_copied, 4);
    assert_eq!(fs::metadata(yard.release("r2").join("a")).unwrap().mode() & 0o777, 0o644);
}

#[test]
fn times_are_never_zero_and_never_too_young_for_opcache() {
    let yard = Yard::new();
    fs::write(yard.source().join("now.php"), "n").unwrap();
    let zero = fs::File::create(yard.source().join("zero.php")).unwrap();
    zero.set_modified(std::time::UNIX_EPOCH).unwrap();
    let future = fs::File::create(yard.source().join("future.php")).unwrap();
    future.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(9999)).unwrap();
    yard.make("r1");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    for name in ["now.php", "zero.php", "future.php"] {
        let mtime = fs::metadata(yard.release("r1").join(name)).unwrap().mtime();
        assert!(mtime > 0 && mtime <= now - 2, "{name}: {mtime}");
    }
}

#[test]
fn a_sealed_release_is_never_staged_again() {
    let yard = Yard::new();
    yard.write("a", "1");
    yard.make("r1");
    yard.write("a", "2");
    assert_eq!(yard.try_stage("r1"), Err(StageError::Sealed { id: id("r1") }));
    assert_eq!(fs::read_to_string(yard.release("r1").join("a")).unwrap(), "1");
}

#[test]
fn what_a_killed_run_left_is_begun_anew() {
    let yard = Yard::new();
    yard.write("a", "1");
    fs::create_dir(yard.release("r1")).unwrap();
    fs::write(yard.release("r1").join("half"), "h").unwrap();
    yard.make("r1");
    assert_eq!(tree(&yard.release("r1")), tree(&yard.source()));
}

#[test]
fn a_preview_says_what_staging_would_change() {
    let yard = Yard::new();
    for name in ["stays", "changes", "goes"] {
        yard.write(name, name);
    }
    yard.make("r1");
    symlink("releases/r1", yard.app.link()).unwrap();
    yard.write("changes", "changed");
    yard.write("d/comes", "new");
    fs::remove_file(yard.source().join("goes")).unwrap();
    symlink("/etc", yard.source().join("outside")).unwrap();
    symlink("gone", yard.source().join("dangling")).unwrap();
    symlink("loop", yard.source().join("loop")).unwrap();
    let preview = yard.preview();
    let names = |list: &[deploy::stage::Change]| {
        list.iter().map(|change| (change.path.display().to_string(), change.bytes)).collect::<Vec<_>>()
    };
    let wanted = [("d/comes", 3), ("dangling", 0), ("loop", 0), ("outside", 0)];
    assert_eq!(names(&preview.added), wanted.map(|(name, bytes)| (name.to_owned(), bytes)));
    assert_eq!(names(&preview.changed), [("changes".to_owned(), 7)]);
    assert_eq!(names(&preview.removed), [("goes".to_owned(), 4)]);
    assert_eq!((preview.same, preview.bytes_new, preview.oddities.len()), (1, 10, 3));
}
