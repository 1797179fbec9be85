//! Need: how much of a cache a release will take, judged by what those before it take.

use std::collections::HashMap;

/// One script that a cache has, of one release or of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// Its path in its release.
    pub path: Vec<u8>,
    /// How often it was wanted.
    pub hits: u64,
    /// When it was wanted last, in seconds since 1970.
    pub last_used: u64,
    /// Bytes it takes; of several releases the most.
    pub bytes: u64,
}

/// What a release takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Bytes.
    pub bytes: u64,
    /// Keys.
    pub keys: u64,
}

/// Compiled code, in bytes for each byte of source, where nothing was measured. MediaWiki: 2.5, dense classes: 7.
const RATIO: u64 = 4;
/// What a script takes beside its code.
const EACH: u64 = 1024;
/// From so many scripts on their measure says more than the ratio above.
const ENOUGH: usize = 20;

impl Need {
    /// What these files (path, bytes of source) will take: as much as a cached file of that path does, else
    /// by the size of the source. `keys_each`: keys over scripts in this cache.
    pub fn of<'a>(
        files: impl IntoIterator<Item = (&'a [u8], u64)>,
        live: &[Cached],
        sizes: impl Fn(&[u8]) -> Option<u64>,
        keys_each: f64,
    ) -> Need {
        let known: HashMap<&[u8], u64> =
            live.iter().map(|cached| (cached.path.as_slice(), cached.bytes)).collect();
        let measured: Vec<(u64, u64)> =
            live.iter().filter_map(|cached| Some((cached.bytes, sizes(&cached.path)?))).collect();
        let (bytes, source) = measured.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let guess = |size: u64| match measured.len() >= ENOUGH && source > 0 {
            true => size.saturating_mul(bytes) / source,
            false => size.saturating_mul(RATIO) + EACH,
        };
        let mut need = Need::default();
        let mut count = 0.0;
        for (path, size) in files {
            need.bytes += known.get(path).copied().unwrap_or_else(|| guess(size));
            count += 1.0;
        }
        // Rounded up; a cache that was never used has no keys to go by.
        need.keys = (count * keys_each.clamp(1.0, 3.0)).ceil() as u64;
        need
    }

    /// What is left when so much of it is there already.
    pub fn without(self, bytes: u64, keys: u64) -> Need {
        Need { bytes: self.bytes.saturating_sub(bytes), keys: self.keys.saturating_sub(keys) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cached(path: &str, bytes: u64) -> Cached {
        Cached { path: path.into(), hits: 1, last_used: 0, bytes }
    }

    #[test]
    fn a_file_that_is_live_takes_what_it_takes_and_a_new_one_what_its_size_lets_expect() {
        let live = [cached("a.php", 5_000)];
        let files = [(b"a.php".as_slice(), 100), (b"new.php".as_slice(), 1_000)];
        let need = Need::of(files, &live, |_| Some(100), 1.0);
        assert_eq!(need, Need { bytes: 5_000 + 4_000 + 1_024, keys: 2 });
    }

    #[test]
    fn many_live_files_are_a_better_measure_than_any_ratio() {
        let live: Vec<Cached> = (0..20).map(|n| cached(&format!("{n}.php"), 700)).collect();
        let need = Need::of([(b"new.php".as_slice(), 1_000)], &live, |_| Some(100), 2.0);
        assert_eq!(need, Need { bytes: 7_000, keys: 2 });
    }
}
