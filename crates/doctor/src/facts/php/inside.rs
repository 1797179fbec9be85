//! Inside: what a running PHP says of itself, as the script `machine/inside.php` tells it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What a running PHP says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Inside {
    /// Its version.
    pub php: String,
    /// Whether it is built for threads.
    pub zts: bool,
    /// The worker that answered.
    pub pid: u32,
    /// Its extensions.
    pub extensions: Vec<String>,
    /// php.ini.
    pub loaded: String,
    /// What was read after it.
    pub scanned: Vec<String>,
    /// Values of keys, those that have to do with what is checked.
    pub ini: BTreeMap<String, String>,
    /// Its opcache.
    pub opcache: Opcache,
    /// What that worker remembers of paths.
    pub realpath: Realpath,
    /// What is shared by APCu; `None`: no APCu, or it is off.
    pub apcu: Option<Apcu>,
}

/// An opcache. Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Opcache {
    /// `on`, `off`, `absent`, `forbidden`, `restricted`, `file_only`; the figures are there if it is `on`.
    pub state: String,
    /// Memory of scripts and of opcache itself.
    pub used: u64,
    /// Memory that nothing has.
    pub free: u64,
    /// Memory of scripts that were invalidated: only a restart of the cache frees it.
    pub wasted: u64,
    /// Something did not fit, and nothing new is taken any more.
    pub full: bool,
    /// A restart is wanted or at work.
    pub restarting: bool,
    /// Keys in use: one for each script, and one for each other way to write its path.
    pub keys: u64,
    /// `opcache.max_accelerated_files`, rounded up by PHP.
    pub max_keys: u64,
    /// Scripts.
    pub scripts: u64,
    /// How often a script was there.
    pub hits: u64,
    /// How often it was not.
    pub misses: u64,
    /// Restarts because memory ran out.
    pub oom_restarts: u64,
    /// Restarts because keys ran out.
    pub hash_restarts: u64,
    /// Restarts that somebody asked for.
    pub manual_restarts: u64,
    /// Interned strings.
    pub interned: u64,
    /// What is left of their buffer.
    pub interned_free: u64,
    /// The JIT's buffer; 0: no JIT.
    pub jit: u64,
    /// What is left of it. It is never freed.
    pub jit_free: u64,
    /// For each release (a directory below `releases/` or `slots/`): scripts and bytes. The empty name: all else.
    pub shares: BTreeMap<String, (u64, u64)>,
}

/// What one worker remembers of paths.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Realpath {
    /// Bytes.
    pub size: u64,
    /// How many.
    pub entries: u64,
    /// Those that lead elsewhere.
    pub links: BTreeMap<String, String>,
}

/// What is shared by APCu.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Apcu {
    /// How many.
    pub entries: u64,
    /// The names of some.
    pub keys: Vec<String>,
    /// How often it was full.
    pub expunges: u64,
    /// Bytes of its memory.
    pub size: u64,
    /// Bytes of it that are free.
    pub free: u64,
}

impl Opcache {
    /// `opcache.memory_consumption`, in bytes.
    pub fn total(&self) -> u64 {
        self.used + self.free + self.wasted
    }

    /// What the scripts of a release take: scripts and bytes.
    pub fn share(&self, release: &str) -> (u64, u64) {
        self.shares.get(release).copied().unwrap_or_default()
    }

    /// What releases take together: how many, scripts, bytes.
    pub fn releases(&self) -> (u64, u64, u64) {
        let releases = self.shares.iter().filter(|(home, _)| !home.is_empty());
        releases.fold((0, 0, 0), |(count, scripts, bytes), (_, (more, size))| {
            (count + 1, scripts + more, bytes + size)
        })
    }

    /// The release that takes most: its directory, scripts, bytes.
    pub fn largest(&self) -> Option<(&str, u64, u64)> {
        let releases = self.shares.iter().filter(|(home, _)| !home.is_empty());
        releases
            .map(|(home, (scripts, bytes))| (home.as_str(), *scripts, *bytes))
            .max_by_key(|(.., bytes)| *bytes)
    }
}

/// Bytes for people, in the unit in which php.ini counts them.
pub fn megabytes(bytes: u64) -> String {
    let mb = bytes as f64 / f64::from(1 << 20);
    if mb < 10.0 { format!("{mb:.1} MB") } else { format!("{mb:.0} MB") }
}
