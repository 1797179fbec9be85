//! Room: whether a cache can take a release, and for how many deploys it will. Pure.

use serde::Serialize;

use super::figures::{Figures, megabytes};
use super::need::Need;

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Short {
    /// Memory.
    #[error("it has {} free, and the release takes about {}", megabytes(*free), megabytes(*needs))]
    Memory {
        /// Bytes that are free.
        free: u64,
        /// Bytes that are needed.
        needs: u64,
    },
    /// Keys.
    #[error("it has {free} keys free, and the release takes about {needs}")]
    Keys {
        /// Keys that are free.
        free: u64,
        /// Keys that are needed.
        needs: u64,
    },
    /// It takes nothing any more.
    #[error("it is full, and takes nothing new before PHP restarts it")]
    Full,
    /// It is being emptied at this moment.
    #[error("PHP is restarting it")]
    Restarting,
}

/// For how long a cache lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// Deploys of this size that it has room for.
    pub deploys: u64,
    /// What runs out first.
    pub first: Limit,
    /// What happens then.
    pub then: Then,
    /// The `opcache.memory_consumption` that has room for [`TEN`] more, in megabytes.
    pub memory_mb: u64,
    /// The `opcache.max_accelerated_files` that has.
    pub files: u64,
}

/// What runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// `opcache.memory_consumption`.
    Memory,
    /// `opcache.max_accelerated_files`.
    Keys,
}

/// What a cache does when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// PHP empties it, and every script is compiled again.
    Restarts,
    /// Too little of it is wasted for that: what does not fit is compiled for each request.
    StaysFull,
}

/// So many deploys should fit.
pub const TEN: u64 = 10;

/// With room for so many nobody needs to think of it.
const MANY: u64 = 50;

/// Whether the cache takes what is needed and leaves something for what scripts add while they run.
pub fn room(figures: &Figures, need: Need) -> Result<(), Short> {
    if figures.restarting {
        return Err(Short::Restarting);
    }
    if figures.full {
        return Err(Short::Full);
    }
    let (bytes, keys) = left(figures);
    let need = with_growth(need);
    if bytes < need.bytes {
        return Err(Short::Memory { free: figures.free, needs: need.bytes });
    }
    if keys < need.keys {
        return Err(Short::Keys { free: keys, needs: need.keys });
    }
    Ok(())
}

/// For how many deploys of this size there is room. `others`: bytes of releases that are not live; they and what each of
/// those deploys leaves will be waste then.
pub fn forecast(figures: &Figures, need: Need, others: u64) -> Forecast {
    let need = with_growth(Need { bytes: need.bytes.max(1), keys: need.keys.max(1) });
    let (bytes, keys) = match figures.full {
        true => (0, 0),
        false => left(figures),
    };
    let (by_memory, by_keys) = (bytes / need.bytes.max(1), keys / need.keys.max(1));
    let deploys = by_memory.min(by_keys);
    let wasted = figures.wasted + others + deploys.saturating_mul(need.bytes);
    let kept = figures.total() - figures.free;
    Forecast {
        deploys,
        first: if by_keys < by_memory { Limit::Keys } else { Limit::Memory },
        then: if figures.would_restart(wasted) { Then::Restarts } else { Then::StaysFull },
        memory_mb: (kept + need.bytes * TEN + spare(figures).0).div_ceil(64 << 20) * 64,
        files: (figures.keys + need.keys * TEN).div_ceil(1000) * 1000,
    }
}

/// What a warm leaves free, in bytes and keys. A cache that is filled to the brim takes nothing any more from the live
/// release either.
pub fn spare(figures: &Figures) -> (u64, u64) {
    ((figures.total() / 32).clamp(256 << 10, 4 << 20), (figures.max_keys / 32).max(8))
}

fn left(figures: &Figures) -> (u64, u64) {
    let (bytes, keys) = spare(figures);
    (figures.free.saturating_sub(bytes), figures.max_keys.saturating_sub(figures.keys + keys))
}

/// Scripts that run add to their release: linked classes, and files that nobody warmed.
fn with_growth(need: Need) -> Need {
    Need { bytes: need.bytes + need.bytes / 8, keys: need.keys + need.keys / 8 }
}

impl std::fmt::Display for Forecast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let then = match self.then {
            Then::Restarts => "then PHP empties it during a deploy, and visitors wait while it fills again",
            Then::StaysFull => "then it stays full, and what does not fit is compiled for each request",
        };
        match self.deploys {
            0 => write!(f, "no room for another deploy: {then}")?,
            MANY.. => return write!(f, "room for more than {MANY} deploys"),
            1 => write!(f, "room for 1 more deploy: {then}")?,
            more => write!(f, "room for {more} more deploys: {then}")?,
        }
        match self.first {
            Limit::Memory => write!(f, "; opcache.memory_consumption={} has room for {TEN}", self.memory_mb),
            Limit::Keys => write!(f, "; opcache.max_accelerated_files={} has room for {TEN}", self.files),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn figures(free_mb: u64, wasted_mb: u64) -> Figures {
        let used = (128 - free_mb - wasted_mb) * MB;
        Figures {
            used,
            free: free_mb * MB,
            wasted: wasted_mb * MB,
            max_wasted: 5,
            keys: 1_000,
            max_keys: 16_229,
            ..Figures::default()
        }
    }

    #[test]
    fn a_release_fits_if_something_is_left_beside_it() {
        let need = |mb, keys| Need { bytes: mb * MB, keys };
        let cases: [(&str, Figures, Need, Result<(), Short>); 6] = [
            ("plenty", figures(100, 0), need(20, 500), Ok(())),
            (
                "just not",
                figures(24, 0),
                need(20, 500),
                Err(Short::Memory { free: 24 * MB, needs: 22 * MB + MB / 2 }),
            ),
            (
                "wasted is not free",
                figures(4, 100),
                need(20, 500),
                Err(Short::Memory { free: 4 * MB, needs: 22 * MB + MB / 2 }),
            ),
            (
                "keys",
                figures(100, 0),
                need(20, 14_000),
                Err(Short::Keys { free: 16_229 - 1_000 - 507, needs: 15_750 }),
            ),
            ("full", Figures { full: true, ..figures(100, 0) }, need(1, 1), Err(Short::Full)),
            ("restarting", Figures { restarting: true, ..figures(9, 0) }, need(1, 1), Err(Short::Restarting)),
        ];
        for (name, figures, need, wanted) in cases {
            assert_eq!(room(&figures, need), wanted, "{name}");
        }
    }

    #[test]
    fn the_forecast_says_how_many_more_what_then_and_what_to_set() {
        let need = Need { bytes: 16 * MB, keys: 800 };
        let three = forecast(&figures(60, 0), need, 0);
        assert_eq!((three.deploys, three.first, three.then), (3, Limit::Memory, Then::Restarts));
        assert_eq!(three.memory_mb, 256);
        let text = three.to_string();
        assert!(text.starts_with("room for 3 more deploys: then PHP empties it during a deploy"), "{text}");
        assert!(text.ends_with("opcache.memory_consumption=256 has room for 10"), "{text}");
        // Nothing wasted and nothing to waste: a full cache stays full.
        let none = forecast(&figures(4, 0), need, 0);
        assert_eq!((none.deploys, none.then), (0, Then::StaysFull));
        assert_eq!(forecast(&figures(4, 10), need, 0).then, Then::Restarts);
        assert_eq!(forecast(&figures(4, 0), need, 10 * MB).then, Then::Restarts);
        let keys = forecast(&Figures { max_keys: 2_000, ..figures(100, 0) }, need, 0);
        assert_eq!((keys.deploys, keys.first, keys.files), (1, Limit::Keys, 10_000));
    }

    #[test]
    fn a_full_cache_has_room_for_nothing() {
        let full = Figures { full: true, ..figures(50, 0) };
        assert_eq!(forecast(&full, Need { bytes: MB, keys: 1 }, 0).deploys, 0);
    }
}
