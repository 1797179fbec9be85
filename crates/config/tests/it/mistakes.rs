//! Mistakes, and what the person who made them reads.

use super::parse;
use config::Config;
use std::path::Path;

fn told(text: &str) -> String {
    parse(text)
        .map(|config| panic!("accepted: {config:?}"))
        .unwrap_or_else(|error: config::ConfigError| error.to_string())
}

/// What was written wrong, and how.
const MISTAKES: &[(&str, &str)] = &[
    ("a key with a typo", "[app]\nname = \"shop\"\ndocrot = \"public\"\n"),
    ("a table with a typo", "[serv]\nlisten = []\n"),
    ("a key of another table", "[app]\nlisten = [\"127.0.0.1:80\"]\n"),
    ("a key that nobody knows", "[hooks]\nxyzzy = 1\n"),
    ("a dash for an underscore", "[app]\nkeep-for = \"1h\"\n"),
    ("a key twice", "[app]\nname = \"a\"\nname = \"b\"\n"),
    ("text that does not end", "[app]\nname = \"shop\n"),
    ("a table that does not end", "[app\n"),
    ("a duration without a unit", "[app]\nkeep_for = 30\n"),
    ("a duration of an unknown unit", "[app]\nkeep_for = \"1 fortnight\"\n"),
    ("a size that is none", "[serve]\nmemory = \"lots\"\n"),
    ("a number that is negative", "[app]\nkeep = -1\n"),
    ("a zero where one is least", "[app]\nkeep = 0\n"),
    ("a number for a list", "[app]\nshared_dirs = 7\n"),
    ("a text for a table", "php = \"embedded\"\n"),
    ("one table for a list of tables", "[site.redirect]\nfrom = \"/a\"\nto = \"/b\"\n"),
    ("a docroot that leads out", "[app]\ndocroot = \"../x\"\n"),
    ("an absolute shared directory", "[app]\nshared_dirs = [\"storage\", \"/var\"]\n"),
    ("a word that is no choice", "[app]\nlayout = \"slot\"\n"),
    ("a port alone", "[serve]\nlisten = [\"8080\"]\n"),
    ("a name to listen on", "[serve]\nlisten = [\"localhost:8080\"]\n"),
    ("one address twice", "[serve]\nlisten = [\"[::]:80\", \"[::]:80\"]\n"),
    ("fastcgi to a port alone", "[serve]\nlisten = [\"fcgi:9000\"]\n"),
    ("fastcgi over tls", "[serve]\nlisten = [{ addr = \"fcgi:127.0.0.1:9000\", tls = true }]\n"),
    ("tls without a certificate", "[serve]\nlisten = [{ addr = \"[::]:443\", tls = true }]\n"),
    (
        "a certificate for no socket",
        "[serve]\nlisten = [\"[::]:80\"]\ntls = [{ cert = \"a\", key = \"b\" }]\n",
    ),
    ("a certificate without its key", "[serve]\ntls = [{ cert = \"a\" }]\n"),
    ("a host with a port", "[serve]\nhosts = [\"shop.test:80\"]\n"),
    ("a star in the middle of a host", "[serve]\nhosts = [\"a.*.test\"]\n"),
    ("a network with bits behind its prefix", "[serve]\ntrusted_proxies = [\"10.0.0.1/8\"]\n"),
    ("an fpm path without unix", "[php]\nfpm = \"/run/php/fpm.sock\"\n"),
    ("a key of the embedded pool for another", "[php]\nfpm = \"127.0.0.1:9000\"\nworkers = 4\n"),
    ("more connections than workers", "[php]\nworkers = 4\nconnections = 8\n"),
    ("a file to preload outside of the release", "[php]\npreload = \"../preload.php\"\n"),
    ("two ways to preload", "[php]\npreload = \"a.php\"\nini = { \"opcache.preload\" = \"/b.php\" }\n"),
    ("an ini value that would start a new line", "[php]\nini = { a = \"1\\nuser = root\" }\n"),
    ("a redirect without a target", "[[site.redirect]]\nfrom = \"/a\"\n"),
    ("a redirect that carries nothing", "[[site.redirect]]\nfrom = \"/a\"\nto = \"/b/*\"\n"),
    ("a redirect to another site by two slashes", "[[site.redirect]]\nfrom = \"/a\"\nto = \"//b\"\n"),
    ("a status that does not redirect", "[[site.redirect]]\nfrom = \"/a\"\nto = \"/b\"\nstatus = 200\n"),
    (
        "a header that would split",
        "[[site.header]]\npath = \"/**\"\nset = { X-A = \"a\\r\\nSet-Cookie: b\" }\n",
    ),
    ("a header of the servers own", "[[site.header]]\npath = \"/**\"\nset = { Content-Length = \"1\" }\n"),
    ("a pattern with half a double star", "[[site.cache]]\npath = \"/a**\"\ncontrol = \"no-store\"\n"),
    ("slots that nobody leases", "[app]\nlayout = \"slots\"\n"),
    (
        "slots with a pool that does not tell",
        "[app]\nlayout = \"slots\"\n[serve]\n[php]\nfpm = \"127.0.0.1:9000\"\n",
    ),
    ("slots of hard links", "[app]\nlayout = \"slots\"\nlink_mode = \"hardlink\"\n[serve]\n"),
    ("one slot to take turns in", "[app]\nlayout = \"slots\"\nslots = 1\n[serve]\n"),
    ("a guard with a glob", "[[site.auth]]\npath = \"/admin/*\"\nusers = {}\n"),
    ("a guard for nobody", "[[site.auth]]\npath = \"/admin\"\n"),
    ("a password in plain", "[[site.auth]]\npath = \"/\"\nusers = { alice = \"secret\" }\n"),
    ("an error page for no error", "[site.error]\n200 = \"/ok.html\"\n"),
    ("two sources", "[source]\ndir = \".\"\ngit = \"x\"\n"),
    ("a host that is an option", "[[host]]\nssh = \"-oProxyCommand=x\"\n"),
    ("text after wide and control characters", "[app]\nname = \"ü\t€\"  # ü\n"),
    ("windows line ends", "[app]\r\nnam = \"a\"\r\n"),
];

#[test]
fn every_mistake_is_told_with_its_place_and_what_to_write_instead() {
    let all: Vec<String> =
        MISTAKES.iter().map(|(name, text)| format!("# {name}\n{}\n", told(text))).collect();
    for one in &all {
        assert!(one.contains("\n  fix: ") && one.contains("cutover.toml:"), "{one}");
    }
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn a_file_that_is_not_there_says_so() {
    let error = Config::read(Path::new("/nonexistent/cutover.toml")).unwrap_err().to_string();
    assert_eq!(error, "cannot read /nonexistent/cutover.toml: No such file or directory (os error 2)");
}
