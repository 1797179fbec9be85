//! Bad input: what cannot be staged is refused with its name, and nothing is lost.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use config::host::LinkMode;
use deploy::stage::{self, Rules, StageError};
use release::manifest::{self, SealError};

use crate::apart;
use crate::staging::{Yard, id, ino, tree};

#[test]
fn sockets_fifos_and_devices_are_refused_by_name_unless_they_are_left_out() {
    let mut yard = Yard::new();
    yard.write("index.php", "1");
    let _socket = UnixListener::bind(yard.source().join("app.sock")).unwrap();
    let refused = yard.try_stage("r1");
    let path = yard.source().join("app.sock");
    assert_eq!(refused, Err(StageError::Special { path, is: "a socket" }));
    fs::remove_file(yard.source().join("app.sock")).unwrap();
    let fifo = yard.source().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert_eq!(yard.try_stage("r1"), Err(StageError::Special { path: fifo, is: "a fifo" }));
    yard.rules.exclude = stage::exclude::Exclude::new(&["pipe".into()]);
    if rustix::process::geteuid().is_root() {
        let (null, kind) = (yard.source().join("null"), rustix::fs::FileType::CharacterDevice);
        rustix::fs::mknodat(rustix::fs::CWD, &null, kind, 0o600.into(), rustix::fs::makedev(1, 3)).unwrap();
        assert_eq!(yard.try_stage("r1"), Err(StageError::Special { path: null.clone(), is: "a device" }));
        fs::remove_file(null).unwrap();
    }
    yard.make("r1");
    assert!(!yard.release("r1").join("pipe").exists());
}

#[test]
fn shared_places_begin_with_what_the_source_has_and_are_never_changed_again() {
    let mut yard = Yard::new();
    yard.rules.shared_dirs = vec!["storage".into(), "public/uploads".into()];
    yard.rules.shared_files = vec!["config/.env".into()];
    yard.write("storage/app/seed", "first");
    yard.write("config/.env", "SECRET=1");
    fs::set_permissions(yard.source().join("config/.env"), fs::Permissions::from_mode(0o600)).unwrap();
    yard.write("public/index.php", "1");
    // As before the very first deploy.
    fs::remove_dir(yard.app.releases()).unwrap();
    let staged = yard.make("r1");
    assert_eq!(staged.links, 3);
    let shared = yard.app.shared();
    assert_eq!(fs::read_to_string(shared.join("storage/app/seed")).unwrap(), "first");
    assert_eq!(fs::metadata(shared.join("config/.env")).unwrap().mode() & 0o777, 0o600);
    fs::write(shared.join("storage/app/seed"), "in use").unwrap();
    yard.write("storage/app/seed", "second");
    yard.write("config/.env", "SECRET=2");
    yard.make("r2");
    assert_eq!(fs::read_to_string(yard.release("r2").join("storage/app/seed")).unwrap(), "in use");
    assert_eq!(fs::read_to_string(yard.release("r2").join("config/.env")).unwrap(), "SECRET=1");
    for id in ["r1", "r2"] {
        assert_eq!(
            fs::read_link(yard.release(id).join("public/uploads")).unwrap(),
            Path::new("../../../shared/public/uploads")
        );
    }
    assert!(yard.release("r2").join("public/uploads").is_dir());
}

#[test]
fn a_missing_shared_file_is_an_error_and_never_an_empty_file() {
    let mut yard = Yard::new();
    yard.write("index.php", "1");
    yard.rules.shared_files = vec![".env".into()];
    let path = yard.app.shared().join(".env");
    assert_eq!(yard.try_stage("r1"), Err(StageError::NoSharedFile { path: path.clone() }));
    assert!(!path.exists() && !yard.release("r1").exists());
    yard.write(".env", "A=1");
    yard.make("r1");
    assert_eq!(fs::read_to_string(path).unwrap(), "A=1");
}

#[test]
fn a_file_where_a_shared_directory_should_be_is_told_and_left_as_it_is() {
    let mut yard = Yard::new();
    yard.write("index.php", "1");
    yard.rules.shared_dirs = vec!["storage".into()];
    fs::create_dir(yard.app.shared()).unwrap();
    fs::write(yard.app.shared().join("storage"), "precious").unwrap();
    let refused = yard.try_stage("r1").unwrap_err();
    assert!(matches!(&refused, StageError::InTheWay { is: "a file", wanted: "directory", .. }), "{refused}");
    assert_eq!(fs::read_to_string(yard.app.shared().join("storage")).unwrap(), "precious");
    // The other way round: the release has a file where a shared directory goes.
    fs::remove_file(yard.app.shared().join("storage")).unwrap();
    yard.write("storage", "precious");
    let refused = yard.try_stage("r1").unwrap_err();
    assert!(matches!(&refused, StageError::InTheWay { is: "a file", .. }), "{refused}");
}

#[test]
fn a_source_that_never_stands_still_is_an_error_not_a_mixture() {
    let yard = Yard::new();
    for n in 0..300 {
        yard.write(&format!("d{}/f{n}", n % 10), "x");
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0u64;
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                for d in 0..10 {
                    let name = yard.source().join(format!("d{d}/g{}", n % 3));
                    fs::write(&name, n.to_string()).unwrap();
                    fs::remove_file(&name).unwrap();
                }
            }
        });
        let staged = yard.try_stage("r1");
        stop.store(true, Ordering::Relaxed);
        assert!(matches!(staged, Err(StageError::Changing { .. })), "{staged:?}");
    });
    assert!(yard.try_stage("r1").is_ok());
}

#[test]
fn a_hook_that_writes_through_a_hard_link_is_found_before_the_seal() {
    let yard = Yard::new();
    yard.write("config.php", "one");
    yard.make("r1");
    yard.stage("r2");
    fs::write(yard.release("r2").join("config.php"), "by a hook").unwrap();
    let refused = stage::seal(&yard.app, &id("r2"));
    assert_eq!(refused, Err(SealError::Damaged { path: yard.release("r2").join("config.php") }));
    assert!(manifest::sealed(&yard.app, &id("r2")).is_err());
}

#[test]
fn what_a_hook_made_anew_is_sealed_as_it_made_it() {
    let yard = Yard::new();
    yard.write("config.php", "one");
    yard.write("other.php", "two");
    yard.make("r1");
    yard.stage("r2");
    fs::write(yard.release("r2").join("new"), "by a hook").unwrap();
    fs::rename(yard.release("r2").join("new"), yard.release("r2").join("config.php")).unwrap();
    let sealed = yard.seal("r2");
    let manifest = manifest::load_at(&yard.app, sealed.id(), sealed.dir()).unwrap().unwrap();
    for (path, content) in [(&b"config.php"[..], "by a hook"), (b"other.php", "two")] {
        let manifest::Kind::File { hash, .. } = manifest.get(path).unwrap().kind else { panic!() };
        assert_eq!(hash, *blake3::hash(content.as_bytes()).as_bytes());
    }
    assert_eq!(fs::read_to_string(yard.release("r1").join("config.php")).unwrap(), "one");
}

#[test]
fn without_other_users_releases_share_nothing() {
    let mut yard = Yard::new();
    yard.rules = Rules { link_mode: LinkMode::Auto, ..Rules::plain() };
    yard.write("a", "1");
    yard.make("r1");
    yard.make("r2");
    assert_ne!(ino(yard.release("r1").join("a")), ino(yard.release("r2").join("a")));
    // Where pool and hooks are somebody else, they do; but not what others may write.
    yard.rules.writers = Some(vec![33]);
    fs::set_permissions(yard.write("open", "2"), fs::Permissions::from_mode(0o666)).unwrap();
    yard.make("r3");
    yard.make("r4");
    let same = |name: &str| ino(yard.release("r3").join(name)) == ino(yard.release("r4").join(name));
    // A file system with reflinks takes those.
    let reflinks = yard.app.store().join("index").exists() && !same("a");
    assert!(reflinks || (same("a") && !same("open")));
}

#[test]
fn writable_places_are_made_and_granted_and_never_shared() {
    let mut yard = Yard::new();
    yard.rules.writable = vec!["cache".into(), "var/made".into()];
    yard.rules.pool = Some(33);
    yard.write("cache/a", "1");
    yard.make("r1");
    yard.make("r2");
    assert!(yard.release("r2").join("var/made").is_dir());
    assert_ne!(ino(yard.release("r1").join("cache/a")), ino(yard.release("r2").join("cache/a")));
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(yard.app.root().parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut sh = Command::new("setpriv");
        sh.args([
            "--reuid=33",
            "--regid=33",
            "--clear-groups",
            "sh",
            "-c",
            "echo 2 > cache/b && echo 3 > cache/a && echo 4 > var/made/c",
        ]);
        let output = sh
            .current_dir(yard.release("r2"))
            .output()
            .expect("setpriv is missing: apt-get install util-linux");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut sh = Command::new("setpriv");
        sh.args(["--reuid=33", "--regid=33", "--clear-groups", "sh", "-c", "echo 2 > b"]);
        assert!(!sh.current_dir(yard.release("r2")).output().unwrap().status.success());
    }
}

#[test]
fn the_app_inside_its_own_source_is_not_staged() {
    let yard = Yard::new();
    yard.write("index.php", "1");
    let inside = release::App::new(&yard.source(), Path::new("current"), &[]).unwrap();
    fs::create_dir(yard.source().join("releases")).unwrap();
    for name in ["r1", "r2"] {
        stage::stage(&inside, &yard.rules, &yard.source(), &id(name), &mut |_| {}).unwrap();
        stage::seal(&inside, &id(name)).unwrap();
        assert_eq!(tree(&inside.release(&id(name))).len(), 1);
    }
}

#[test]
fn a_blob_that_has_all_the_names_it_may_have_gets_a_second() {
    let yard = Yard::new();
    yard.write("a", "1");
    yard.make("r1");
    let blob = yard.release("r1").join("a");
    let crowd = yard.app.root().join("crowd");
    fs::create_dir(&crowd).unwrap();
    // ext4 has room for 65,000 names; others for many more, and then there is nothing to see.
    for n in 0..64_998 {
        if fs::hard_link(&blob, crowd.join(n.to_string())).is_err() {
            break;
        }
    }
    for name in ["r2", "r3", "r4"] {
        yard.make(name);
        assert_eq!(tree(&yard.release(name)), tree(&yard.source()));
    }
    assert_eq!(ino(yard.release("r3").join("a")), ino(yard.release("r4").join("a")));
}

/// Stages a tree of 60 small files and one of 3 MB onto a file system of its own, which has no room for it.
fn refused_on(test: &str, mount: &str, wanted: &str) {
    apart::on(test, mount, |dir| {
        let source = tempfile::tempdir_in("/tmp").unwrap();
        fs::create_dir(source.path().join("source")).unwrap();
        let yard = Yard::at(source.path());
        yard.write("big", &"x".repeat(3 << 20));
        for n in 0..60 {
            yard.write(&format!("f{n}"), "x");
        }
        let app = release::App::new(&dir.join("shop"), Path::new("current"), &[]).unwrap();
        let staged = stage::stage(&app, &yard.rules, &yard.source(), &id("r1"), &mut |_| {});
        let said = staged.unwrap_err().to_string();
        assert!(said.contains(wanted), "{said}");
        assert!(manifest::sealed(&app, &id("r1")).is_err());
    });
}

#[test]
fn a_full_disk_is_told_as_one() {
    let mount = apart::memory("size=1m");
    refused_on("stage_faults::a_full_disk_is_told_as_one", &mount, "the disk is full");
}

#[test]
fn missing_inodes_are_told_as_such() {
    let mount = apart::memory("size=64m,nr_inodes=40");
    refused_on("stage_faults::missing_inodes_are_told_as_such", &mount, "no inodes left");
}

#[test]
fn a_target_that_is_read_only_is_told_as_such() {
    let mount = format!("{}; mkdir -p $D/shop/releases; mount -o remount,ro $D", apart::memory("size=64m"));
    refused_on("stage_faults::a_target_that_is_read_only_is_told_as_such", &mount, "Read-only");
}

#[test]
fn links_in_the_place_of_a_shared_directorys_parent_are_refused() {
    let mut yard = Yard::new();
    yard.write("real/x", "1");
    symlink("real", yard.source().join("public")).unwrap();
    yard.rules.shared_dirs = vec!["public/uploads".into()];
    assert!(matches!(yard.try_stage("r1"), Err(StageError::Unwritten { .. })));
    assert!(!yard.source().join("real/uploads").exists());
}
