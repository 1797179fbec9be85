//! What a request reaches, and by which of Apache's ways: all of it stands in one release.

use crate::apache::{Apache, Mpm, SITE};
use crate::fpm::Fpm;
use crate::shop::Shop;
use std::process::Command;

/// Tells the story on every MPM, with r1 live at its beginning.
fn on_each(lines: &str, story: impl Fn(&Shop, &Apache)) {
    on(&[Mpm::Prefork, Mpm::Worker, Mpm::Event], lines, story);
}

fn on(mpms: &[Mpm], lines: &str, story: impl Fn(&Shop, &Apache)) {
    let shop = Shop::new();
    for mpm in mpms.iter().copied() {
        println!("{mpm:?}");
        shop.flip("r1");
        story(&shop, &Apache::start(&shop, mpm, &format!("{SITE}{lines}")));
    }
}

/// A line of what a script saw.
pub fn line<'a>(said: &'a str, name: &str) -> &'a str {
    let found = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {name} in {said}"))
}

#[test]
fn static_files_and_directory_indexes_are_pinned() {
    on_each("", |shop, apache| {
        assert_eq!(apache.text("/page.txt"), "page r1");
        assert_eq!(apache.text("/"), "index r1");
        shop.flip("r2");
        assert_eq!(apache.text("/page.txt"), "page r2", "the very next request");
        assert_eq!(apache.text("/"), "index r2");
        assert_eq!(apache.get("/only-r1.txt").status, 404);
        assert_eq!(apache.text("/only-r2.txt"), "only r2");
    });
}

#[test]
fn a_cgi_program_sees_real_paths_only() {
    on_each("", |shop, apache| {
        for id in ["r1", "r2"] {
            shop.flip(id);
            let said = apache.text("/show.cgi");
            let public = shop.dir_of(id).join("public").display().to_string();
            assert_eq!(line(&said, "release"), id);
            assert_eq!(line(&said, "DOCUMENT_ROOT"), public);
            assert_eq!(line(&said, "CONTEXT_DOCUMENT_ROOT"), public);
            assert_eq!(line(&said, "SCRIPT_FILENAME"), format!("{public}/show.cgi"));
            assert_eq!(line(&said, "CUTOVER_RELEASE"), id);
            assert_eq!(line(&said, "CUTOVER_RELEASE_ROOT"), shop.dir_of(id).display().to_string());
            let said = apache.text("/show.cgi/more");
            assert_eq!(line(&said, "PATH_TRANSLATED"), format!("{public}/more"));
        }
    });
}

#[test]
fn server_side_includes_stay_in_the_release() {
    on_each("", |shop, apache| {
        assert_eq!(apache.text("/parts.shtml"), "page r1+page r1+r1");
        shop.flip("r2");
        assert_eq!(apache.text("/parts.shtml"), "page r2+page r2+r2");
    });
}

#[test]
fn an_error_document_is_that_of_the_release() {
    on_each("ErrorDocument 404 /missing.html\n", |shop, apache| {
        for id in ["r1", "r2"] {
            shop.flip(id);
            let answer = apache.get("/nowhere");
            assert_eq!((answer.status, answer.body), (404, format!("missing {id}")));
        }
    });
}

#[test]
fn rules_of_the_server_see_the_pinned_document_root() {
    let rules = "RewriteEngine On\nRewriteCond %{DOCUMENT_ROOT}/only-r2.txt -f\nRewriteRule ^/which$ /only-r2.txt [L]\n\
        RewriteRule ^/which$ /only-r1.txt [L]\nRewriteRule ^/env$ /only-%{ENV:CUTOVER_RELEASE}.txt [L]\n\
        RewriteRule ^/path/(.*)$ SHOP/current/public/$1 [L]\n";
    on_each(rules, |shop, apache| {
        for id in ["r1", "r2"] {
            shop.flip(id);
            assert_eq!(apache.text("/which"), format!("only {id}"));
            assert_eq!(apache.text("/env"), format!("only {id}"));
            assert_eq!(apache.text("/path/page.txt"), format!("page {id}"));
            let said = apache.text("/path/show.cgi");
            assert_eq!(
                line(&said, "SCRIPT_FILENAME"),
                shop.dir_of(id).join("public/show.cgi").display().to_string()
            );
        }
    });
}

#[test]
fn a_front_controller_of_htaccess_works_as_ever() {
    on_each("<Directory SHOP/current/public>\nAllowOverride All\n</Directory>\n", |shop, apache| {
        let htaccess = "RewriteEngine On\nRewriteCond %{REQUEST_FILENAME} !-f\nRewriteRule ^ show.cgi [L]\n";
        for id in ["r1", "r2"] {
            shop.write(&shop.dir_of(id).join("public/.htaccess"), htaccess);
        }
        for id in ["r1", "r2"] {
            shop.flip(id);
            assert_eq!(line(&apache.text("/shop/cart"), "release"), id);
            assert_eq!(apache.text("/page.txt"), format!("page {id}"));
        }
    });
}

#[test]
fn aliases_into_the_link_are_pinned() {
    let aliases = "Alias /media SHOP/current/media\nScriptAlias /bin/ SHOP/current/bin/\n\
        Alias /twice SHOP//current/public\n";
    on_each(aliases, |shop, apache| {
        for id in ["r1", "r2"] {
            shop.flip(id);
            assert_eq!(apache.text("/media/picture.txt"), format!("picture {id}"));
            assert_eq!(apache.text("/twice/page.txt"), format!("page {id}"));
            let said = apache.text("/bin/show.cgi");
            let bin = shop.dir_of(id).join("bin").display().to_string();
            assert_eq!(line(&said, "release"), id);
            assert_eq!(line(&said, "SCRIPT_FILENAME"), format!("{bin}/show.cgi"));
            assert_eq!(line(&said, "CONTEXT_DOCUMENT_ROOT").trim_end_matches('/'), bin);
            assert_eq!(line(&said, "DOCUMENT_ROOT"), shop.dir_of(id).join("public").display().to_string());
        }
    });
}

#[test]
fn a_path_that_only_begins_like_the_link_is_left_alone() {
    on_each(
        "Alias /other SHOP/current2\n<Directory SHOP/current2>\nRequire all granted\n</Directory>\n",
        |shop, apache| {
            shop.write(&shop.root().join("current2/page.txt"), "other");
            assert_eq!(apache.text("/other/page.txt"), "other");
        },
    );
}

#[test]
fn virtual_document_roots_and_user_directories_are_pinned() {
    let hosts = "CutoverLink SHOP/current\n<VirtualHost *:PORT>\nServerName mass.test\nServerAlias *.mass.test\n\
        VirtualDocumentRoot SHOP/current/%1\n</VirtualHost>\n\
        <VirtualHost *:PORT>\nServerName user.test\nUserDir SHOP/*/public\n</VirtualHost>\n";
    on_each(hosts, |shop, apache| {
        for id in ["r1", "r2"] {
            shop.flip(id);
            assert_eq!(apache.get_of("public.mass.test", "/page.txt").body, format!("page {id}"));
            let said = apache.get_of("public.mass.test", "/show.cgi").body;
            assert_eq!(line(&said, "DOCUMENT_ROOT"), shop.dir_of(id).join("public").display().to_string());
            assert_eq!(line(&said, "CUTOVER_RELEASE"), id);
            assert_eq!(apache.get_of("user.test", "/~current/page.txt").body, format!("page {id}"));
        }
    });
}

#[test]
fn content_negotiation_chooses_within_the_release() {
    on_each("<Directory SHOP/current/public>\nOptions +MultiViews\n</Directory>\n", |shop, apache| {
        assert_eq!(apache.text("/doc"), "english r1");
        shop.flip("r2");
        assert_eq!(apache.text("/doc"), "english r2");
    });
}

#[test]
fn mod_php_runs_the_release_that_is_live() {
    let shop = Shop::new();
    let apache = Apache::start(&shop, Mpm::Prefork, SITE);
    for id in ["r1", "r2"] {
        shop.flip(id);
        check_php(&apache.text("/show.php"), &shop, id);
    }
}

#[test]
fn php_fpm_gets_real_paths_from_handlers_and_from_proxy_rules() {
    let shop = Shop::new();
    let fpm = Fpm::start(&shop);
    let socket = fpm.socket.display();
    for (mpm, lines) in [
        (
            Mpm::Event,
            format!(
                "<FilesMatch \\.php$>\nSetHandler \"proxy:unix:{socket}|fcgi://localhost/\"\n</FilesMatch>\n"
            ),
        ),
        (
            Mpm::Worker,
            format!(
                "ProxyPassMatch \"^/(.*\\.php)$\" \"unix:{socket}|fcgi://localhost/SHOP/current/public/$1\"\n"
            ),
        ),
        (
            Mpm::Event,
            format!(
                "RewriteEngine On\nRewriteRule ^/(.*\\.php)$ unix:{socket}|fcgi://localhost/SHOP/current/public/$1 [P]\n"
            ),
        ),
    ] {
        println!("{lines}");
        let apache = Apache::start(&shop, mpm, &format!("{SITE}{lines}"));
        for id in ["r1", "r2"] {
            shop.flip(id);
            check_php(&apache.text("/show.php"), &shop, id);
        }
    }
}

fn check_php(said: &str, shop: &Shop, id: &str) {
    let public = shop.dir_of(id).join("public").display().to_string();
    assert_eq!(line(said, "release"), id);
    assert_eq!(line(said, "dir"), public);
    assert_eq!(line(said, "DOCUMENT_ROOT"), public);
    assert_eq!(line(said, "SCRIPT_FILENAME").replace("//", "/"), format!("{public}/show.php"));
    assert_eq!(line(said, "CUTOVER_RELEASE"), id);
    assert_eq!(line(said, "CUTOVER_RELEASE_ROOT"), shop.dir_of(id).display().to_string());
}

#[test]
fn http2_streams_are_pinned_each_for_itself() {
    // Apache has no HTTP/2 on prefork.
    on(&[Mpm::Worker, Mpm::Event], "Protocols h2c http/1.1\n", |shop, apache| {
        for id in ["r1", "r2"] {
            shop.flip(id);
            for (path, body) in
                [("page.txt", format!("page {id}")), ("parts.shtml", format!("page {id}+page {id}+{id}"))]
            {
                let out = Command::new("/usr/bin/curl")
                    .args(["-sS", "--http2-prior-knowledge", "-w", " %{http_version}"])
                    .arg(format!("http://{}/{path}", apache.address))
                    .output()
                    .unwrap();
                let said = String::from_utf8_lossy(&out.stdout).into_owned();
                assert_eq!(said, format!("{body} 2"), "{out:?}\n{}", apache.log());
            }
        }
    });
}
