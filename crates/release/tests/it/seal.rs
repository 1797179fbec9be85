//! The seal: what it takes down, what it refuses, and when it no longer counts.

use crate::shop::{Shop, build, id};
use release::live;
use release::manifest::{self, Kind, ManifestError, SealError};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Instant;

#[test]
fn a_seal_takes_down_every_file_directory_and_link() {
    let shop = Shop::with(&[]);
    shop.build("r1");
    let dir = shop.app.release(&id("r1"));
    symlink("../../shared/storage", dir.join("storage")).unwrap();
    fs::write(dir.join("run.sh"), "x").unwrap();
    fs::set_permissions(dir.join("run.sh"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::write(dir.join("public/odd\nname \u{e9}"), "").unwrap();
    manifest::seal(&shop.app, &id("r1")).unwrap();

    shop.link_to("releases/r1");
    let manifest = manifest::load(&shop.app, &live::read(&shop.app).unwrap()).unwrap().unwrap();
    let paths: Vec<_> =
        manifest.entries().map(|(path, _)| String::from_utf8_lossy(path).into_owned()).collect();
    assert_eq!(
        paths,
        ["", "VERSION", "public", "public/index.html", "public/odd\nname \u{e9}", "run.sh", "storage"]
    );
    let run = manifest.get(b"run.sh").unwrap();
    assert_eq!(run.mode, 0o750);
    let Kind::File { hash, size, .. } = manifest.get("public/odd\nname \u{e9}".as_bytes()).unwrap().kind
    else {
        panic!("it is a file")
    };
    // BLAKE3 of nothing, from its published test vectors.
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    assert_eq!(size, 0);
    assert_eq!(
        manifest.get(b"storage").unwrap().kind,
        Kind::Link { target: (*b"../../shared/storage").into() }
    );
    assert_eq!(manifest.get(b"public").unwrap().kind, Kind::Dir);
    assert_eq!(manifest.get(b"public/none"), None);
}

#[test]
fn a_fifo_a_socket_and_a_device_are_refused() {
    let shop = Shop::with(&[]);
    shop.build("r1");
    let path = shop.app.release(&id("r1")).join("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let error = manifest::seal(&shop.app, &id("r1")).unwrap_err();
    assert_eq!(error, SealError::Special { path: path.clone(), is: "a fifo" });
    fs::remove_file(&path).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let error = manifest::seal(&shop.app, &id("r1")).unwrap_err();
    assert_eq!(error, SealError::Special { path: path.clone(), is: "a socket" });
    assert!(error.to_string().contains("files, directories and links only"));
    assert_eq!(manifest::sealed(&shop.app, &id("r1")), Err(ManifestError::Unsealed { id: id("r1") }));
}

#[test]
fn nesting_without_end_is_refused_before_descriptors_run_out() {
    let shop = Shop::with(&[]);
    shop.build("r1");
    fs::create_dir_all(shop.app.release(&id("r1")).join("d/".repeat(300))).unwrap();
    let error = manifest::seal(&shop.app, &id("r1")).unwrap_err();
    assert!(matches!(error, SealError::TooDeep { .. }), "{error}");
}

#[test]
fn a_tree_that_was_remade_under_the_name_is_not_sealed() {
    let shop = Shop::with(&["r1"]);
    let dir = shop.app.release(&id("r1"));
    // Several times: a file system may give the new directory the old one's inode.
    for _ in 0..5 {
        fs::remove_dir_all(&dir).unwrap();
        build(&dir, "remade");
        let error = manifest::sealed(&shop.app, &id("r1")).unwrap_err();
        assert_eq!(error, ManifestError::OtherTree { id: id("r1") });
        manifest::seal(&shop.app, &id("r1")).unwrap();
    }
}

#[test]
fn a_seal_counts_for_its_own_name_only() {
    let shop = Shop::with(&["r1"]);
    fs::rename(shop.app.release(&id("r1")), shop.app.release(&id("r2"))).unwrap();
    fs::rename(shop.app.manifest(&id("r1")), shop.app.manifest(&id("r2"))).unwrap();
    assert_eq!(manifest::sealed(&shop.app, &id("r2")), Err(ManifestError::OtherTree { id: id("r2") }));
}

#[test]
fn a_torn_manifest_is_refused_not_taken_for_unsealed() {
    let shop = Shop::with(&["r1"]);
    let path = shop.app.manifest(&id("r1"));
    let bytes = fs::read(&path).unwrap();
    for end in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..end]).unwrap();
        assert_eq!(manifest::sealed(&shop.app, &id("r1")), Err(ManifestError::Torn));
    }
}

#[test]
fn five_thousand_files_are_sealed_and_loaded_quickly() {
    let shop = Shop::with(&[]);
    let dir = shop.app.release(&id("r1"));
    for n in 0..50 {
        fs::create_dir_all(dir.join(format!("src/{n}"))).unwrap();
        for m in 0..100 {
            fs::write(dir.join(format!("src/{n}/Class{m}.php")), format!("<?php // {n} {m}").repeat(100))
                .unwrap();
        }
    }
    let start = Instant::now();
    manifest::seal(&shop.app, &id("r1")).unwrap();
    let sealed = start.elapsed();
    let start = Instant::now();
    let manifest = manifest::load_at(&shop.app, &id("r1"), &dir).unwrap().unwrap();
    let loaded = start.elapsed();
    assert_eq!(manifest.len(), 5052);
    let start = Instant::now();
    for n in 0..50 {
        for m in 0..100 {
            assert!(manifest.get(format!("src/{n}/Class{m}.php").as_bytes()).is_some());
        }
    }
    let found = start.elapsed();
    println!("sealed {sealed:?}, loaded {loaded:?}, 5000 lookups {found:?}");
    assert!(loaded < sealed, "to read the seal costs less than to make it");
}

#[test]
fn what_is_known_of_a_file_is_sealed_unread_and_what_is_damaged_is_refused() {
    let shop = Shop::with(&[]);
    shop.build("r1");
    let mut asked = Vec::new();
    let sealed = manifest::seal_known(&shop.app, &id("r1"), &mut |path, seen| {
        asked.push((path.to_vec(), seen.size));
        if path == b"VERSION" { manifest::Known::Hash([7; 32]) } else { manifest::Known::Nothing }
    });
    let sealed = sealed.unwrap();
    asked.sort();
    assert_eq!(asked, [(b"VERSION".to_vec(), 2), (b"public/index.html".to_vec(), 2)]);
    let manifest = manifest::load_at(&shop.app, sealed.id(), sealed.dir()).unwrap().unwrap();
    let hash = |path: &[u8]| {
        let manifest::Kind::File { hash, .. } = manifest.get(path).unwrap().kind else { panic!("no file") };
        hash
    };
    assert_eq!(hash(b"VERSION"), [7; 32]);
    assert_eq!(hash(b"public/index.html"), *blake3::hash(b"r1").as_bytes());
    shop.build("r2");
    let damaged = manifest::seal_known(&shop.app, &id("r2"), &mut |_, _| manifest::Known::Damaged);
    assert!(matches!(damaged, Err(manifest::SealError::Damaged { .. })), "{damaged:?}");
    assert!(matches!(manifest::sealed(&shop.app, &id("r2")), Err(manifest::ManifestError::Unsealed { .. })));
}
