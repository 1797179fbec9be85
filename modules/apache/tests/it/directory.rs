//! `<Directory>` sections that name the link guard and configure what it leads to.

use crate::apache::{Apache, Mpm, SITE};
use crate::shop::Shop;
use std::path::Path;

/// Starts an Apache whose site has these lines more.
fn with(shop: &Shop, lines: &str) -> Apache {
    Apache::start(shop, Mpm::Event, &format!("{SITE}{lines}"))
}

#[test]
fn a_section_below_the_link_guards_its_directory_in_every_release() {
    let shop = Shop::new();
    let apache = with(&shop, "<Directory SHOP/current/public/private>\nRequire all denied\n</Directory>\n");
    for id in ["r1", "r2", "r1"] {
        shop.flip(id);
        assert_eq!(apache.get("/private/secret.txt").status, 403);
        assert_eq!(apache.get("/open/../private/secret.txt").status, 403);
        assert_eq!(apache.text("/open/page.txt"), format!("open {id}"));
    }
}

#[test]
fn a_deeper_section_wins_over_the_one_of_the_link() {
    let shop = Shop::new();
    let lines = "DocumentRoot SHOP/current/public\nCutover On\n<Directory SHOP/current/public/open>\nRequire all granted\n\
        </Directory>\n<Directory SHOP/current>\nRequire all denied\n</Directory>\n";
    let apache = Apache::start(&shop, Mpm::Event, lines);
    assert_eq!(apache.get("/page.txt").status, 403);
    assert_eq!(apache.text("/open/page.txt"), "open r1");
}

#[test]
fn patterns_match_the_link_as_they_did() {
    let shop = Shop::new();
    for pattern in ["SHOP/*/public/private", "SHOP/c?rrent/*/private", "\"SHOP/current/public/priv*\""] {
        let apache = with(&shop, &format!("<Directory {pattern}>\nRequire all denied\n</Directory>\n"));
        assert_eq!(apache.get("/private/secret.txt").status, 403, "{pattern}");
        assert_eq!(apache.text("/open/page.txt"), "open r1");
    }
}

#[test]
fn sections_of_a_virtual_host_hold_there_and_only_there() {
    let shop = Shop::new();
    let denied = "<Directory SHOP/current/public/private>\nRequire all denied\n</Directory>\n";
    let hosts = format!(
        "<VirtualHost *:PORT>\nServerName shut.test\n<IfModule mod_dir.c>\n{denied}</IfModule>\n</VirtualHost>\n\
         <VirtualHost *:PORT>\nServerName open.test\n</VirtualHost>\n"
    );
    let apache = with(&shop, &hosts);
    for id in ["r1", "r2"] {
        shop.flip(id);
        assert_eq!(apache.get_of("shut.test", "/private/secret.txt").status, 403);
        assert_eq!(apache.get_of("open.test", "/private/secret.txt").body, format!("secret {id}"));
    }
}

#[test]
fn rules_of_a_section_see_paths_below_it() {
    let shop = Shop::new();
    let lines = "<Directory SHOP/current/public>\nRewriteEngine On\nRewriteCond %{REQUEST_FILENAME} !-f\n\
        RewriteRule ^shop/(.*)$ $1.txt [L]\n</Directory>\n";
    let apache = with(&shop, lines);
    for id in ["r1", "r2"] {
        shop.flip(id);
        assert_eq!(apache.text("/shop/page"), format!("page {id}"));
        assert_eq!(apache.text(&format!("/shop/only-{id}")), format!("only {id}"));
    }
}

#[test]
fn files_limits_and_conditions_inside_of_a_section_hold() {
    let shop = Shop::new();
    let lines = "<Directory SHOP/current/public>\n<Files secret.txt>\nRequire all denied\n</Files>\n\
        <If \"%{REQUEST_URI} =~ /open/\">\nHeader set X-If yes\n</If>\nHeader set X-Section yes\n</Directory>\n";
    let apache = with(&shop, lines);
    assert_eq!(apache.get("/private/secret.txt").status, 403, "in directories below it, too");
    let answer = apache.get("/page.txt");
    assert_eq!((answer.status, answer.header("x-section"), answer.header("x-if")), (200, Some("yes"), None));
    assert_eq!(apache.get("/open/page.txt").header("x-if"), Some("yes"));
}

#[test]
fn allow_override_decides_over_the_htaccess_files_of_the_release() {
    let shop = Shop::new();
    let lines = "<Directory SHOP/current/public>\nAllowOverride AuthConfig\n</Directory>\n\
        <Directory SHOP/current/public/open>\nAllowOverride None\n</Directory>\n";
    let apache = with(&shop, lines);
    for name in ["private", "open"] {
        shop.write(&shop.dir_of("r2").join(format!("public/{name}/.htaccess")), "Require all denied\n");
    }
    assert_eq!(apache.text("/private/secret.txt"), "secret r1", "r1 has no such file");
    shop.flip("r2");
    assert_eq!(apache.get("/private/secret.txt").status, 403);
    assert_eq!(apache.text("/open/page.txt"), "open r2");
    shop.write(&shop.dir_of("r2").join("public/private/.htaccess"), "Options +Indexes\n");
    assert_eq!(apache.get("/private/secret.txt").status, 500, "not allowed here, as ever");
}

#[test]
fn a_password_is_asked_for_as_ever() {
    let shop = Shop::new();
    // The SHA-1 of "open", as htpasswd -s writes it.
    shop.write(&shop.beside().join("users"), "ann:{SHA}lyjZUEDsA+2/xDXMMAAGQOyIOwI=\n");
    let lines = format!(
        "<Directory SHOP/current/public/private>\nAuthType Basic\nAuthName shop\nAuthUserFile {}\nRequire valid-user\n</Directory>\n",
        shop.beside().join("users").display()
    );
    let apache = with(&shop, &lines);
    for id in ["r1", "r2"] {
        shop.flip(id);
        let answer = apache.get("/private/secret.txt");
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Basic realm=\"shop\"")));
    }
}

#[test]
fn sections_above_the_link_count_for_releases_that_stand_elsewhere() {
    let shop = Shop::new();
    let elsewhere = shop.beside().join("elsewhere/r9");
    shop.fill(&elsewhere, "r9");
    let lines = format!(
        "DocumentRoot SHOP/current/public\nCutover On\nCutoverAllow {}\n<Directory SHOP>\nRequire all granted\n\
         Header set X-Above yes\n</Directory>\n<Directory SHOP/current/public/private>\nRequire all denied\n</Directory>\n",
        shop.beside().join("elsewhere").display()
    );
    let apache = Apache::start(&shop, Mpm::Event, &lines);
    assert_eq!(apache.text("/page.txt"), "page r1");
    shop.lead_to(&elsewhere);
    let answer = apache.get("/page.txt");
    assert_eq!(
        (answer.status, answer.body.as_str(), answer.header("x-above")),
        (200, "page r9", Some("yes"))
    );
    assert_eq!(apache.get("/private/secret.txt").status, 403);
}

#[test]
fn a_section_of_a_release_or_of_all_releases_still_matches() {
    let shop = Shop::new();
    let lines = "<Directory SHOP/releases/r2/public/open>\nRequire all denied\n</Directory>\n\
        <DirectoryMatch \"^SHOP/releases/[^/]+/public/private\">\nRequire all denied\n</DirectoryMatch>\n";
    let apache = with(&shop, lines);
    assert_eq!(apache.text("/open/page.txt"), "open r1");
    assert_eq!(apache.get("/private/secret.txt").status, 403);
    shop.flip("r2");
    assert_eq!(apache.get("/open/page.txt").status, 403);
    assert!(!apache.log().contains("DirectoryMatch"), "{}", apache.log());
}

#[test]
fn an_expression_that_names_the_link_is_warned_of() {
    let shop = Shop::new();
    let apache =
        with(&shop, "<Directory ~ \"^SHOP/current/public/private\">\nRequire all denied\n</Directory>\n");
    let log = apache.log();
    assert!(log.contains("is matched against the path of the release"), "{log}");
}

#[test]
fn a_subrequest_into_a_guarded_directory_is_refused_too() {
    let shop = Shop::new();
    for id in ["r1", "r2"] {
        let page = shop.dir_of(id).join("public/peek.shtml");
        shop.write(&page, "<!--#include virtual=\"/private/secret.txt\" -->.");
    }
    let apache = with(&shop, "<Directory SHOP/current/public/private>\nRequire all denied\n</Directory>\n");
    let body = apache.text("/peek.shtml");
    assert!(!body.contains("secret") && body.ends_with('.'), "{body}");
}

#[test]
fn a_link_that_leads_into_a_release_takes_its_sections_along() {
    let shop = Shop::new();
    shop.lead_to(Path::new("releases/r1/public"));
    let lines = "DocumentRoot SHOP/current\nCutover On\n<Directory SHOP/current>\nRequire all granted\n</Directory>\n\
        <Directory SHOP/current/private>\nRequire all denied\n</Directory>\n";
    let apache = Apache::start(&shop, Mpm::Event, lines);
    for id in ["r1", "r2"] {
        shop.lead_to(Path::new(&format!("releases/{id}/public")));
        assert_eq!(apache.text("/page.txt"), format!("page {id}"));
        assert_eq!(apache.get("/private/secret.txt").status, 403);
    }
}
