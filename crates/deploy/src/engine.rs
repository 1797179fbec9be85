//! Engine: the loop that runs the steps; a deploy, a rollback and a recovery alike.

use std::cell::{OnceCell, RefCell};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use config::Config;
use config::host::Moment;
use fastcgi::Address;
use release::lock::DeployLock;
use release::{App, ReleaseId, live};

use crate::drain;
use crate::event::Event;
use crate::follower::Follower;
use crate::hook::{self, HookError, Shell};
use crate::host::lead::Lead;
use crate::journal::{Ending, Journal, JournalError, now_ms};
use crate::notify;
use crate::phase::{self, Illegal, Next};
use crate::receipt::Step;
use crate::record;
use crate::room;
use crate::running;
use crate::step::{self, StepError};
use crate::used::Workers;

/// Everything that the steps of one deploy work with. The lock is held all the while.
pub struct Deploy<'a> {
    /// The deploy lock.
    pub lock: &'a DeployLock,
    /// The host's configuration.
    pub config: &'a Config,
    /// Who asked, such as `alice@web1`.
    pub who: &'a str,
    /// The PHP pools; none: no PHP, or its embedded pool does not run.
    pub pools: Vec<Address>,
    /// Where pools tell what their workers do.
    pub workers: Vec<Workers>,
    /// How a second master of the embedded pool is started; `None`: no such pool runs, or it cannot be told to.
    pub fresh_pool: Option<FreshPool<'a>>,
    /// The pool that was started for the release of this deploy, if one was.
    pub fresh: OnceCell<Address>,
    /// Has the server close its idle connections to the pools, which look like workers at work; `None`: there is none.
    pub close_idle: Option<Box<dyn Fn() + 'a>>,
    /// The web server that has to be told of flips; `None`: all look at the link themselves.
    pub follower: Option<Box<dyn Follower + 'a>>,
    /// Set when the deploy is to stop: before the flip it then fails, after it it goes on.
    pub stop: Arc<AtomicBool>,
    /// Told of each event.
    pub watch: RefCell<&'a mut dyn FnMut(&Event)>,
    /// Texts that are shown as `***`.
    pub secrets: Vec<String>,
    /// Who leads it from elsewhere; `None`: it is led from here.
    pub lead: Option<&'a Lead<'a>>,
}

/// Starts a master for a release.
pub type Start<'a> = Box<dyn Fn(&ReleaseId) -> Result<Address, String> + 'a>;

/// How a second master of the embedded pool is started, with an empty opcache.
pub struct FreshPool<'a> {
    /// Each release wants one of its own: it preloads code.
    pub always: bool,
    /// Starts one for this release, and gives its address once it answers. An error says what is
    /// wrong; the old master then goes on alone.
    pub start: Start<'a>,
}

/// How a deploy went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// What it was about, where it got so far.
    pub release: Option<ReleaseId>,
    /// What was live before its flip.
    pub left: Option<ReleaseId>,
    /// Which step failed, and why.
    pub failure: Option<(Step, String)>,
    /// It failed because something is in use or cannot be told: another time it may be possible.
    pub refused: bool,
    /// What went wrong without making it fail.
    pub problems: Vec<String>,
    /// How long each step took, in milliseconds.
    pub took_ms: Vec<(Step, u64)>,
    /// How long the flip itself took, in microseconds.
    pub flip_us: Option<u64>,
}

/// Why a deploy could not be run at all, or not to its end. The journal says how far it got.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal cannot be relied on or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal makes no sense.
    #[error(transparent)]
    Illegal(#[from] Illegal),
}

/// Runs a deploy from where its journal stands to its end.
pub fn run(deploy: &Deploy<'_>, mut journal: Journal) -> Result<Outcome, EngineError> {
    let mut refused = false;
    let ending = loop {
        let step = match phase::next(journal.plan(), journal.entries())? {
            Next::End(ending) => break ending,
            Next::Run(step) => step,
        };
        if let Some(lead) = deploy.lead {
            lead.wait(step);
        }
        journal.started(step)?;
        deploy.tell(Event::Started { step });
        let began_ms = now_ms();
        match step::run(step, deploy, &journal) {
            Ok(receipt) => {
                let told = step::told(&receipt);
                for text in receipt.problems() {
                    deploy.tell(Event::Warning { step, text: text.clone() });
                }
                journal.done(receipt)?;
                deploy.tell(Event::Done { step, took_ms: now_ms().saturating_sub(began_ms), told });
            }
            Err(error) => {
                refused |= error.is_refusal();
                let lost = deploy.lead.filter(|_| matches!(error, StepError::Stopped));
                let why = lost.and_then(|lead| lead.why_stopped()).unwrap_or_else(|| error.to_string());
                let why = deploy.masked(&why);
                deploy.tell(Event::Failed { step, why: why.clone() });
                room::or_make(deploy, &mut journal, |journal| journal.failed(step, why.clone()))?;
            }
        }
    };
    let outcome = finish(deploy, journal, ending)?;
    Ok(Outcome { refused, ..outcome })
}

/// Runs what follows a failure, writes down how it went, and closes the journal.
fn finish(deploy: &Deploy<'_>, mut journal: Journal, ending: Ending) -> Result<Outcome, JournalError> {
    let mut problems: Vec<String> =
        journal.receipts().flat_map(|receipt| receipt.problems().iter().cloned()).collect();
    let failed = match ending {
        Ending::Live | Ending::Unchanged => false,
        Ending::Undone | Ending::FlippedBack | Ending::Unhealthy => true,
    };
    if failed {
        let dir = deploy.app().root().to_owned();
        // Where no step did: the release is ill, say, and there is nothing to flip back to.
        if !problems.iter().any(|problem| problem.starts_with("undrain: ")) {
            problems.extend(drain::back(deploy, &journal, Step::Undo, &dir));
        }
        if let Err(error) = deploy.hooks(&journal, Moment::OnFailure, Step::Undo, &dir) {
            problems.push(format!("on_failure: {error}"));
        }
    }
    problems.extend(notify::ended(deploy, &journal, ending));
    if !journal.plan().is_rollback()
        && let Err(error) = record::write(deploy.app(), &journal, Some(ending))
    {
        problems.push(error.to_string());
    }
    journal.end(ending)?;
    let first = journal.entries().first().map_or(0, |entry| entry.at_ms);
    let live = deploy.live().map(|id| id.to_string());
    deploy.tell(Event::Ended { ending, live, took_ms: now_ms().saturating_sub(first) });
    Ok(Outcome {
        ending,
        release: journal.release().cloned(),
        left: journal.left().cloned(),
        refused: false,
        failure: journal.failure().map(|(step, why)| (step, why.to_owned())),
        problems,
        took_ms: journal.took_ms(),
        flip_us: journal.receipts().find_map(|receipt| {
            let crate::receipt::Receipt::Flipped { took_us, .. } = receipt else { return None };
            Some(*took_us)
        }),
    })
}

impl Deploy<'_> {
    /// The app.
    pub fn app(&self) -> &App {
        self.lock.app()
    }

    /// What is live now; `None` also while the link is broken.
    pub fn live(&self) -> Option<ReleaseId> {
        live::read(self.app()).ok().map(|live| live.id)
    }

    /// The pools that the release in hand is asked of.
    pub fn asked(&self) -> &[Address] {
        self.fresh.get().map_or(&self.pools, std::slice::from_ref)
    }

    /// Tells whoever watches.
    pub fn tell(&self, event: Event) {
        // A watcher that makes an event of its own would be a slip of ours; it hears one thing at a time.
        if let Ok(mut watch) = self.watch.try_borrow_mut() {
            watch(&event);
        }
    }

    /// The text without what is secret.
    pub fn masked(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            text = text.replace(secret.as_str(), "***");
        }
        text
    }

    /// Runs the hooks of a moment, one after the other, until one fails.
    pub fn hooks(&self, journal: &Journal, moment: Moment, step: Step, dir: &Path) -> Result<(), HookError> {
        let commands = self.config.host.hooks.at(moment);
        if commands.is_empty() {
            return Ok(());
        }
        let env = self.environment(journal, moment.key());
        for command in commands {
            let user = command.user.as_deref().or(self.config.host.app.user.as_deref());
            let dir = command.dir.as_ref().map_or_else(|| dir.to_owned(), |below| dir.join(below));
            let shell = Shell { run: &command.run, dir: &dir, user, timeout: command.timeout, env: &env };
            self.shell(journal, &shell, step, moment.key())?;
        }
        Ok(())
    }

    /// Runs one command, with its output told and kept.
    pub fn shell(
        &self,
        journal: &Journal,
        shell: &Shell<'_>,
        step: Step,
        log: &str,
    ) -> Result<(), HookError> {
        self.tell(Event::Command { step, command: self.masked(shell.run) });
        let mut log = step::log(self, journal, log);
        // What has to be done after the flip is not left half done because somebody pressed Ctrl-C.
        let never = AtomicBool::new(false);
        let stop = if step::stoppable(step) { &*self.stop } else { &never };
        // What cannot be noted runs all the same: the disk may be full, and this may be the way back.
        let noted = |first| running::note(self.app(), first, self.masked(shell.run)).unwrap_or(());
        let done = hook::run(shell, stop, noted, &mut log, |line| {
            self.tell(Event::Output { step, line: self.masked(line) });
        });
        running::forget(self.app());
        done
    }

    /// What hooks and build commands find in their environment.
    pub fn environment(&self, journal: &Journal, phase: &str) -> Vec<(&'static str, OsString)> {
        let app = self.app();
        let revision = journal.revision();
        let release = journal.release();
        let previous = journal.left().or(journal.plan().previous.as_ref());
        let text = |text: Option<String>| OsString::from(text.unwrap_or_default());
        let id = |id: Option<&ReleaseId>| OsString::from(id.map(ToString::to_string).unwrap_or_default());
        let mut env = vec![
            ("CUTOVER_APP", OsString::from(&self.config.host.app.name)),
            ("CUTOVER_ROOT", app.root().into()),
            ("CUTOVER_CURRENT", app.link().into()),
            ("CUTOVER_SHARED", app.shared().into()),
            ("CUTOVER_CACHE", app.cache().into()),
            ("CUTOVER_RELEASE", id(release)),
            ("CUTOVER_RELEASE_DIR", release.map(|id| place_of(app, id).into()).unwrap_or_default()),
            ("CUTOVER_PREVIOUS", id(previous)),
            ("CUTOVER_REVISION", text(revision.commit)),
            ("CUTOVER_BRANCH", text(revision.branch)),
            ("CUTOVER_DIRTY", if revision.dirty { "1" } else { "" }.into()),
            ("CUTOVER_USER", journal.plan().who.clone().into()),
            ("CUTOVER_PHASE", phase.into()),
        ];
        if let Some((step, why)) = journal.failure() {
            env.push(("CUTOVER_ERROR", format!("{step}: {why}").into()));
        }
        env
    }
}

/// Where a release stands or is to stand: its slot, where it has one.
fn place_of(app: &App, id: &ReleaseId) -> PathBuf {
    release::slot::of(app, id).map_or_else(|| app.release(id), |slot| app.slot(&slot))
}
