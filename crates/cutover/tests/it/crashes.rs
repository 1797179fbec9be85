//! A command is killed before each of its effects in turn: one complete release is live, and the next command finishes.

use crate::shop::Shop;

/// r1, r2 and r3 were live in turn, r3 is; r4 is sealed and was never live.
fn shop() -> Shop {
    let shop = Shop::with_live(&["r1", "r2", "r3"]);
    shop.release("r4");
    shop.ok(&["seal", "r4"]);
    shop
}

/// For every n kills the command before its n-th effect, in a shop of its own, and hands that over to be judged.
/// Gives how often it was killed.
fn killed_at_every_effect(command: &[&str], judge: impl Fn(&Shop, u32)) -> u32 {
    for n in 1.. {
        let shop = shop();
        if !shop.killed_at(n, command) {
            return n - 1;
        }
        let live = shop.live();
        let dir = shop.path(&live);
        assert_eq!(std::fs::read_to_string(dir.join("index.html")).unwrap(), live.replace("releases/", ""));
        judge(&shop, n);
        assert_eq!(leftovers(&shop), Vec::<String>::new(), "killed at {n}: {command:?}");
    }
    unreachable!("a command has an end")
}

/// Temporary names that the next commands should have tidied up.
fn leftovers(shop: &Shop) -> Vec<String> {
    let names = |dir: &str| std::fs::read_dir(shop.path(dir)).into_iter().flatten();
    let all =
        ["", ".cutover", ".cutover/manifests", ".cutover/trash", "releases"].into_iter().flat_map(names);
    let temp = |name: &String| name.contains("tmp") || name.contains("trash-");
    all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).filter(temp).collect()
}

fn live(shop: &Shop) -> String {
    shop.json(&["status"]).1["live"].as_str().unwrap().to_owned()
}

#[test]
fn a_killed_flip_left_the_old_or_the_new_and_the_next_one_is_done() {
    let killed = killed_at_every_effect(&["flip", "r4"], |shop, n| {
        let now = live(shop);
        assert!(["r3", "r4"].contains(&now.as_str()), "killed at {n}: {now}");
        shop.ok(&["flip", "r4"]);
        assert_eq!(live(shop), "r4");
        // What was left counts as good, though the command that left it could not say so.
        shop.ok(&["rollback"]);
        assert_eq!(live(shop), "r3", "killed at {n}");
    });
    assert!(killed >= 5, "{killed}");
}

#[test]
fn a_killed_rollback_never_makes_what_was_bad_a_way_back() {
    let killed = killed_at_every_effect(&["rollback"], |shop, n| {
        let now = live(shop);
        assert!(["r3", "r2"].contains(&now.as_str()), "killed at {n}: {now}");
        // It may say besides that it finished or undid the killed one.
        let again = shop.run(&["rollback"]);
        assert_eq!(again.code, 0, "killed at {n}: {}", again.err);
        let next = if now == "r3" { "r2" } else { "r1" };
        assert_eq!(live(shop), next, "killed at {n}");
        shop.ok(&["flip", "r4"]);
        shop.ok(&["rollback"]);
        assert_eq!(live(shop), next, "killed at {n}");
        let said = shop.fails(3, &["rollback", "r3"]);
        assert!(said.contains("r3 is marked bad"), "killed at {n}: {said}");
    });
    assert!(killed >= 6, "{killed}");
}

#[test]
fn a_killed_seal_is_no_seal_or_a_whole_one() {
    let killed = killed_at_every_effect(&["seal", "r4", "--again"], |shop, n| {
        let (code, _) = shop.json(&["seal", "r4", "--again"]);
        assert_eq!(code, 0, "killed at {n}");
        shop.ok(&["flip", "r4"]);
    });
    assert!(killed >= 3, "{killed}");
}

#[test]
fn a_killed_prune_is_finished_by_the_next() {
    // For the release that is to go was live of late.
    let unkept = |shop: &Shop| std::fs::write(shop.path("cutover.toml"), "[app]\nkeep_for = '0s'\n").unwrap();
    let mut killed = 0;
    for n in 1.. {
        let shop = shop();
        unkept(&shop);
        if !shop.killed_at(n, &["prune", "--keep", "0"]) {
            break;
        }
        killed = n;
        assert_eq!(live(&shop), "r3");
        shop.ok(&["prune", "--keep", "0"]);
        let standing = |id: &str| shop.path("releases").join(id).exists();
        assert_eq!(["r1", "r2", "r3", "r4"].map(standing), [false, true, true, false], "killed at {n}");
        assert_eq!(leftovers(&shop), Vec::<String>::new(), "killed at {n}");
        shop.ok(&["rollback"]);
        assert_eq!(live(&shop), "r2");
    }
    assert!(killed >= 4, "{killed}");
}
