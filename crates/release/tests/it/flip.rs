//! The flip: what it does to the link, and what it refuses.

use crate::shop::{Shop, id, leftovers};
use release::flip::{FlipError, Target, flip};
use release::manifest::{self, ManifestError};
use release::{App, live};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

#[test]
fn the_first_flip_makes_a_relative_link_and_the_next_replaces_it() {
    let shop = Shop::with(&["r1", "r2"]);
    let first = flip(&shop.app, shop.sealed("r1")).unwrap();
    assert_eq!((first.from, first.to), (None, id("r1")));
    assert_eq!(shop.text(), Path::new("releases/r1"));
    let second = flip(&shop.app, shop.sealed("r2")).unwrap();
    assert_eq!((second.from, second.to), (Some(id("r1")), id("r2")));
    assert_eq!(live::read(&shop.app).unwrap().id, id("r2"));
    assert!(leftovers(shop.root()).is_empty());
}

#[test]
fn the_style_of_the_link_is_kept_as_found() {
    let shop = Shop::with(&["r1", "r2"]);
    let absolute = shop.app.release(&id("r1"));
    symlink("..", shop.root().join("back")).unwrap();
    for (old, new) in [
        (absolute.as_path(), shop.app.release(&id("r2")).as_path()),
        (Path::new("./releases/r1"), Path::new("./releases/r2")),
        (Path::new("releases/r1/public"), Path::new("releases/r2/public")),
        (Path::new("back/shop/releases/r1"), Path::new("releases/r2")),
    ] {
        shop.link_to(old);
        shop.flip("r2");
        assert_eq!(shop.text(), new);
    }
}

#[test]
fn a_chain_is_cut_at_the_apps_own_link() {
    let shop = Shop::with(&["r1", "r2"]);
    symlink("releases/r1", shop.root().join("stable")).unwrap();
    shop.link_to("stable");
    shop.flip("r2");
    assert_eq!(shop.text(), Path::new("releases/r2"));
    assert_eq!(fs::read_link(shop.root().join("stable")).unwrap(), Path::new("releases/r1"));
}

#[test]
fn a_link_far_from_its_releases_gets_there() {
    let shop = Shop::with(&["r1"]);
    let app = App::new(shop.root(), &shop.outside().join("var/www/shop"), &[]).unwrap();
    fs::create_dir_all(app.link_parent()).unwrap();
    flip(&app, Target::Sealed(manifest::sealed(&app, &id("r1")).unwrap())).unwrap();
    assert_eq!(fs::read_link(app.link()).unwrap(), Path::new("../../shop/releases/r1"));
    assert_eq!(live::read(&app).unwrap().id, id("r1"));
}

#[test]
fn a_real_directory_at_current_is_refused_and_not_touched() {
    let shop = Shop::with(&["r1"]);
    fs::create_dir(shop.app.link()).unwrap();
    fs::write(shop.app.link().join("index.php"), "hello").unwrap();
    let error = flip(&shop.app, shop.sealed("r1")).unwrap_err();
    assert!(matches!(error, FlipError::NotALink { is: "a directory", .. }), "{error}");
    assert!(error.to_string().contains("it was not touched"), "{error}");
    assert_eq!(fs::read(shop.app.link().join("index.php")).unwrap(), b"hello");
    assert!(leftovers(shop.root()).is_empty());
}

#[test]
fn a_file_at_current_is_refused_and_not_touched() {
    let shop = Shop::with(&["r1"]);
    fs::write(shop.app.link(), "hello").unwrap();
    let error = flip(&shop.app, shop.sealed("r1")).unwrap_err();
    assert!(matches!(error, FlipError::NotALink { is: "a file", .. }), "{error}");
    assert_eq!(fs::read(shop.app.link()).unwrap(), b"hello");
}

#[test]
fn a_broken_link_is_mended_by_a_flip() {
    let shop = Shop::with(&["r1"]);
    for broken in ["releases/gone", "current", "/etc"] {
        shop.link_to(broken);
        shop.flip("r1");
        assert_eq!(live::read(&shop.app).unwrap().id, id("r1"));
    }
}

#[test]
fn an_unsealed_release_is_refused_unless_forced_aloud() {
    let shop = Shop::with(&[]);
    shop.build("r1");
    let error = manifest::sealed(&shop.app, &id("r1")).unwrap_err();
    assert_eq!(error, ManifestError::Unsealed { id: id("r1") });
    assert!(error.to_string().contains("cutover seal r1"), "{error}");
    flip(&shop.app, Target::Forced(id("r1"))).unwrap();
    assert_eq!(live::read(&shop.app).unwrap().id, id("r1"));
}

#[test]
fn a_release_that_is_not_there_is_refused() {
    let shop = Shop::with(&["r1"]);
    shop.flip("r1");
    assert_eq!(
        manifest::sealed(&shop.app, &id("r9")).unwrap_err(),
        ManifestError::NoRelease { id: id("r9") }
    );
    let error = flip(&shop.app, Target::Forced(id("r9"))).unwrap_err();
    assert_eq!(error, FlipError::NoRelease { id: id("r9") });
    symlink("/etc", shop.app.release(&id("r8"))).unwrap();
    let error = flip(&shop.app, Target::Forced(id("r8"))).unwrap_err();
    assert_eq!(error, FlipError::NoRelease { id: id("r8") });
    assert_eq!(live::read(&shop.app).unwrap().id, id("r1"));
}

#[test]
fn a_release_that_was_replaced_since_its_seal_is_refused() {
    let shop = Shop::with(&["r1", "r2"]);
    shop.flip("r1");
    let target = shop.sealed("r2");
    fs::rename(shop.app.release(&id("r2")), shop.outside().join("old")).unwrap();
    shop.build("r2");
    assert_eq!(flip(&shop.app, target).unwrap_err(), FlipError::Replaced { id: id("r2") });
    assert_eq!(live::read(&shop.app).unwrap().id, id("r1"));
}

#[test]
fn a_release_that_is_being_pruned_is_refused() {
    let shop = Shop::with(&["r1", "r2"]);
    shop.flip("r1");
    let pruner = File::open(shop.app.release(&id("r2"))).unwrap();
    flock(&pruner, FlockOperation::LockExclusive).unwrap();
    assert_eq!(flip(&shop.app, shop.sealed("r2")).unwrap_err(), FlipError::Locked { id: id("r2") });
}

#[test]
fn only_what_dead_processes_left_is_swept() {
    let shop = Shop::with(&["r1"]);
    let dead = {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    };
    let alive = std::process::id();
    let keep =
        [format!(".cutover-tmp-{alive}-1"), ".cutover-tmp-x-1".into(), format!(".cutover-tmp-{dead}-x")];
    for name in keep.iter().chain([&format!(".cutover-tmp-{dead}-1")]) {
        symlink("releases/r1", shop.root().join(name)).unwrap();
    }
    shop.flip("r1");
    let mut left = leftovers(shop.root());
    left.sort();
    let mut keep = keep.to_vec();
    keep.sort();
    assert_eq!(left, keep);
}
