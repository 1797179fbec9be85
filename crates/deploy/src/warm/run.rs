//! Run: one release compiled into one cache.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use config::host::Php;
use release::live;

use super::batches::{self, Reached};
use super::files::{Files, Order};
use super::{WarmError, advice};
use crate::health::Subject;
use crate::opcache::ask::{Look, Spare, Stopped, below};
use crate::opcache::room::{self, Short};
use crate::opcache::{Cache, Figures, Forecast, Need, collect};

/// All that it needs.
pub struct Run<'a, 'd, 's> {
    pub subject: &'a Subject<'s, 'd>,
    pub php: &'a Php,
    pub files: &'a Files,
    /// The cache; another one, if a fresh master was started.
    pub cache: Cache,
    /// A fresh master was started here.
    pub started: bool,
    /// Told how many files are done, of how many.
    pub progress: &'a mut dyn FnMut(usize, usize),
}

/// What it came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Files in the cache.
    pub cached: u64,
    /// What could not be done, and does no harm.
    pub warnings: Vec<String>,
}

/// For a restart of the cache, which waits for the requests that are under way.
const RESTART: Duration = Duration::from_secs(15);
/// So many files are named in a warning.
const NAMED: usize = 3;
/// With room for fewer deploys than this after the one in hand, it is said.
const FEW: u64 = 3;

impl Run<'_, '_, '_> {
    /// Looks, makes room, compiles, and says what the next deploys have to expect.
    pub fn all(&mut self) -> Result<Done, WarmError> {
        let mut done = Done::default();
        let app = self.subject.deploy.app();
        let live = live::read(app).ok().filter(|live| live.id != *self.subject.id);
        // The releases beside it, or in slot mode the slots: what was used of them is what will be used of this one.
        let releases = self.subject.dir.parent().map_or_else(|| collect::releases(app), Path::to_owned);
        let mut look = self.cache.look(Some(&releases), None)?;
        // What is gone takes no room that could be had back, but a full cache heals only if enough of it is waste.
        let dead = collect::dead(&look, &releases);
        if !dead.is_empty() {
            let (_, figures) = self.cache.collect(dead.iter().map(PathBuf::as_path))?;
            look.figures = figures;
        }
        // Cloned: what was used is known even when the cache is another one afterwards.
        let scripts = look.scripts.clone();
        let order = self.files.order(&scripts);
        let need = self.need(&look, &order);
        let restarts = look.figures.restarts;
        let only_used = match room::room(&look.figures, self.without_own(&look, need)) {
            Ok(()) => false,
            Err(short) => self.make_room(short, &mut look, &mut done)?,
        };
        let (mut paths, rest) = (self.paths(&order.used), self.paths(&order.rest));
        let used = paths.len();
        if !only_used || paths.is_empty() {
            paths.extend(rest.iter().cloned());
        }
        let others = look.others("");
        let mut reached = self.compile(&paths, &look.figures)?;
        // It was judged too small, by a release that was not live yet, say.
        if reached.stopped == Stopped::Room && self.start_fresh(&mut look, &mut done)? {
            reached = self.compile(&paths, &look.figures)?;
        }
        let live = live.map(|live| order.used.iter().map(|path| below(&live.dir, path)).collect::<Vec<_>>());
        if self.started {
            let ahead = room::forecast(&reached.figures, need, others);
            self.way_back(&live.unwrap_or_default(), ahead, &mut reached)?;
        } else {
            if reached.stopped == Stopped::Room && reached.done < used {
                self.over_the_brim(&paths, &mut look, &mut reached)?;
            }
            let restarts_now = reached.stopped == Stopped::Restart || reached.figures.restarting;
            if restarts_now || reached.figures.restarts != restarts {
                let figures = self.after_restart(restarts, &mut done)?;
                // Visitors of the live release lost theirs too: those first.
                let figures = self.compile(&live.unwrap_or_default(), &figures)?.figures;
                if only_used && used > 0 && room::room(&figures, need).is_ok() {
                    paths.extend(rest);
                }
                reached = self.compile(&paths, &figures)?;
            }
        }
        done.cached = reached.cached;
        if !reached.errors.is_empty() {
            return Err(WarmError::Parse { errors: reached.errors });
        }
        done.warnings.extend(uncached(&reached.left));
        let ahead = room::forecast(&reached.figures, need, others);
        match reached.stopped {
            Stopped::End | Stopped::Time => self.look_ahead(ahead, &mut done),
            Stopped::Room | Stopped::Restart => done.warnings.push(format!(
                "the opcache of {} has room for {} of the release's {} files, those that are used most; {}",
                self.cache.pool(),
                reached.done,
                order.used.len() + order.rest.len(),
                ahead
            )),
        }
        let always = self.subject.deploy.fresh_pool.as_ref().is_some_and(|fresh| fresh.always);
        let advice = advice::of(&reached.figures, always).into_iter();
        done.warnings.extend(advice.map(|advice| format!("{}: {advice}", self.cache.pool())));
        Ok(done)
    }

    fn paths(&self, files: &[&[u8]]) -> Vec<PathBuf> {
        files.iter().map(|path| below(self.subject.dir, path)).collect()
    }

    /// Compiles as far as something stays free.
    fn compile(&mut self, files: &[PathBuf], figures: &Figures) -> Result<Reached, WarmError> {
        let (bytes, keys) = room::spare(figures);
        self.within(files, figures, Spare::Leave { bytes, keys })
    }

    fn within(&mut self, files: &[PathBuf], figures: &Figures, spare: Spare) -> Result<Reached, WarmError> {
        let stop = &self.subject.deploy.stop;
        batches::compile(&self.cache, files, figures, spare, stop, self.progress)
    }

    fn need(&self, look: &Look, order: &Order<'_>) -> Need {
        let sized = order.used.iter().chain(&order.rest);
        let sized = sized.map(|path| (*path, self.files.size(path).unwrap_or(0)));
        let Figures { keys, scripts, .. } = look.figures;
        let each = if scripts == 0 { 1.0 } else { keys as f64 / scripts as f64 };
        Need::of(sized, &look.scripts, |path| self.files.size(path), each)
    }

    /// A release that is warmed a second time takes what it does not have yet.
    fn without_own(&self, look: &Look, need: Need) -> Need {
        let own = self.subject.dir.file_name().and_then(|name| look.shares.get(name.to_str()?));
        own.map_or(need, |(scripts, bytes)| need.without(*bytes, *scripts))
    }

    /// A fresh master knows nothing of what is live, and a rollback leads there too once the old master is gone: what is
    /// used of it is compiled, unless the next deploys would miss the room.
    fn way_back(
        &mut self,
        files: &[PathBuf],
        ahead: Forecast,
        reached: &mut Reached,
    ) -> Result<(), WarmError> {
        if reached.stopped == Stopped::End && ahead.deploys > FEW {
            reached.figures = self.compile(files, &reached.figures)?.figures;
        }
        Ok(())
    }

    /// What visitors use of the release does not fit: the first of them would make PHP restart the cache, right after the
    /// flip. Where it will, it does so now.
    fn over_the_brim(
        &mut self,
        files: &[PathBuf],
        look: &mut Look,
        reached: &mut Reached,
    ) -> Result<(), WarmError> {
        self.heal(look)?;
        if look.figures.would_restart(look.figures.wasted) {
            let files = files.get(reached.done..).unwrap_or_default();
            let over = self.within(files, &look.figures, Spare::Nothing)?;
            // With its figures: the restart may have come between two of the requests, and then nothing stopped.
            (reached.stopped, reached.figures) = (over.stopped, over.figures);
        }
        Ok(())
    }

    /// There is too little room: a fresh master where there can be one; a full cache is helped to heal; else what is
    /// used most has to do. Gives whether only that is compiled.
    fn make_room(&mut self, short: Short, look: &mut Look, done: &mut Done) -> Result<bool, WarmError> {
        if self.start_fresh(look, done)? {
            return Ok(false);
        }
        let pool = self.cache.pool();
        match short {
            Short::Memory { .. } | Short::Keys { .. } => {
                done.warnings.push(format!("the opcache of {pool} is too small for the release: {short}"));
                Ok(true)
            }
            Short::Full => {
                done.warnings.push(format!(
                    "the opcache of {pool} was full: releases that nobody needs were taken out of it"
                ));
                self.heal(look)?;
                Ok(false)
            }
            Short::Restarting => Ok(false),
        }
    }

    /// Goes on in a fresh master, where one can be had. Gives whether it does.
    fn start_fresh(&mut self, look: &mut Look, done: &mut Done) -> Result<bool, WarmError> {
        let deploy = self.subject.deploy;
        let Some(fresh) = deploy.fresh_pool.as_ref().filter(|_| deploy.fresh.get().is_none()) else {
            return Ok(false);
        };
        match (fresh.start)(self.subject.id) {
            Ok(pool) => {
                let pool = deploy.fresh.get_or_init(|| pool);
                self.cache = Cache::of(deploy.app(), &self.php.path_map, pool)?;
                self.started = true;
                *look = Look { scripts: std::mem::take(&mut look.scripts), ..self.cache.look(None, None)? };
                Ok(true)
            }
            Err(why) => {
                done.warnings.push(format!("no second PHP-FPM was started: {why}"));
                Ok(false)
            }
        }
    }

    /// A full cache is restarted by PHP as soon as enough of it is waste: then the releases that are neither live nor
    /// the way back have to go.
    fn heal(&self, look: &mut Look) -> Result<(), WarmError> {
        let deploy = self.subject.deploy;
        let releases = collect::releases(deploy.app());
        let stay = collect::needed(deploy.app(), self.subject.id);
        // Slots are rewritten, never gone.
        if self.subject.dir.parent() != Some(releases.as_path()) {
            return Ok(());
        }
        let named = look.shares.keys().filter(|name| !name.is_empty() && !stay.contains(name.as_str()));
        let dirs: Vec<PathBuf> = named.map(|name| releases.join(name)).collect();
        let (_, figures) = self.cache.collect(dirs.iter().map(PathBuf::as_path))?;
        look.figures = figures;
        Ok(())
    }

    /// Waits until the cache takes scripts again, or will not.
    fn after_restart(&self, restarts: u64, done: &mut Done) -> Result<Figures, WarmError> {
        let until = Instant::now() + RESTART;
        loop {
            let figures = self.cache.look(None, None)?.figures;
            if !figures.restarting || Instant::now() >= until {
                if figures.restarts != restarts {
                    done.warnings.push(format!("PHP restarted the opcache of {}", self.cache.pool()));
                }
                return Ok(figures);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Warns early.
    fn look_ahead(&self, ahead: Forecast, done: &mut Done) {
        if ahead.deploys < FEW && self.subject.deploy.fresh_pool.is_none() {
            done.warnings.push(format!("the opcache of {} has {ahead}", self.cache.pool()));
        }
    }
}

/// Files that opcache did not take, though they parse: it has its own rules.
fn uncached(left: &[(PathBuf, u64, String)]) -> Option<String> {
    if left.is_empty() {
        return None;
    }
    let named = left.iter().take(NAMED).map(|(file, line, why)| match (line, why.as_str()) {
        (_, "") => file.display().to_string(),
        (0, why) => format!("{} ({why})", file.display()),
        (line, why) => format!("{}:{line} ({why})", file.display()),
    });
    let named: Vec<String> = named.collect();
    let more = if left.len() > NAMED { ", …" } else { "" };
    Some(format!("opcache did not take {} of the files: {}{more}", left.len(), named.join(", ")))
}
