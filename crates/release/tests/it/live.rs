//! The link, in all the states that other tools and people leave it in.

use crate::shop::{Shop, build, id};
use release::App;
use release::live::{self, LiveError};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

#[test]
fn a_link_names_its_release_and_says_where_to_watch() {
    let shop = Shop::with(&["r1"]);
    for text in ["releases/r1", "./releases//r1/", &shop.root().join("releases/r1").display().to_string()] {
        shop.link_to(text);
        let live = live::read(&shop.app).unwrap();
        assert_eq!((&live.id, live.text.as_os_str()), (&id("r1"), text.as_ref()));
        assert_eq!(live.dir, shop.app.release(&id("r1")));
        assert_eq!((live.below.as_path(), live.links), (Path::new(""), 1));
        assert_eq!(live.parents, [shop.root().to_owned(), shop.app.releases()]);
        assert!(live.still_named(&shop.app));
    }
}

#[test]
fn every_way_a_link_can_be_broken_is_told_apart() {
    let shop = Shop::with(&["r1"]);
    let link = shop.app.link().to_owned();
    let read = || live::read(&shop.app).unwrap_err();
    assert_eq!(read(), LiveError::Missing { link: link.clone() });

    fs::create_dir(&link).unwrap();
    assert_eq!(read(), LiveError::NotALink { link: link.clone(), is: "a directory" });
    fs::remove_dir(&link).unwrap();
    fs::write(&link, "releases/r1").unwrap();
    assert_eq!(read(), LiveError::NotALink { link: link.clone(), is: "a file" });

    shop.link_to("releases/r2");
    assert_eq!(read(), LiveError::Dangling { link: link.clone(), missing: shop.app.release(&id("r2")) });
    shop.link_to("nowhere/at/all");
    assert_eq!(read(), LiveError::Dangling { link: link.clone(), missing: shop.root().join("nowhere") });
    shop.link_to("current");
    assert_eq!(read(), LiveError::Loop { link: link.clone() });
    shop.link_to("releases/r1/VERSION");
    assert_eq!(
        read(),
        LiveError::NotADirectory {
            link: link.clone(),
            leads_to: shop.app.release(&id("r1")).join("VERSION")
        }
    );
    shop.link_to("releases/r1/VERSION/deeper");
    assert!(matches!(read(), LiveError::NotADirectory { .. }), "{:?}", read());
    shop.link_to("/etc");
    assert_eq!(read(), LiveError::Outside { link: link.clone(), leads_to: "/etc".into() });
    shop.link_to("releases");
    assert_eq!(read(), LiveError::Outside { link: link.clone(), leads_to: shop.app.releases() });
    shop.link_to("releases/../../..");
    assert!(matches!(read(), LiveError::Outside { .. }), "{:?}", read());
    fs::create_dir(shop.app.releases().join("my release")).unwrap();
    shop.link_to("releases/my release");
    assert!(matches!(read(), LiveError::BadName { .. }), "{:?}", read());
    for why in ["is not there", "is a directory, not", "leads in a circle"] {
        let said = [
            LiveError::Missing { link: link.clone() }.to_string(),
            LiveError::NotALink { link: link.clone(), is: "a directory" }.to_string(),
            LiveError::Loop { link: link.clone() }.to_string(),
        ];
        assert!(said.iter().any(|said| said.contains(why)), "{why}");
    }
}

#[test]
fn a_chain_of_links_is_followed_and_each_parent_watched() {
    let shop = Shop::with(&["r1"]);
    let mid = shop.root().join("mid");
    fs::create_dir(&mid).unwrap();
    symlink("../releases/r1", mid.join("stable")).unwrap();
    shop.link_to("mid/stable");
    let live = live::read(&shop.app).unwrap();
    assert_eq!((live.id, live.links), (id("r1"), 2));
    assert_eq!(live.parents, [shop.root().to_owned(), mid, shop.app.releases()]);
}

#[test]
fn a_link_in_mid_path_or_elsewhere_is_the_link() {
    let shop = Shop::with(&["r1"]);
    for link in [PathBuf::from("www/site"), shop.outside().join("var/shop")] {
        let app = App::new(shop.root(), &link, &[]).unwrap();
        fs::create_dir_all(app.link_parent()).unwrap();
        symlink(shop.app.release(&id("r1")), app.link()).unwrap();
        let live = live::read(&app).unwrap();
        assert_eq!(live.dir, shop.app.release(&id("r1")));
        assert_eq!(live.parents, [app.link_parent().to_owned(), shop.app.releases()]);
    }
}

#[test]
fn a_link_into_a_release_names_that_release_and_the_rest_of_the_way() {
    let shop = Shop::with(&["r1"]);
    shop.link_to("releases/r1/public");
    let live = live::read(&shop.app).unwrap();
    assert_eq!((live.id, live.below), (id("r1"), PathBuf::from("public")));
    assert_eq!(live.dir, shop.app.release(&id("r1")));
}

#[test]
fn what_is_allowed_beside_releases_may_be_live() {
    let shop = Shop::with(&["r1"]);
    let builds = shop.outside().join("builds");
    build(&builds.join("b7"), "b7");
    let allowing = |path: &Path| App::new(shop.root(), Path::new("current"), &[path.to_owned()]).unwrap();
    shop.link_to(builds.join("b7"));
    assert!(matches!(live::read(&shop.app), Err(LiveError::Outside { .. })));
    assert_eq!(live::read(&allowing(&builds)).unwrap().id, id("b7"));
    assert_eq!(live::read(&allowing(&builds.join("b7"))).unwrap().id, id("b7"));
    build(&shop.root().join("slots/a"), "a");
    shop.link_to("slots/a");
    assert_eq!(live::read(&shop.app).unwrap().id, id("a"));
}

#[test]
fn releases_on_another_disk_behind_a_link_are_still_releases() {
    let shop = Shop::with(&[]);
    fs::remove_dir(shop.app.releases()).unwrap();
    let big = shop.outside().join("big");
    build(&big.join("r1"), "r1");
    symlink(&big, shop.app.releases()).unwrap();
    shop.link_to("releases/r1");
    let live = live::read(&shop.app).unwrap();
    assert_eq!((live.id, live.dir), (id("r1"), big.join("r1")));
    assert_eq!(live.parents, [shop.root().to_owned(), big]);
}

#[test]
fn a_link_that_changes_is_not_still_named() {
    let shop = Shop::with(&["r1", "r2"]);
    shop.link_to("releases/r1");
    let live = live::read(&shop.app).unwrap();
    shop.link_to("releases/r2");
    assert!(!live.still_named(&shop.app));
    shop.link_to("./releases/r1");
    assert!(!live.still_named(&shop.app), "the text is another");
    shop.link_to("releases/r1");
    assert!(live.still_named(&shop.app));
    fs::rename(shop.app.release(&id("r1")), shop.app.release(&id("old"))).unwrap();
    build(&shop.app.release(&id("r1")), "remade");
    assert!(!live.still_named(&shop.app), "the directory is another");
}
