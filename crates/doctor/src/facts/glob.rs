//! Glob: which files a pattern names, as glob(7) says it and servers read it; bounded.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::machine::{Kind, Machine, NoLook, Why};

/// The most paths that one pattern may name.
const NAMED_MAX: usize = 20_000;

/// Whether a text has a wildcard in it.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The paths that an absolute pattern names, sorted. A pattern without wildcards names itself, there or not.
/// What may not be looked into on the way is an error: the server may see more.
pub fn expand(machine: &dyn Machine, pattern: &Path) -> Result<Vec<PathBuf>, NoLook> {
    if pattern.to_str().is_some_and(|text| !is_pattern(text)) {
        return Ok(vec![pattern.to_owned()]);
    }
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.components() {
        let Component::Normal(name) = part else {
            if part == Component::ParentDir {
                found.iter_mut().for_each(|at| at.push(".."));
            }
            continue;
        };
        let wild = name.to_str().is_none_or(is_pattern);
        let mut next = Vec::new();
        for at in &found {
            if !wild {
                next.push(at.join(name));
                continue;
            }
            match machine.entries(at) {
                Ok(entries) => {
                    let hits = entries.iter().filter(|entry| matches(name.as_bytes(), entry.as_bytes()));
                    next.extend(hits.map(|entry| at.join(entry)));
                }
                // Not there, or no directory: the pattern names nothing below it.
                Err(NoLook { why: Why::Absent | Why::Unlike(_), .. }) => {}
                Err(why) => return Err(why),
            }
            if next.len() > NAMED_MAX {
                return Err(NoLook::at(pattern, Why::TooLarge));
            }
        }
        found = next;
    }
    let mut seen = Vec::new();
    for path in found {
        match machine.stat(&path) {
            Ok(_) => seen.push(path),
            Err(absent) if absent.is_absent() => {}
            Err(why) => return Err(why),
        }
    }
    seen.sort();
    Ok(seen)
}

/// All files below a directory, sorted, links not followed into directories.
pub fn below(machine: &dyn Machine, dir: &Path) -> Result<Vec<PathBuf>, NoLook> {
    let (mut dirs, mut files) = (vec![dir.to_owned()], Vec::new());
    while let Some(dir) = dirs.pop() {
        for name in machine.entries(&dir)? {
            let path = dir.join(name);
            if machine.stat(&path)?.kind == Kind::Directory { &mut dirs } else { &mut files }.push(path);
            if dirs.len() + files.len() > NAMED_MAX {
                return Err(NoLook::at(&dir, Why::TooLarge));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a pattern fits one whole name: `*`, `?`, `[a-z]`, `[!a-z]`, `\` for the next as it is. A dot at the
/// beginning must be in the pattern too.
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    let (mut p, mut n) = (0, 0);
    // Behind the last star: where to go on when what follows it does not fit.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, n));
            p += 1;
            continue;
        }
        match (name.get(n), one(&pattern[p.min(pattern.len())..])) {
            (None, None) => return true,
            (Some(byte), Some((fits, len))) if fits.has(*byte) => {
                p += len;
                n += 1;
            }
            (Some(_) | None, _) => match retry {
                Some((after, from)) if from < name.len() => {
                    retry = Some((after, from + 1));
                    (p, n) = (after, from + 1);
                }
                Some(_) | None => return false,
            },
        }
    }
}

/// What fits one byte.
enum Fits<'a> {
    Any,
    Byte(u8),
    Of { set: &'a [u8], not: bool },
}

impl Fits<'_> {
    fn has(&self, byte: u8) -> bool {
        match self {
            Fits::Any => true,
            Fits::Byte(is) => *is == byte,
            Fits::Of { set, not } => {
                let mut rest = *set;
                let mut inside = false;
                while let [from, tail @ ..] = rest {
                    rest = tail;
                    if let [b'-', to, tail @ ..] = rest {
                        inside |= (*from..=*to).contains(&byte);
                        rest = tail;
                    } else {
                        inside |= *from == byte;
                    }
                }
                inside != *not
            }
        }
    }
}

/// What the first byte must be, and how long that is in the pattern.
fn one(pattern: &[u8]) -> Option<(Fits<'_>, usize)> {
    let fits = match pattern {
        [] => return None,
        [b'?', ..] => (Fits::Any, 1),
        [b'\\', byte, ..] => (Fits::Byte(*byte), 2),
        [b'[', rest @ ..] => {
            let not = matches!(rest.first(), Some(b'!' | b'^'));
            let begin = usize::from(not);
            // A `]` that comes first is one of the set.
            match rest.iter().skip(begin + 1).position(|byte| *byte == b']') {
                Some(len) => (Fits::Of { set: &rest[begin..=begin + len], not }, begin + len + 3),
                None => (Fits::Byte(b'['), 1),
            }
        }
        [byte, ..] => (Fits::Byte(*byte), 1),
    };
    Some(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Recorded;

    #[test]
    fn patterns_fit_as_glob_says() {
        let cases: &[(&str, &str, bool)] = &[
            ("*.conf", "a.conf", true),
            ("*.conf", ".conf", false),
            (".*.conf", ".a.conf", true),
            ("*.conf", "a.conf.dpkg-old", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("??", "ab", true),
            ("??", "abc", false),
            ("[0-9][!a-c]*", "7d-site", true),
            ("[0-9][!a-c]*", "7a-site", false),
            ("[]x]", "]", true),
            ("[", "[", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("*", "", true),
            ("", "", true),
        ];
        for (pattern, name, fits) in cases {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), *fits, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_that_would_backtrack_for_ever_does_not() {
        let name = [b'a'; 2_000];
        let pattern: Vec<u8> = b"a*".repeat(200).into_iter().chain(*b"b").collect();
        assert!(!matches(&pattern, &name));
    }

    #[test]
    fn a_pattern_names_what_is_there_in_order() {
        let mut machine = Recorded::default();
        for path in ["/etc/web/b/site.conf", "/etc/web/a/site.conf", "/etc/web/a/x.txt", "/etc/web/file"] {
            machine.file(Path::new(path), Vec::new());
        }
        let names = |pattern: &str| {
            let found = expand(&machine, Path::new(pattern)).unwrap();
            found.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names("/etc/web/*/*.conf"), ["/etc/web/a/site.conf", "/etc/web/b/site.conf"]);
        assert_eq!(names("/etc/web/file"), ["/etc/web/file"]);
        assert_eq!(names("/etc/none"), ["/etc/none"]);
        assert!(names("/etc/none/*").is_empty());
        assert!(names("/etc/web/*/none").is_empty());
        assert!(names("/etc/web/file/*").is_empty());
    }
}
