//! What docs/php-extension.md shows, done.

use std::fs;

use crate::apache::Apache;
use crate::fpm::Fpm;
use crate::php::{extension, php, run, text};
use crate::shop::Shop;

const PAGE: &str = include_str!("../../../../docs/php-extension.md");

/// The block of this kind that contains these words, as it is for this shop.
fn block(shop: &Shop, kind: &str, words: &str) -> String {
    let mut found = PAGE
        .split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.strip_prefix(&format!("{kind}\n")))
        .filter(|block| block.contains(words));
    let block = found.next().unwrap_or_else(|| panic!("no {kind} with {words}"));
    assert!(found.next().is_none(), "two blocks of {kind} with {words}");
    block.replace("/srv/shop", &shop.root().display().to_string())
}

const CODE: &str = "echo get_include_path(), ' ', include 'version.php', ' ', cutover_release();";

fn pinned(shop: &Shop, release: &str) -> String {
    format!(".:{}/lib {release} {release}", shop.release(release).display())
}

#[test]
fn the_settings_for_php_ini_a_pool_and_a_virtual_host_pin() {
    let shop = Shop::new();
    let ini = shop.beside("php.ini");
    let lines =
        block(&shop, "ini", "extension=cutover.so").replace("cutover.so", &extension().display().to_string());
    fs::write(&ini, lines).unwrap();
    let program = php(&shop, &[]);
    let output = std::process::Command::new(program.get_program())
        .arg("-c")
        .arg(&ini)
        .arg("-r")
        .arg(CODE)
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), pinned(&shop, "r1"));

    let fpm =
        Fpm::start_with(&shop, 1, extension(), &block(&shop, "ini", "php_admin_value[cutover.link]"), &[]);
    let script = shop.script_beside("script.php", CODE);
    assert_eq!(fpm.body(&script), pinned(&shop, "r1"));
    shop.unlink();
    assert_eq!(fpm.get(&script).status, 503);
    shop.flip("r2");

    let lines = block(&shop, "apache", "php_admin_value");
    let apache = Apache::start(1, &format!("DocumentRoot {}\n{lines}", script.parent().unwrap().display()));
    assert_eq!(apache.get("a.test", "/script.php"), (200, pinned(&shop, "r2")), "{}", apache.said());
}

#[test]
fn the_functions_give_what_their_comments_say() {
    let shop = Shop::new();
    let r1 = shop.release("r1").display().to_string();
    for line in block(&shop, "php", "cutover_root();").lines() {
        let (call, comment) = line.split_once(";").unwrap();
        let says = |pinned: bool| {
            let settings = if pinned { vec![] } else { vec![("cutover.link", "")] };
            run(&shop, &settings, &format!("echo json_encode({call}, JSON_UNESCAPED_SLASHES);"))
        };
        let comment = comment.replace("20261130T101500Z-9f3c2a", "r1");
        assert!(comment.contains(&says(true)), "{line}: {} ({r1})", says(true));
        assert!(comment.contains(&says(false)), "{line}: {}", says(false));
    }
    let code = "function build_menu() { return 'the menu of ' . cutover_release(); } ".to_owned()
        + &block(&shop, "php", "apcu_entry")
        + "echo $menu, '|', implode(' ', array_column(apcu_cache_info()['cache_list'], 'info'));";
    let mut apcu = php(&shop, &[("extension", "apcu"), ("apc.enable_cli", "1")]);
    let output = apcu
        .arg("-d")
        .arg(format!("extension={}", extension().display()))
        .arg("-r")
        .arg(code)
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "the menu of r1|r1:menu", "{}", text(&output.stderr));
}

#[test]
fn incpaths_settings_may_stay() {
    let shop = Shop::new();
    let lines = block(&shop, "ini", "incpath.");
    let pool: String = lines
        .lines()
        .map(|line| line.split_once(" = ").unwrap())
        .map(|(name, value)| format!("php_admin_value[{name}] = {value}\n"))
        .collect();
    let fpm = Fpm::start_with(
        &shop,
        1,
        extension(),
        &format!("{pool}php_value[include_path] = {}", shop.include_path()),
        &[],
    );
    let script = shop.script_beside("script.php", CODE);
    for release in ["r2", "r1"] {
        shop.flip(release);
        assert_eq!(fpm.body(&script), pinned(&shop, release));
    }
    let docroot: String =
        lines.lines().map(|line| format!("php_admin_value {}\n", line.replace(" = ", " "))).collect();
    let apache = Apache::start(
        1,
        &format!(
            "DocumentRoot {}\n{docroot}php_value include_path {}",
            shop.app.link().join("lib").display(),
            shop.include_path()
        ),
    );
    fs::copy(script, shop.release("r1").join("lib/script.php")).unwrap();
    assert_eq!(apache.get("a.test", "/script.php"), (200, pinned(&shop, "r1")), "{}", apache.said());
}

#[test]
fn without_the_extension_a_script_before_all_others_leads_include_path() {
    let shop = Shop::new();
    fs::write(shop.root().join("prepend.php"), block(&shop, "php", "readlink(")).unwrap();
    let setting = block(&shop, "ini", "auto_prepend_file");
    let (name, value) = setting.trim().split_once(" = ").unwrap();
    let pool =
        format!("php_admin_value[{name}] = {value}\nphp_value[include_path] = {}:/x", shop.include_path());
    // Any other extension does in the place of ours.
    let fpm = Fpm::start_with(&shop, 1, std::path::Path::new("/usr/lib/php/20220829/ctype.so"), &pool, &[]);
    let script = shop.script_beside("script.php", "echo get_include_path(), ' ', include 'version.php';");
    for release in ["r1", "r2", "r1"] {
        shop.flip(release);
        assert_eq!(fpm.body(&script), format!(".:{}/lib:/x {release}", shop.release(release).display()));
    }
    let r2 = shop.release("r2").display().to_string();
    assert_eq!(fpm.get_with(&script, &[("CUTOVER_RELEASE_ROOT", &r2)]).body, format!(".:{r2}/lib:/x r2"));
}

#[test]
fn without_the_extension_php_value_leads_it_and_sticks_as_the_page_warns() {
    let shop = Shop::new();
    let line = block(&shop, "nginx", "PHP_VALUE");
    let value = line.trim().strip_prefix("fastcgi_param PHP_VALUE \"").unwrap().strip_suffix("\";").unwrap();
    let fpm = Fpm::start_with(&shop, 1, std::path::Path::new("/usr/lib/php/20220829/ctype.so"), "", &[]);
    let script = shop.script_beside("script.php", "echo get_include_path(), ' ', @include 'version.php';");
    for release in ["r1", "r2"] {
        let value = value.replace("$cutover_shop_dir_seen", &shop.release(release).display().to_string());
        let answer = fpm.get_with(&script, &[("PHP_VALUE", &value)]);
        assert_eq!(answer.body, format!(".:{}/lib {release}", shop.release(release).display()));
    }
    assert_eq!(fpm.body(&script), format!(".:{}/lib r2", shop.release("r2").display()), "the last one's");
}
