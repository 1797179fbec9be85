//! What PHP caches of the releases: how full each master's opcache is, with what, and for how many deploys it lasts.

use std::time::Duration;

use config::host::Fpm;
use deploy::opcache::ask::Look;
use deploy::opcache::figures::megabytes;
use deploy::opcache::{Cache, Figures, Need, OpcacheError, advice, masters, room};
use release::{Live, ReleaseId};
use serde_json::{Value, json};

use crate::opened::Opened;
use crate::pools::{masters, pools};

/// One master's cache, told.
pub struct Told {
    /// For people.
    pub lines: Vec<String>,
    /// For programs.
    pub json: Value,
}

/// Nobody waits longer for a pool that is busy or hangs.
const PATIENCE: Duration = Duration::from_secs(3);

/// The opcache of each master, asked now.
pub fn caches(opened: &Opened, live: &Live, back: Option<&ReleaseId>) -> Vec<Told> {
    let Some(php) = &opened.config.host.php else { return Vec::new() };
    let of = |pool| Cache::of(&opened.app, &php.path_map, &pool).map(|cache| cache.within(PATIENCE));
    let found: Result<Vec<Cache>, OpcacheError> =
        pools(opened, &masters(opened)).into_iter().map(of).collect();
    let caches = match found.and_then(|caches| masters::distinct(&opened.app, caches)) {
        Ok(caches) => caches,
        Err(error) => return vec![unknown(&error)],
    };
    // releases/ or, in slot mode, slots/.
    let beside = live.dir.parent().unwrap_or(&live.dir);
    let release = |id: &ReleaseId| Release { id: id.clone(), name: name(opened, id) };
    let (live, back) = (release(&live.id), back.map(release));
    let embedded = php.fpm == Fpm::Embedded;
    let told = |cache: Cache| match cache.look(Some(beside), None) {
        Ok(look) => known(&cache, &look, &live, back.as_ref(), embedded),
        Err(error) => unknown(&error),
    };
    caches.into_iter().map(told).collect()
}

/// A release, and what the directory is called that it stands in.
struct Release {
    id: ReleaseId,
    name: String,
}

fn name(opened: &Opened, id: &ReleaseId) -> String {
    let slot = std::fs::read_link(opened.app.release(id)).ok();
    let slot = slot.as_deref().and_then(|slot| slot.file_name()?.to_str());
    slot.unwrap_or(id.as_str()).to_owned()
}

fn unknown(error: &OpcacheError) -> Told {
    Told { lines: vec![format!("  opcache  {error}")], json: json!({ "error": error.to_string() }) }
}

fn known(cache: &Cache, look: &Look, live: &Release, back: Option<&Release>, embedded: bool) -> Told {
    let figures = &look.figures;
    let share = |release: &Release| look.shares.get(&release.name).copied().unwrap_or_default();
    let (scripts, bytes) = share(live);
    let keys_each = if figures.scripts == 0 { 1.0 } else { figures.keys as f64 / figures.scripts as f64 };
    let need = Need { bytes, keys: (scripts as f64 * keys_each).ceil() as u64 };
    let ahead = (scripts > 0).then(|| room::forecast(figures, need, look.others(&live.name)));
    let mut lines = vec![
        format!("  opcache  {}: {}", cache.pool(), full(figures)),
        format!("           {}", shares(look, live, back)),
    ];
    match (ahead, embedded) {
        (None, _) => {
            lines.push(format!("           nothing of {} is in it: `cutover warm` puts it there", live.id))
        }
        // Then it gets a fresh master, and nobody notices.
        (Some(ahead), true) => lines.push(format!("           room for {} more deploys", ahead.deploys)),
        (Some(ahead), false) => lines.push(format!("           {ahead}")),
    }
    if let Some(back) = back.filter(|back| share(back).0 == 0 && scripts > 0) {
        let back = &back.id;
        lines.push(format!("           nothing of {back} is in it: after a rollback visitors wait for that; `cutover warm {back}` puts it there"));
    }
    let advice = advice::of(figures, embedded);
    lines.extend(advice.iter().map(|advice| format!("           {advice}")));
    let json = json!({
        "pool": cache.pool().to_string(),
        "figures": figures,
        "releases": look.shares.iter().filter(|(id, _)| !id.is_empty()).map(|(id, (scripts, bytes))| {
            (id.clone(), json!({ "scripts": scripts, "bytes": bytes }))
        }).collect::<serde_json::Map<_, _>>(),
        "forecast": ahead,
        "advice": advice,
    });
    Told { lines, json }
}

fn full(figures: &Figures) -> String {
    let Figures { used, wasted, scripts, restarts, .. } = figures;
    let mut text = format!(
        "{} of {} used, {} wasted; ",
        megabytes(*used),
        megabytes(figures.total()),
        megabytes(*wasted)
    );
    text.push_str(&format!("{scripts} scripts"));
    if let Some(rate) = figures.hit_rate() {
        text.push_str(&format!(", {rate:.1} % hits"));
    }
    match restarts {
        0 => {}
        1 => text.push_str(", restarted once"),
        more => text.push_str(&format!(", restarted {more} times")),
    }
    if figures.full {
        text.push_str("; FULL: what is not in it is compiled for each request");
    }
    text
}

/// `r41 (live) 21 MB, r40 (rollback) 20 MB, 3 other releases 18 MB`.
fn shares(look: &Look, live: &Release, back: Option<&Release>) -> String {
    let mut parts = Vec::new();
    let (mut others, mut bytes_of_others) = (0, 0);
    for (name, (_, bytes)) in look.shares.iter().filter(|(name, _)| !name.is_empty()) {
        match back {
            _ if *name == live.name => parts.insert(0, format!("{} (live) {}", live.id, megabytes(*bytes))),
            Some(back) if back.name == *name => {
                parts.push(format!("{} (rollback) {}", back.id, megabytes(*bytes)));
            }
            Some(_) | None => {
                others += 1;
                bytes_of_others += bytes;
            }
        }
    }
    match others {
        0 => {}
        1 => parts.push(format!("1 other release {}", megabytes(bytes_of_others))),
        more => parts.push(format!("{more} other releases {}", megabytes(bytes_of_others))),
    }
    if parts.is_empty() { "no release is in it".into() } else { parts.join(", ") }
}
