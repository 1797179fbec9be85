//! Doctor: what `cutover doctor` says of an Apache with this module in it, and that it is so there.

use crate::apache::{Apache, Mpm, program};
use crate::fpm::Fpm;
use crate::reach::line;
use crate::shop::Shop;
use std::path::Path;
use std::process::Command;

/// A site of these lines, whose docroot leads through the link.
fn site(lines: &str) -> String {
    format!("DocumentRoot SHOP/current/public\n{lines}<Directory SHOP>\nOptions +ExecCGI\n</Directory>\n")
}

const GRANTED: &str = "<Directory SHOP>\nRequire all granted\n</Directory>\n";

/// The checks that find something in Apache's configuration, each once.
fn found(program: &Path, apache: &Apache) -> Vec<String> {
    let out =
        Command::new(program).args(["doctor", "--json", "--apache"]).arg(apache.file()).output().unwrap();
    let said: String = String::from_utf8_lossy(&out.stdout).split_whitespace().collect();
    assert!(said.contains("\"findings\":"), "{out:?}");
    let mut ids: Vec<String> =
        said.split("\"check\":\"A").skip(1).map(|rest| format!("A{}", &rest[..2])).collect();
    ids.dedup();
    ids
}

#[test]
fn what_the_doctor_says_of_an_apache_with_the_module_is_so() {
    let name = "what_the_doctor_says_of_an_apache_with_the_module_is_so";
    let Some(program) = program() else {
        println!("\nskipped: {name}: no program `cutover`; name it by CUTOVER_BIN\n");
        return;
    };
    let (shop, blog) = (Shop::new(), Shop::new());
    let fpm = Fpm::start(&shop);
    let start = |lines: &str| {
        let lines = lines.replace("BLOG", &blog.root().display().to_string());
        let lines = lines.replace("FPM", &fpm.socket.display().to_string());
        Apache::start(&shop, Mpm::Event, &lines)
    };

    // A05: an expression that names the link is not about a pinned request; a plain section is.
    let expression = "<DirectoryMatch \"^SHOP/current/\">\nRequire all granted\n</DirectoryMatch>\n";
    let plain = "<Directory SHOP/current>\nRequire all granted\n</Directory>\n";
    for (section, ids, status) in [(expression, &["A05"][..], 403), (plain, &[], 200)] {
        let apache = start(&site(&format!("Cutover On\n{section}")));
        assert_eq!(found(&program, &apache), ids, "{section}");
        assert_eq!(apache.get("/page.txt").status, status, "{section}");
    }

    // A07: the link in a URL of php-fpm is what PHP gets, unless the module is on.
    let pass =
        format!("{GRANTED}ProxyPassMatch \"^/(.*\\.php)$\" \"unix:FPM|fcgi://php/SHOP/current/public/$1\"\n");
    for (switch, ids, root) in
        [("Cutover Off\n", &["A07"][..], shop.link()), ("Cutover On\n", &[], shop.dir_of("r1"))]
    {
        let apache = start(&site(&format!("{switch}{pass}")));
        assert_eq!(found(&program, &apache), ids, "{switch}");
        let said = apache.text("/show.php");
        assert_eq!(
            line(&said, "SCRIPT_FILENAME").replace("//", "/"),
            root.join("public/show.php").display().to_string()
        );
    }

    // A08: an alias through a link that the module was not told of.
    let alias = format!(
        "{GRANTED}Alias /blog BLOG/current/public\n<Directory BLOG>\nRequire all granted\nOptions +ExecCGI\n</Directory>\n"
    );
    for (told, ids, root) in [
        ("Cutover On\n", &["A08"][..], blog.link()),
        ("Cutover On\nCutoverLink BLOG/current\n", &[], blog.dir_of("r1")),
    ] {
        let apache = start(&site(&format!("{told}{alias}")));
        assert_eq!(found(&program, &apache), ids, "{told}");
        let said = apache.text("/blog/show.cgi");
        assert_eq!(line(&said, "SCRIPT_FILENAME"), root.join("public/show.cgi").display().to_string());
    }
}
