//! Masters: which of several pools share one opcache. What one has compiled the other has too.

use std::path::Path;
use std::time::Duration;

use release::App;
use release::atomic;

use super::ask::{self, Bounds, Cache, OpcacheError, Spare};

/// A file of ours that is compiled by one pool and looked for in the others.
const MARKER: &str = "<?php // Compiled by one pool of PHP-FPM to see which others share its opcache.\n";

/// One cache of each master, the first of its pools. Pools that cannot be asked stay: whoever asks them next will be
/// told why.
pub fn distinct(app: &App, caches: Vec<Cache>) -> Result<Vec<Cache>, OpcacheError> {
    if caches.len() < 2 {
        return Ok(caches);
    }
    let marker = app.scripts().join("marker.php");
    if !std::fs::read(&marker).is_ok_and(|found| found == MARKER.as_bytes()) {
        atomic::make_dir(&app.scripts())?;
        atomic::replace(&marker, MARKER.as_bytes())?;
        ask::age(&marker);
    }
    for cache in &caches {
        // Who cannot forget it is taken for a master of its own below: it has it before anybody compiled it.
        drop(cache.invalidate([marker.as_path()]));
    }
    let mut masters: Vec<Cache> = Vec::new();
    for cache in caches {
        if !shared(&cache, &marker) {
            masters.push(cache);
        }
    }
    Ok(masters)
}

/// Whether an earlier pool has compiled the marker into the cache that this one sees; compiles it if not.
fn shared(cache: &Cache, marker: &Path) -> bool {
    if cache.has(marker).unwrap_or(false) {
        return true;
    }
    let bounds = Bounds { time: Duration::from_secs(1), spare: Spare::Leave { bytes: 0, keys: 0 } };
    // Without room for it the pool counts as a master of its own, which costs a second look at each file.
    drop(cache.compile([marker], bounds));
    false
}
