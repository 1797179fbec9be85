//! warm and status where there is nothing to warm, nobody to do it, or nothing that may be warmed.

use crate::shop::Shop;

fn shop(php: &str) -> Shop {
    let shop = Shop::with_live(&["r1"]);
    shop.release("r2");
    std::fs::write(shop.path("releases/r1/index.php"), "<?php echo 1;").unwrap();
    shop.ok(&["seal", "r1", "--again"]);
    std::fs::write(shop.path("cutover.toml"), php).unwrap();
    shop
}

#[test]
fn what_cannot_be_warmed_is_told_with_what_is_still_true() {
    let none = shop("");
    let said = none.fails(2, &["warm", "r1"]);
    assert!(said.contains("has no [php]: there is nothing to warm"), "{said}");

    let idle = shop("[php]\nfpm = 'embedded'\n");
    let said = idle.fails(1, &["warm"]);
    assert!(said.contains("no PHP pool runs") && said.contains("next: cutover serve"), "{said}");

    let down = shop("[php]\nfpm = 'unix:/nonexistent/fpm.sock'\n");
    let said = down.fails(1, &["warm"]);
    assert!(said.contains("the pool unix:/nonexistent/fpm.sock did not answer: cannot connect"), "{said}");
    assert!(said.contains("still: r1 is still live"), "{said}");
    let said = down.fails(3, &["warm", "r2"]);
    assert!(said.contains("r2 is not sealed") && said.contains("cutover seal r2"), "{said}");
}

#[test]
fn status_says_that_a_pool_does_not_answer_and_is_well_all_the_same() {
    let down = shop("[php]\nfpm = ['unix:/nonexistent/fpm.sock', '127.0.0.1:1']\n");
    let said = down.ok(&["status"]);
    assert!(said.contains("  opcache  the pool unix:/nonexistent/fpm.sock did not answer: "), "{said}");
    assert!(said.contains("  opcache  the pool 127.0.0.1:1 did not answer: "), "{said}");
    let (code, said) = down.json(&["status"]);
    assert_eq!(code, 0);
    assert!(said["opcache"][1]["error"].as_str().unwrap().contains("did not answer"), "{said}");
}
