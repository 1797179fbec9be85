//! Slots, as people and programs meet them: who stands where, what a deploy would take, who is in the way.

use crate::shop::Shop;

/// An app in slot mode; its source, beside it.
fn shop(keys: &str) -> (Shop, tempfile::TempDir) {
    let (shop, source) = (Shop::with_releases(&[]), tempfile::tempdir().unwrap());
    let text = format!(
        "[app]\nlayout = 'slots'\n{keys}\n[source]\ndir = '{}'\n[serve]\nlisten = ['127.0.0.1:1']\n",
        source.path().display()
    );
    std::fs::write(shop.path("cutover.toml"), text).unwrap();
    (shop, source)
}

/// Deploys a page; gives the release.
fn deployed(shop: &Shop, source: &tempfile::TempDir, page: &str) -> String {
    std::fs::write(source.path().join("index.html"), page).unwrap();
    let said = shop.ok(&["deploy", "--json"]);
    let answer: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(std::fs::read_to_string(shop.path("current/index.html")).unwrap(), page);
    answer["release"].as_str().unwrap().to_owned()
}

#[test]
fn releases_tell_in_which_slot_they_stand_and_a_rollback_brings_back_what_lost_it() {
    let (shop, source) = shop("");
    let ids = ["one", "two", "three"].map(|page| deployed(&shop, &source, page));
    let (_, json) = shop.json(&["releases"]);
    let stands: Vec<(String, String)> = json["releases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["stands"].as_str().unwrap().into(), row["slot"].as_str().unwrap_or("-").into()))
        .collect();
    let wanted = [("store", "-"), ("slot", "b"), ("slot", "a")];
    assert_eq!(stands, wanted.map(|(one, two)| (one.to_owned(), two.to_owned())));
    let table = shop.ok(&["releases"]);
    assert!(table.contains("sealed, in store") && table.contains("sealed, slot a"), "{table}");
    assert!(
        shop.ok(&["plan"])
            .contains(&format!("takes slot b, unless it is in use; {} lives on in the store", ids[1]))
    );
    assert!(shop.ok(&["diff", &ids[0], &ids[2]]).contains("1 changed"));
    assert!(shop.ok(&["fsck"]).contains("3 releases"));
    assert!(
        shop.fails(1, &["flip", &ids[0]]).contains(&format!("`cutover rollback {}` brings it back", ids[0]))
    );
    let said = shop.ok(&["rollback", &ids[0]]);
    assert!(said.contains(&format!("{} is live, {} was", ids[0], ids[2])), "{said}");
    assert_eq!(std::fs::read_to_string(shop.path("current/index.html")).unwrap(), "one");
    // "three" was left for bad, "two" lost its slot: with nothing older, that is where there is no way back.
    let said = shop.ok(&["rollback", &ids[1]]);
    assert!(said.contains(&format!("{} is live", ids[1])), "{said}");
    assert_eq!(std::fs::read_to_string(shop.path("current/index.html")).unwrap(), "two");
}

#[test]
fn a_slot_in_use_refuses_the_deploy_with_3_and_says_who_uses_it() {
    let (shop, source) = shop("slot_wait = '0s'");
    let first = deployed(&shop, &source, "one");
    let mut cron =
        std::process::Command::new("sleep").arg("600").current_dir(shop.path("current/")).spawn().unwrap();
    let second = deployed(&shop, &source, "two");
    std::fs::write(source.path().join("index.html"), "three").unwrap();
    let ran = shop.run(&["deploy"]);
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    let who = format!("slot a is used by process {} (sleep)", cron.id());
    assert!(ran.err.contains(&who) && ran.err.contains(&format!("{second} is still live")), "{}", ran.err);
    assert_eq!(shop.live(), format!("releases/{second}"));
    cron.kill().unwrap();
    cron.wait().unwrap();
    deployed(&shop, &source, "three");
    assert!(shop.ok(&["releases"]).contains(&first));
}

#[test]
fn slots_are_refused_where_nobody_says_who_uses_them() {
    let (shop, source) = shop("");
    let text = std::fs::read_to_string(shop.path("cutover.toml")).unwrap();
    std::fs::write(shop.path("cutover.toml"), text.split("[serve]").next().unwrap()).unwrap();
    let said = shop.fails(2, &["deploy"]);
    assert!(said.contains("hold none") && said.contains("keep layout = \"releases\""), "{said}");
    std::fs::write(shop.path("cutover.toml"), &text).unwrap();
    assert!(shop.fails(2, &["nginx"]).contains("holds no leases"));
    deployed(&shop, &source, "one");
    std::fs::write(shop.path(".cutover/adopted"), "").unwrap();
    assert!(shop.fails(3, &["deploy"]).contains("the app is adopted"));
}
