//! `cutover fsck` and `cutover diff`, as they are typed.

use std::fs;

use crate::shop::Shop;

#[test]
fn fsck_finds_what_was_changed_since_the_seal_and_repairs_it_from_another_release() {
    let shop = Shop::with_live(&["r1"]);
    shop.release("r2");
    fs::write(shop.path("releases/r2/index.html"), "r1").unwrap();
    shop.ok(&["seal", "r2"]);
    assert_eq!(shop.ok(&["fsck"]), "2 releases with 2 files, 0 blobs: all is as it should be");
    fs::write(shop.path("releases/r1/index.html"), "XX").unwrap();
    let said = shop.fails(1, &["fsck"]);
    assert!(said.contains("r1: index.html has another content than it should"), "{said}");
    assert!(said.contains("cutover fsck --repair") && said.contains("r1 is still live"), "{said}");
    let said = shop.ok(&["fsck", "--repair"]);
    assert!(said.contains("r1: index.html has another content than it should; mended"), "{said}");
    assert_eq!(fs::read_to_string(shop.path("releases/r1/index.html")).unwrap(), "r1");
    let (code, json) = shop.json(&["fsck", "r1"]);
    assert_eq!(
        (code, json["releases"].as_u64(), json["findings"].as_array().map(Vec::len)),
        (0, Some(1), Some(0))
    );
}

#[test]
fn fsck_tells_what_nothing_has_any_more() {
    let shop = Shop::with_live(&["r1"]);
    fs::remove_file(shop.path("releases/r1/index.html")).unwrap();
    let said = shop.fails(1, &["fsck", "--repair"]);
    assert!(said.contains("is missing; nothing else has its content"), "{said}");
}

#[test]
fn diff_lists_what_is_added_changed_and_removed() {
    let shop = Shop::with_releases(&["r1", "r2"]);
    fs::write(shop.path("releases/r1/old"), "old").unwrap();
    fs::write(shop.path("releases/r2/new"), "newer").unwrap();
    let said = shop.fails(1, &["diff", "r1", "r2"]);
    assert!(said.contains("r1 was never sealed") || said.contains("not sealed"), "{said}");
    shop.ok(&["seal", "r1"]);
    shop.ok(&["seal", "r2"]);
    let wanted = "+ new (5 bytes)\n~ index.html (2 to 2 bytes)\n- old (3 bytes)\nr1 to r2: 1 added, 1 changed, 1 removed, 0 the same";
    assert_eq!(shop.ok(&["diff", "r1", "r2"]), wanted);
    let (code, json) = shop.json(&["diff", "r1", "r2"]);
    assert_eq!((code, json["added"][0]["path"].as_str()), (0, Some("new")));
}
