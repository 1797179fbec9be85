//! Exclude: names and paths of a tree that are left out of a release.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What `source.exclude` lists. A name without a slash is left out wherever it stands; a path with one, only where it
/// leads from the top of the tree. `*` stands for any bytes but a slash, `?` for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exclude {
    names: Vec<Vec<u8>>,
    paths: Vec<Vec<u8>>,
}

impl Exclude {
    /// From the list in the file.
    pub fn new(list: &[String]) -> Exclude {
        let (paths, names): (Vec<_>, Vec<_>) = list
            .iter()
            .map(|text| text.trim_end_matches('/'))
            .filter(|text| !text.is_empty())
            .partition(|text| text.contains('/'));
        Exclude {
            names: names.into_iter().map(|name| name.as_bytes().to_vec()).collect(),
            paths: paths
                .into_iter()
                .map(|path| path.trim_start_matches(['/']).trim_start_matches("./").as_bytes().to_vec())
                .collect(),
        }
    }

    /// Whether what stands at this path, whose last part is `name`, is left out.
    pub fn covers(&self, path: &[u8], name: &[u8]) -> bool {
        self.names.iter().any(|pattern| fits(pattern, name))
            || self.paths.iter().any(|pattern| fits(pattern, path))
    }

    /// The same, of a path that may lie below one that is left out.
    pub fn covers_below(&self, path: &Path) -> bool {
        let path = path.as_os_str().as_bytes();
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        ends.chain([path.len()]).any(|end| {
            let part = path.get(..end).unwrap_or_default();
            let name = part.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            self.covers(part, name)
        })
    }
}

/// Whether a glob covers the whole of a text. Goes back to the last star only, so its time is bounded by the product
/// of the lengths.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match (pattern.get(p), text.get(t)) {
            (Some(b'*'), _) => {
                star = Some((p, t));
                p += 1;
            }
            (Some(b'?'), Some(byte)) if *byte != b'/' => (p, t) = (p + 1, t + 1),
            (Some(one), Some(other)) if one == other && *one != b'?' => (p, t) = (p + 1, t + 1),
            (_, _) => match star {
                Some((at, from)) if text.get(from) != Some(&b'/') => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                Some(_) | None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_left_out_everywhere_and_a_path_from_the_top_only() {
        let exclude = Exclude::new(&[
            ".git".into(),
            "*.log".into(),
            "/web/dev".into(),
            "docs/*.md".into(),
            "tmp/".into(),
        ]);
        for (path, covered) in [
            (".git", true),
            ("vendor/x/.git", true),
            ("a.log", true),
            ("a/b.log", true),
            ("a.logs", false),
            ("web/dev", true),
            ("x/web/dev", false),
            ("docs/a.md", true),
            ("docs/a/b.md", false),
            ("tmp", true),
            ("gitx", false),
        ] {
            let name = path.rsplit('/').next().unwrap();
            assert_eq!(exclude.covers(path.as_bytes(), name.as_bytes()), covered, "{path}");
        }
        assert!(exclude.covers_below(Path::new("a/.git/config")));
        assert!(!exclude.covers_below(Path::new("a/git/config")));
    }

    #[test]
    fn stars_do_not_cross_slashes() {
        for (pattern, text, whether) in [
            ("*", "a", true),
            ("*", "a/b", false),
            ("a*c", "abbc", true),
            ("a*b*c", "axbxbxc", true),
            ("a?c", "abc", true),
            ("?", "?", true),
            ("", "", true),
            ("*", "", true),
            ("a", "", false),
        ] {
            assert_eq!(fits(pattern.as_bytes(), text.as_bytes()), whether, "{pattern} {text}");
        }
    }
}
