//! What a release's file has beside its content: its mode, and a time that opcache accepts.

use rustix::fs::Stat;

/// The permission bits, without set-user-ID and set-group-ID: the release has another owner than its source had.
pub(crate) fn mode_of(stat: &Stat) -> u32 {
    stat.st_mode & 0o1777
}

/// A time that opcache accepts: it caches nothing of 1970-01-01 00:00:00, nothing from the future, and nothing that is
/// younger than two seconds (opcache.file_update_protection).
pub(crate) fn sane_time(mtime_ns: i64, now_ns: i64) -> i64 {
    const SECOND: i64 = 1_000_000_000;
    match mtime_ns {
        young if young > now_ns.saturating_sub(3 * SECOND) => now_ns.saturating_sub(3 * SECOND).max(SECOND),
        old => old.max(SECOND),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_opcache_would_not_cache_are_corrected() {
        const S: i64 = 1_000_000_000;
        for (mtime, wanted) in
            [(0, S), (-5 * S, S), (1, S), (500 * S + 1, 500 * S + 1), (999 * S, 997 * S), (5000 * S, 997 * S)]
        {
            assert_eq!(sane_time(mtime, 1000 * S), wanted, "{mtime}");
        }
    }
}
