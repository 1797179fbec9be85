//! Name: what a file's name says about whether it may be sent, and whether it is run.

/// Extensions that some PHP set-up somewhere runs, or whose content is PHP source.
const SOURCE: [&[u8]; 11] =
    [b"php", b"php3", b"php4", b"php5", b"php6", b"php7", b"php8", b"phtml", b"phar", b"phps", b"pht"];

/// What editors and people append to a name when they keep a copy; and packed forms of it.
const COPY: [&[u8]; 17] = [
    b"bak", b"backup", b"old", b"orig", b"save", b"sav", b"swp", b"swo", b"tmp", b"copy", b"rej", b"txt",
    b"gz", b"br", b"zst", b"bz2", b"xz",
];

/// A script by its name: `.php`, in exactly this spelling.
pub fn is_script(name: &[u8]) -> bool {
    name.len() > 4 && name.ends_with(b".php")
}

/// A name under which PHP source may lie, in whatever spelling: never sent as a file. Also its copies
/// (`config.php.bak`, `config.php~`) and names that other systems take for it (`x.PHP`, `x.php.`, `x.php `).
pub fn is_source(name: &[u8]) -> bool {
    let Some(dot) = memchr::memchr(b'.', name) else { return false };
    let mut rest = trim(name);
    loop {
        let (front, extension) = match memchr::memrchr(b'.', rest) {
            Some(at) if at >= dot => (&rest[..at], trim(&rest[at + 1..])),
            Some(_) | None => return false,
        };
        if is_one_of(extension, &SOURCE) {
            return true;
        }
        if !is_one_of(extension, &COPY) && !extension.iter().all(u8::is_ascii_digit) {
            return false;
        }
        rest = trim(front);
    }
}

/// A file that is never sent whatever path led to it: a dotfile, or something below a version control directory.
pub fn is_private(place: &[u8]) -> bool {
    place.rsplit(|byte| *byte == b'/').next().is_some_and(|name| name.starts_with(b"."))
        || place.split(|byte| *byte == b'/').any(|name| [&b".git"[..], b".hg", b".svn"].contains(&name))
}

fn trim(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| !matches!(byte, b'.' | b' ' | b'~')).map_or(0, |at| at + 1);
    &name[..end]
}

fn is_one_of(extension: &[u8], list: &[&[u8]]) -> bool {
    list.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_extension_is_a_script() {
        assert!(is_script(b"index.php") && is_script(b"a.b.php"));
        for name in ["index.PHP", "index.php5", "index.phtml", ".php", "php", "index.php.", "indexphp"] {
            assert!(!is_script(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn source_is_known_in_every_spelling_and_copy() {
        for name in [
            "index.php",
            "x.PHP",
            "x.PhP",
            "x.php5",
            "x.phtml",
            "x.phar",
            "x.phps",
            "x.php.",
            "x.php ",
            "x.php. .",
            "x.php~",
            "x.php.bak",
            "x.php.bak~",
            "x.PHP.OLD",
            "x.php.1",
            "x.php.gz",
            ".php",
            "x.php.txt.gz",
            "x.php .bak",
        ] {
            assert!(is_source(name.as_bytes()), "{name}");
        }
        for name in [
            "x.css",
            "php",
            "x.phpx",
            "x.php.css",
            "README",
            "a.tar.gz",
            "x.1",
            "x.bak",
            "x.",
            "",
            "...",
            "php.js",
        ] {
            assert!(!is_source(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn dotfiles_and_repositories_are_private() {
        for place in [".env", "a/.htaccess", ".git/config", "a/.git/objects/x"] {
            assert!(is_private(place.as_bytes()), "{place}");
        }
        for place in ["a/b", ".well-known/acme-challenge/x", ".output/public/app.js"] {
            assert!(!is_private(place.as_bytes()), "{place}");
        }
    }
}
