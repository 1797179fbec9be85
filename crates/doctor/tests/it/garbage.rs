//! Configurations that nobody should write: the fuzz targets on arbitrary text, on words of each language in any order,
//! and on what is sound but for a few bytes.

use proptest::prelude::*;

#[path = "../../../../fuzz/src/doctor.rs"]
mod target;

/// Words that the languages have, so that random text gets somewhere.
const WORDS: [&str; 104] = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ";",
    "\n",
    "\n",
    "\n",
    " ",
    " ",
    " ",
    "\t",
    "\"",
    "'",
    "`",
    "\\",
    "\\\n",
    "#",
    "=",
    "=>",
    "+=",
    "==",
    "=~",
    ",",
    "$",
    "@",
    "*",
    "~",
    "<",
    ">",
    "!",
    "\u{1e}",
    "\0",
    "é",
    "\u{feff}",
    "${A}",
    "{$A}",
    "{args[0]}",
    "$document_root",
    "$realpath_root",
    "Define A ${A}${A}\n",
    "Include",
    "IncludeOptional *.conf\n",
    "include",
    "import",
    "a.conf",
    "*.conf",
    "/etc/web/main.conf",
    "/srv/shop/current/public",
    "/srv/*/current",
    "%0",
    "<IfModule !mod_x.c>\n",
    "</IfModule>\n",
    "<VirtualHost *:80>\n",
    "</VirtualHost>\n",
    "<Directory ~ \"^/srv\">\n",
    "</Directory>\n",
    "<Macro M $a>\n",
    "</Macro>\n",
    "Use M $a$a\n",
    "DocumentRoot",
    "LoadModule",
    "php_module x.so\n",
    "cutover_module x.so\n",
    "SetHandler",
    "\"proxy:fcgi://x\"\n",
    "Alias /x",
    "RewriteRule ^/x$ /y [L]\n",
    "Options -FollowSymLinks\n",
    "http {\n",
    "server {\n",
    "location / {\n",
    "root",
    "fastcgi_pass unix:/x;\n",
    "try_files $uri =404;\n",
    "map $a $b {\n",
    "default $realpath_root;",
    "php_fastcgi x\n",
    "file_server\n",
    "root *",
    "(s) {\n",
    "import s {args[0]}{args[0]}\n",
    "server.document-root",
    "var.a",
    "fastcgi.server = ( \".php\" => (( \"host\" => \"x\" )) )\n",
    "$HTTP[\"host\"]",
    "else",
    "include_shell \"x\"\n",
    "[www]\n",
    "listen = x\n",
    "php_admin_value[open_basedir]",
    "opcache.enable",
    "$pool",
    "[PATH=/srv/shop]\n",
    "zend_extension = opcache.so\n",
    "include = *.conf\n",
    "pm.max_children = 5\n",
    "[program:x]\ncommand = /srv/shop/current/x\n",
    "[Service]\nExecStart=",
    "\u{b}",
    "<If \"true\">\n",
    "</If>\n",
];

/// Sound ones, to be spoilt.
const SOUND: [&str; 7] = [
    include_str!("../../fixtures/frameworks/nextcloud/apache.conf"),
    include_str!("../../fixtures/frameworks/nextcloud/nginx.conf"),
    include_str!("../../fixtures/A08/bad/root/etc/apache2/apache2.conf"),
    include_str!("../../fixtures/C01/bad/root/etc/caddy/Caddyfile"),
    include_str!("../../fixtures/C06/bad/root/etc/lighttpd/lighttpd.conf"),
    "[global]\ninclude = /etc/web/a.conf\n[www]\nlisten = /run/$pool.sock\npm = dynamic\npm.max_children = 5\n\
     php_admin_value[opcache.memory_consumption] = 64\nphp_value[include_path] = \".:/srv/shop/current\"\n; no\n\
     \x1e[opcache]\nopcache.validate_timestamps=0\nrealpath_cache_ttl = 600\n[PATH=/srv]\nopen_basedir = '/srv'\n",
    "{\"apps\":{\"http\":{\"servers\":{\"a\":{\"routes\":[{\"handle\":[{\"handler\":\"file_server\",\"root\":\"/srv/x\"}]}]}}}}}",
];

fn all(data: &[u8]) {
    target::nginx(data);
    target::apache(data);
    target::caddy(data);
    target::caddy_json(data);
    target::lighttpd(data);
    target::fpm(data);
    target::ini(data);
    target::app(data);
}

fn cases() -> u32 {
    std::env::var("CUTOVER_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(80)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn no_bytes_whatsoever_upset_the_doctor(data: Vec<u8>) {
        all(&data);
    }

    #[test]
    fn no_words_in_whatever_order_upset_the_doctor(words in proptest::collection::vec(0..WORDS.len(), 0..120)) {
        let text: String = words.iter().flat_map(|word| [WORDS[*word], " "]).collect();
        all(text.as_bytes());
    }

    #[test]
    fn nothing_sound_upsets_the_doctor_when_it_is_spoilt(
        which in 0..SOUND.len(), changes: [(u16, u8); 3], words in proptest::collection::vec((0..WORDS.len(), any::<u16>()), 0..4), keep: u16,
    ) {
        let mut data = SOUND[which].as_bytes().to_vec();
        for (word, at) in &words {
            let at = usize::from(*at) % data.len();
            data.splice(at..at, WORDS[*word].bytes());
        }
        for (at, to) in changes.iter().skip(usize::from(keep % 4)) {
            let at = usize::from(*at) % data.len();
            data[at] = *to;
        }
        data.truncate(data.len().saturating_sub(usize::from(keep % 60)));
        all(&data);
    }
}
