//! Figures: how full one master's opcache is, as `opcache_get_status` says.

use serde::{Deserialize, Serialize};

/// How full a cache is. Sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Memory of scripts and of opcache itself, without what is wasted.
    pub used: u64,
    /// Memory that nothing has.
    pub free: u64,
    /// Memory of scripts that were invalidated: only a restart of the cache frees it.
    pub wasted: u64,
    /// `opcache.max_wasted_percentage`: with less waste PHP does not restart a full cache.
    pub max_wasted: u64,
    /// Something did not fit, and nothing new is taken any more.
    pub full: bool,
    /// A restart is wanted or at work.
    pub restarting: bool,
    /// Keys in use: one for each script, and one for each other way to write its path.
    pub keys: u64,
    /// `opcache.max_accelerated_files`, rounded up by PHP.
    pub max_keys: u64,
    /// Scripts, those that were invalidated among them.
    pub scripts: u64,
    /// How often a script was there.
    pub hits: u64,
    /// How often it was not.
    pub misses: u64,
    /// When the cache began, in seconds since 1970; a restart does not change it.
    pub started: u64,
    /// Restarts so far.
    pub restarts: u64,
    /// Interned strings; without a buffer of their own they lie with the scripts.
    pub interned: u64,
    /// What is left of `opcache.interned_strings_buffer`.
    pub interned_free: u64,
    /// The JIT's buffer; 0: no JIT.
    pub jit: u64,
    /// What is left of it. It is never freed.
    pub jit_free: u64,
    /// `opcache.preload`; empty: none.
    pub preload: String,
    /// PHP's version.
    pub php: String,
}

impl Figures {
    /// `opcache.memory_consumption`, in bytes.
    pub fn total(&self) -> u64 {
        self.used + self.free + self.wasted
    }

    /// How many of a hundred scripts were there when they were wanted; `None`: none was wanted yet.
    pub fn hit_rate(&self) -> Option<f64> {
        let wanted = self.hits + self.misses;
        (wanted > 0).then(|| self.hits as f64 * 100.0 / wanted as f64)
    }

    /// Whether so much is wasted that PHP would restart a full cache.
    pub fn would_restart(&self, wasted: u64) -> bool {
        wasted * 100 >= self.total() * self.max_wasted
    }
}

/// Bytes for people, in the unit in which php.ini counts them.
pub fn megabytes(bytes: u64) -> String {
    let mb = bytes as f64 / f64::from(1 << 20);
    if mb < 10.0 { format!("{mb:.1} MB") } else { format!("{mb:.0} MB") }
}
