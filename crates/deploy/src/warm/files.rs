//! Files: which of a release's files are compiled, and in which order. Pure.

use std::collections::{HashMap, HashSet};

use config::value::Pattern;
use release::manifest::{Kind, Manifest};

use crate::opcache::need::Cached;

/// The files of a release, with their sizes.
#[derive(Clone, Debug, Default)]
pub struct Files {
    sizes: HashMap<Vec<u8>, u64>,
    /// In the order of the manifest.
    php: Vec<Vec<u8>>,
}

/// What is compiled, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order<'a> {
    /// What visitors used of the releases that are cached: what is wanted most first.
    pub used: Vec<&'a [u8]>,
    /// All other PHP files.
    pub rest: Vec<&'a [u8]>,
}

impl Files {
    /// Those of a sealed release, without the excluded.
    pub fn of(manifest: &Manifest, exclude: &[Pattern]) -> Files {
        let files = manifest.entries().filter_map(|(path, entry)| {
            let Kind::File { size, .. } = entry.kind else { return None };
            let slashed = [b"/", path].concat();
            (!exclude.iter().any(|pattern| pattern.matches(&slashed))).then(|| (path.to_vec(), size))
        });
        Files::from_sizes(files)
    }

    fn from_sizes(files: impl Iterator<Item = (Vec<u8>, u64)>) -> Files {
        let mut found = Files::default();
        for (path, size) in files {
            if path.ends_with(b".php") {
                found.php.push(path.clone());
            }
            found.sizes.insert(path, size);
        }
        found
    }

    /// Whether there is nothing that could be compiled.
    pub fn is_empty(&self) -> bool {
        self.php.is_empty()
    }

    /// Bytes of a file.
    pub fn size(&self, path: &[u8]) -> Option<u64> {
        self.sizes.get(path).copied()
    }

    /// The order for a cache in which releases have these scripts. What they run under other names than `.php`
    /// (`.inc`, `.module`, `.phtml`) is compiled too, if this release still has it.
    pub fn order<'a>(&'a self, cached: &'a [Cached]) -> Order<'a> {
        let mut known: Vec<&Cached> =
            cached.iter().filter(|cached| cached.hits > 0 && self.sizes.contains_key(&cached.path)).collect();
        known.sort_by(|one, two| {
            (two.hits, two.last_used, &one.path).cmp(&(one.hits, one.last_used, &two.path))
        });
        let used: Vec<&[u8]> = known.iter().map(|cached| cached.path.as_slice()).collect();
        let seen: HashSet<&[u8]> = used.iter().copied().collect();
        let rest = self.php.iter().map(Vec::as_slice).filter(|path| !seen.contains(path)).collect();
        Order { used, rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cached(path: &str, hits: u64, last_used: u64) -> Cached {
        Cached { path: path.into(), hits, last_used, bytes: 1 }
    }

    #[test]
    fn what_visitors_use_most_comes_first_and_what_is_gone_not_at_all() {
        let files = Files::from_sizes(
            ["a.php", "b.php", "c.php", "readme.md", "view.phtml"]
                .into_iter()
                .map(|name| (name.as_bytes().to_vec(), 10)),
        );
        let live = [
            cached("b.php", 9, 1),
            cached("c.php", 9, 2),
            cached("gone.php", 99, 9),
            cached("view.phtml", 3, 3),
            // Warmed, and never wanted since.
            cached("a.php", 0, 3),
        ];
        let order = files.order(&live);
        assert_eq!(order.used, [b"c.php".as_slice(), b"b.php", b"view.phtml"]);
        assert_eq!(order.rest, [b"a.php".as_slice()]);
        assert_eq!(files.order(&[]).rest.len(), 3);
    }
}
