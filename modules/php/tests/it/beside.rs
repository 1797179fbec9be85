//! Beside an extension that has incpath's settings, as incpath itself would be.

use std::process::Command;

use crate::php::{extension, run, text};
use crate::shop::Shop;

/// As much of incpath as stands in our way.
const INCPATH: &str = r#"
#include <php.h>
#include <php_ini.h>
PHP_INI_BEGIN()
PHP_INI_ENTRY("incpath.search_replace_pattern", "", PHP_INI_SYSTEM, NULL)
PHP_INI_END()
static PHP_MINIT_FUNCTION(incpath) { REGISTER_INI_ENTRIES(); return SUCCESS; }
static PHP_MSHUTDOWN_FUNCTION(incpath) { UNREGISTER_INI_ENTRIES(); return SUCCESS; }
zend_module_entry incpath_module_entry = { STANDARD_MODULE_HEADER, "incpath", NULL, PHP_MINIT(incpath),
  PHP_MSHUTDOWN(incpath), NULL, NULL, NULL, "0", STANDARD_MODULE_PROPERTIES };
ZEND_GET_MODULE(incpath)
"#;

#[test]
fn with_incpath_loaded_too_it_says_that_one_has_to_go_and_its_own_settings_work() {
    let Ok(includes) = Command::new("php-config8.2").arg("--includes").output() else {
        println!(
            "\nskipped: with_incpath_loaded_too_it_says_that_one_has_to_go_and_its_own_settings_work: no php-config8.2"
        );
        return;
    };
    let shop = Shop::new();
    let (source, built) = (shop.beside("incpath.c"), shop.beside("incpath.so"));
    std::fs::write(&source, INCPATH).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC"]).args(text(&includes.stdout).split(' ')).arg(&source).arg("-o").arg(&built);
    assert!(cc.status().unwrap().success());
    let link = shop.app.link().display().to_string();
    let mut php = Command::new("/usr/bin/php8.2");
    php.args(["-n", "-d", "html_errors=0", "-d", "display_startup_errors=1"]);
    for setting in [
        format!("extension={}", built.display()),
        format!("extension={}", extension().display()),
        format!("cutover.link={link}"),
    ] {
        php.arg("-d").arg(setting);
    }
    let output = php.arg("-r").arg("echo cutover_release();").output().unwrap();
    let shown = text(&output.stdout);
    assert!(output.status.success() && shown.ends_with("r1"), "{shown}");
    assert!(shown.contains("incpath is loaded too, and one of the two has to go"), "{shown}");
    assert_eq!(run(&shop, &[], "echo cutover_release();"), "r1");
}
