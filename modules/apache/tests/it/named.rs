//! Where the release of a request is named.

use crate::apache::{Apache, Mpm, SITE};
use crate::shop::Shop;

#[test]
fn the_header_is_there_if_it_is_wanted_also_with_errors() {
    let shop = Shop::new();
    let apache = Apache::start(&shop, Mpm::Event, &format!("{SITE}CutoverReleaseHeader On\n"));
    for id in ["r1", "r2"] {
        shop.flip(id);
        for path in ["/page.txt", "/nowhere", "/", "/show.cgi", "/parts.shtml"] {
            let answer = apache.get(path);
            let named = answer.head.to_lowercase().matches("x-cutover-release").count();
            assert_eq!((answer.header("x-cutover-release"), named), (Some(id), 1), "{path}: {answer:?}");
        }
    }
    drop(apache);
    let apache = Apache::start(&shop, Mpm::Event, SITE);
    assert_eq!(apache.get("/page.txt").header("x-cutover-release"), None);
}

#[test]
fn a_client_cannot_name_the_release() {
    let shop = Shop::new();
    let apache = Apache::start(&shop, Mpm::Event, SITE);
    let answer = apache.get_of("shop.test\r\nCUTOVER_RELEASE: r9\r\nX-Cutover-Release: r9", "/show.cgi");
    assert!(answer.body.contains("CUTOVER_RELEASE=r1\n"), "{answer:?}");
}

#[test]
fn the_log_item_is_the_release_that_answered() {
    let shop = Shop::new();
    let apache = Apache::start(&shop, Mpm::Event, &format!("{SITE}ErrorDocument 404 /missing.html\n"));
    apache.get("/page.txt");
    shop.flip("r2");
    apache.get("/nowhere");
    assert!(apache.access_log_has("GET /page.txt HTTP/1.0 200 r1\n"));
    assert!(apache.access_log_has("GET /nowhere HTTP/1.0 404 r2\n"));
}
