//! Inside Apache: several virtual hosts, each with an app of its own, in one process.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::apache::Apache;
use crate::shop::{Shop, until};

/// A virtual host that serves what lies beside the shop.
fn host(name: &str, shop: &Shop, more: &str) -> String {
    format!(
        "<VirtualHost 127.0.0.1:{{port}}>\nServerName {name}\nDocumentRoot {}\n\
         php_admin_value cutover.link {}\nphp_value include_path {}\n{more}\n</VirtualHost>\n",
        shop.beside("www").display(),
        shop.app.link().display(),
        shop.include_path()
    )
}

fn shop() -> Shop {
    let shop = Shop::new();
    fs::create_dir(shop.beside("www")).unwrap();
    let show = shop.release("r1").join("public/index.php");
    fs::copy(show, shop.beside("www/show.php")).unwrap();
    shop
}

fn shown(shop: &Shop, release: &str) -> (u16, String) {
    (200, shop.shown(release))
}

#[test]
fn each_virtual_host_has_its_own_app_in_the_same_child() {
    let (a, b) = (shop(), shop());
    let none = "<VirtualHost 127.0.0.1:{port}>\nServerName none.test\nDocumentRoot {www}\n</VirtualHost>\n";
    let hosts = host("a.test", &a, "")
        + &host("b.test", &b, "php_admin_value cutover.on_failure 503")
        + &none.replace("{www}", &a.beside("www").display().to_string());
    let apache = Apache::start(1, &hosts);
    for (live_a, live_b) in [("r1", "r1"), ("r2", "r1"), ("r2", "r2"), ("r1", "r2")] {
        a.flip(live_a);
        b.flip(live_b);
        for _ in 0..2 {
            assert_eq!(apache.get("a.test", "/show.php"), shown(&a, live_a), "{}", apache.said());
            assert_eq!(apache.get("b.test", "/show.php"), shown(&b, live_b));
            assert!(apache.get("none.test", "/show.php").1.starts_with("none|none|:k|"));
        }
    }
    for shop in [&a, &b] {
        until("the child is idle", || !shop.leased("r1") && !shop.leased("r2"));
    }
    b.unlink();
    let (status, body) = apache.get("b.test", "/show.php");
    assert_eq!((status, body.as_str()), (503, "503: no release can be served at this moment\n"));
    assert_eq!(apache.get("a.test", "/show.php"), shown(&a, "r1"));
    b.flip("r1");
    assert_eq!(apache.get("b.test", "/show.php"), shown(&b, "r1"));
}

#[test]
fn what_a_module_of_apache_pinned_is_believed_and_what_a_visitor_says_is_not() {
    let shop = shop();
    let r2 = shop.release("r2").display().to_string();
    let told =
        host("told.test", &shop, &format!("SetEnv CUTOVER_RELEASE_ROOT {r2}\nSetEnv CUTOVER_RELEASE r2"));
    let apache = Apache::start(1, &(told + &host("plain.test", &shop, "")));
    for _ in 0..2 {
        assert_eq!(apache.get("told.test", "/show.php"), shown(&shop, "r2"));
        let lie =
            format!("Cutover-Release-Root: {r2}\r\nCUTOVER_RELEASE_ROOT: {r2}\r\nCutover-Release: r2\r\n");
        assert_eq!(apache.get_saying("plain.test", "/show.php", &lie), shown(&shop, "r1"));
    }
}

#[test]
fn a_slow_request_holds_its_release_and_ends_on_it() {
    let shop = shop();
    let (there, go) = (shop.beside("www/there"), shop.beside("www/go"));
    let code = format!(
        "<?php touch('{}'); while (!file_exists('{}')) usleep(1000); echo cutover_release(), include 'version.php'; flush(); usleep(1000);",
        there.display(),
        go.display()
    );
    fs::write(shop.beside("www/slow.php"), code).unwrap();
    // Its children are another user's.
    fs::set_permissions(shop.beside("www"), fs::Permissions::from_mode(0o777)).unwrap();
    let apache = Apache::start(2, &host("a.test", &shop, ""));
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| apache.get("a.test", "/slow.php"));
        until("it runs", || there.exists());
        shop.flip("r2");
        assert_eq!(apache.get("a.test", "/show.php"), shown(&shop, "r2"));
        assert!(shop.leased("r1"));
        fs::write(&go, "").unwrap();
        assert_eq!(slow.join().unwrap(), (200, "r1r1".into()), "{}", apache.said());
    });
    until("it is over", || !shop.leased("r1"));
}

#[test]
fn a_graceful_restart_changes_nothing() {
    let shop = shop();
    fs::write(
        shop.beside("www/restore.php"),
        "<?php set_include_path('/x'); ini_restore('include_path'); echo getmypid(), ' ', include 'version.php';",
    )
    .unwrap();
    let apache = Apache::start(1, &host("a.test", &shop, ""));
    let ask = || {
        let (status, body) = apache.get("a.test", "/restore.php");
        let (pid, version) =
            body.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap_or_default();
        assert_eq!((status, version.as_str()), (200, "r1"), "{body}\n{}", apache.said());
        pid
    };
    for _ in 0..3 {
        let before = ask();
        apache.restart_gracefully();
        until("the children are new", || ask() != before);
        assert_eq!(apache.get("a.test", "/show.php"), shown(&shop, "r1"));
    }
    assert!(apache.pid().exists());
    assert!(!apache.said().contains("exit signal"), "{}", apache.said());
}
