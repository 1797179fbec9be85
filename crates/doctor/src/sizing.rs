//! Sizing: what a running PHP-FPM needs, by its own numbers. Pure.
//!
//! Each wish names the figures that it comes from, so that whoever knows better can see where. Nothing here is guessed
//! from files on disk: a pool that could not be asked has no sizing.

use crate::facts::Facts;
use crate::facts::app::App;
use crate::facts::fpm::{Master, Pool};
use crate::facts::php::inside::megabytes;
use crate::facts::php::{Opcache, Php};

/// What one master needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizing {
    /// Its main file.
    pub master: String,
    /// For how many more deploys its opcache has room; `None`: no release was seen in it.
    pub room: Option<Room>,
    /// Its values, each with what it should be.
    pub wishes: Vec<Wish>,
}

/// For how many more deploys an opcache has room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Deploys like the largest release that it holds.
    pub deploys: u64,
    /// By which figures.
    pub why: String,
}

/// A value, and what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The key; with the pool's name, where it is the pool's.
    pub key: String,
    /// What it is.
    pub is: String,
    /// What it should be; the same: it is right.
    pub wanted: String,
    /// By which figures.
    pub why: String,
}

/// What PHP rounds `opcache.max_accelerated_files` up to (ext/opcache/zend_accelerator_hash.c).
const PRIMES: [u64; 18] = [
    5, 11, 19, 53, 107, 223, 463, 983, 1_979, 3_907, 7_963, 16_229, 32_531, 65_407, 130_987, 262_237,
    524_521, 1_048_793,
];

/// Of memory that could be had, what workers may fill: the rest is for a deploy and for what grows.
const FILLED_PERCENT: u64 = 80;

/// The `opcache.max_accelerated_files` that has room for so many keys; the largest that there is, if none has.
pub fn prime(keys: u64) -> u64 {
    PRIMES.into_iter().find(|prime| *prime >= keys).unwrap_or(1_048_793)
}

/// What each master that could be asked needs.
pub fn of(facts: &Facts) -> Vec<Sizing> {
    let masters = facts.fpm.iter().filter_map(|master| {
        let (php, opcache) = master.pools.iter().find_map(|pool| Some((&pool.php, pool.php.opcache()?)))?;
        let mut wishes = cache(facts, php, opcache);
        wishes.extend(realpath(master));
        wishes.extend(workers(facts, master));
        Some(Sizing { master: master.conf.display().to_string(), room: room(opcache), wishes })
    });
    masters.collect()
}

/// Room for releases like the largest, until the cache is full. What is pruned is not counted: whether that is let go of
/// depends on who prunes.
fn room(opcache: &Opcache) -> Option<Room> {
    let (home, scripts, bytes) =
        opcache.largest().filter(|(_, scripts, bytes)| *scripts > 0 && *bytes > 0)?;
    let by_memory = opcache.free / bytes;
    let keys = opcache.max_keys.saturating_sub(opcache.keys);
    let by_keys = keys / scripts;
    let deploys = if opcache.full { 0 } else { by_memory.min(by_keys) };
    let first = if by_keys < by_memory { "keys run out first" } else { "memory runs out first" };
    let why = format!(
        "{home} has {scripts} scripts in {}; free are {} and {keys} keys: {first}",
        megabytes(bytes),
        megabytes(opcache.free)
    );
    Some(Room { deploys, why })
}

fn cache(facts: &Facts, php: &Php, opcache: &Opcache) -> Vec<Wish> {
    let mut wishes = Vec::new();
    if let Some((home, scripts, bytes)) = opcache.largest() {
        let app = facts.apps.iter().find(|app| app.is_in_releases(std::path::Path::new(home)));
        let (count, who) = kept(app, opcache);
        let (_, held_scripts, held) = opcache.releases();
        let rest = opcache.used.saturating_sub(held);
        // Those that are kept, and the one that comes; an eighth for what scripts add while they run.
        let needed = (count + 1) * bytes * 9 / 8 + rest;
        wishes.push(Wish {
            key: "opcache.memory_consumption".into(),
            is: (opcache.total() >> 20).to_string(),
            wanted: (opcache.total() >> 20).max(needed.div_ceil(64 << 20) * 64).to_string(),
            why: format!(
                "{who} and one to come, {} each and an eighth more while they run, and {} of everything else: {}",
                megabytes(bytes),
                megabytes(rest),
                megabytes(needed)
            ),
        });
        let others = opcache.keys.saturating_sub(held_scripts);
        let keys = (count + 1) * scripts + others;
        wishes.push(Wish {
            key: "opcache.max_accelerated_files".into(),
            is: opcache.max_keys.to_string(),
            wanted: opcache.max_keys.max(prime(keys)).to_string(),
            why: format!("{who} and one to come, {scripts} scripts each, and {others} other keys: {keys}; PHP knows primes only"),
        });
    }
    let strings = opcache.interned + opcache.interned_free;
    if strings > 0 {
        let wanted = (opcache.interned * 4 / 3).div_ceil(8 << 20) * 8;
        let is = php.ini("opcache.interned_strings_buffer").number().unwrap_or(8).max(0).cast_unsigned();
        wishes.push(Wish {
            key: "opcache.interned_strings_buffer".into(),
            is: is.to_string(),
            wanted: is.max(wanted).to_string(),
            why: format!(
                "{} of {} are used, and a third more for what comes",
                megabytes(opcache.interned),
                megabytes(strings)
            ),
        });
    }
    wishes
}

/// How many releases of the size are kept, and how that is told.
fn kept(app: Option<&App>, opcache: &Opcache) -> (u64, String) {
    if let Some(ours) = app.and_then(|app| app.ours.as_ref()) {
        let keep = u64::from(ours.config.host.app.keep);
        return (keep, format!("{keep} releases that are kept (app.keep)"));
    }
    let here = app.map_or(0, |app| app.releases.len() as u64);
    let (cached, ..) = opcache.releases();
    let count = here.max(cached);
    (count, format!("{count} releases that are here"))
}

/// A worker's realpath cache, by the fullest that was seen.
fn realpath(master: &Master) -> Option<Wish> {
    let pools = master.pools.iter().filter_map(|pool| Some((pool, pool.php.inside()?.realpath.size)));
    let (pool, used) = pools.max_by_key(|(_, used)| *used)?;
    let size = pool.php.ini("realpath_cache_size");
    let is = u64::try_from(size.number()?).ok().filter(|bytes| *bytes > 0)?;
    let kb = (used * 3 / 2).div_ceil(4096 << 10) * 4096;
    let enough = used * 3 / 2 <= is;
    Some(Wish {
        key: "realpath_cache_size".into(),
        is: size.value.clone(),
        wanted: if enough { size.value.clone() } else { format!("{kb}K") },
        why: format!(
            "a worker of {} uses {} of it, and half as much again for the next release",
            pool.name,
            kilobytes(used)
        ),
    })
}

/// How many workers fit into memory, the pools of all masters together, each in the proportion that it has now.
fn workers(facts: &Facts, master: &Master) -> Vec<Wish> {
    let Some((total, available)) = facts.memory else { return Vec::new() };
    let seen: u64 =
        facts.pools().flat_map(|(_, pool)| &pool.memory).map(|memory| memory.pss.unwrap_or(memory.rss)).sum();
    let may_fill = (available + seen) * FILLED_PERCENT / 100;
    let wanted_by_all: u64 = facts.pools().filter_map(|(_, pool)| most(pool)).sum();
    let wish = |pool: &Pool| {
        let (each, now) = (largest(pool)?, u64::try_from(pool.number("pm.max_children")?).ok()?);
        let share = may_fill.checked_mul(most(pool)?)?.checked_div(wanted_by_all)?;
        let fits = (share / each.max(1)).max(1);
        let busy = pool.status().map_or(String::new(), |status| {
            format!(
                "; {} worked at once at most, and the limit was reached {} times",
                status.active_most, status.limit_reached
            )
        });
        let measure = if pool.memory.iter().all(|memory| memory.pss.is_some()) {
            "its own share"
        } else {
            "all it sees, shared memory too"
        };
        let others = if facts.pools().count() > 1 { ", divided among all pools as they are now" } else { "" };
        Some(Wish {
            key: format!("pm.max_children ({})", pool.name),
            is: now.to_string(),
            wanted: now.min(fits).to_string(),
            why: format!(
                "the largest of {} workers takes {} ({measure}); of {} the machine can give {}, {FILLED_PERCENT} % of it{others}: {fits} fit{busy}",
                pool.memory.len(),
                megabytes(each),
                megabytes(total),
                megabytes(available + seen)
            ),
        })
    };
    master.pools.iter().filter_map(wish).collect()
}

/// What a pool takes with all its workers.
fn most(pool: &Pool) -> Option<u64> {
    largest(pool)?.checked_mul(u64::try_from(pool.number("pm.max_children")?).ok()?)
}

fn largest(pool: &Pool) -> Option<u64> {
    pool.memory.iter().map(|memory| memory.pss.unwrap_or(memory.rss)).max()
}

fn kilobytes(bytes: u64) -> String {
    format!("{} KB", bytes.div_ceil(1 << 10))
}

impl Wish {
    /// Whether it is right as it is.
    pub fn is_right(&self) -> bool {
        self.is == self.wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_rounded_up_as_php_does() {
        assert_eq!([1, 223, 224, 10_000, 2_000_000].map(prime), [5, 223, 463, 16_229, 1_048_793]);
    }

    #[test]
    fn room_is_what_runs_out_first() {
        let shares =
            [("/srv/releases/r1".to_owned(), (100, 10 << 20)), (String::new(), (5, 50 << 20))].into();
        let opcache = Opcache { free: 35 << 20, keys: 105, max_keys: 983, shares, ..Opcache::default() };
        let by_memory = room(&opcache).unwrap();
        assert_eq!(by_memory.deploys, 3);
        assert!(by_memory.why.ends_with("memory runs out first"), "{}", by_memory.why);
        let by_keys = room(&Opcache { max_keys: 223, ..opcache.clone() }).unwrap();
        assert_eq!(by_keys.deploys, 1);
        assert!(by_keys.why.ends_with("keys run out first"), "{}", by_keys.why);
        assert_eq!(room(&Opcache { full: true, ..opcache.clone() }).unwrap().deploys, 0);
        assert_eq!(room(&Opcache::default()), None);
    }
}
