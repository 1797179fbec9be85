//! Working: the deploy lock taken, what a killed command left finished or undone, and then the work itself.

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime};

use deploy::engine::{Deploy, EngineError};
use deploy::event::Event;
use deploy::follower::Follower;
use deploy::freeze::{self, Freeze};
use deploy::journal::{Ending, JournalError};
use deploy::notify;
use deploy::receipt::Step;
use deploy::recover::{self, RecoverError};
use deploy::running::StillRuns;
use release::lock::{DeployLock, LockError};

use crate::answer::Failure;
use crate::args::Lock;
use crate::command::nginx::following;
use crate::command::running;
use crate::opened::Opened;
use crate::pools::{fresh_pool, masters, pools, workers};
use crate::when;
use crate::who::who;

/// The deploy lock, with nothing left in hand; or a refusal. `what` tells others who wait what is done.
pub fn take(opened: &Opened, lock: Lock, what: &str) -> Result<DeployLock, Failure> {
    take_watched(opened, lock, what, &mut |event| match event {
        Event::Recovers { release, how } => {
            let release = release.as_deref().unwrap_or("a release");
            eprintln_quietly(&format!("cutover: the deploy of {release}: {how}"));
        }
        Event::Warning { text, .. } => eprintln_quietly(&format!("cutover: {text}")),
        Event::Begins { .. }
        | Event::Started { .. }
        | Event::Named { .. }
        | Event::Progress { .. }
        | Event::Command { .. }
        | Event::Output { .. }
        | Event::Done { .. }
        | Event::Failed { .. }
        | Event::Ended { .. } => {}
    })
}

/// The same, with a watcher of what is finished or undone.
pub fn take_watched(
    opened: &Opened,
    lock: Lock,
    what: &str,
    watch: &mut dyn FnMut(&Event),
) -> Result<DeployLock, Failure> {
    let note = format!("{}, {what}, since {}", who(), when::stamp(SystemTime::now()));
    let until = Instant::now() + lock.wait();
    while let Some(foreign) = freeze::foreign(&opened.app) {
        if Instant::now() >= until {
            let next = format!("wait for it, or, if nobody is at work: rm {}", foreign.path.display());
            return Err(Failure::refused(&foreign).still(opened.still()).next(next));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let left = until.saturating_duration_since(Instant::now());
    let lock = DeployLock::take_as(&opened.app, left, &note).map_err(|error| {
        let failure = match error {
            LockError::Held { .. } => {
                Failure::refused(&error).next("try again, or wait for it with --wait 30s")
            }
            LockError::Unusable { .. } | LockError::Unwritten(_) => Failure::failed(&error),
        };
        failure.still(opened.still())
    })?;
    let who = who();
    let deploy = deploying(opened, &lock, &who, watch);
    let recovered = recover::recover(&deploy).map_err(|error| unrecovered(opened, &error))?;
    // A flip by another tool, or one that was killed before it told.
    if let Some(Err(text)) = deploy.follower.as_ref().map(|follower| follower.follow()) {
        deploy.tell(Event::Warning { step: Step::Flip, text });
    }
    drop(deploy);
    if let Some(outcome) = recovered.filter(|outcome| outcome.ending == Ending::Undone) {
        running::discard(opened, outcome.release.as_ref().map(|id| id.as_str()));
    }
    Ok(lock)
}

/// All that the steps of a deploy work with.
pub fn deploying<'a>(
    opened: &'a Opened,
    lock: &'a DeployLock,
    who: &'a str,
    watch: &'a mut dyn FnMut(&Event),
) -> Deploy<'a> {
    let masters = masters(opened);
    Deploy {
        lock,
        config: &opened.config,
        who,
        pools: pools(opened, &masters),
        workers: workers(opened, &masters),
        fresh_pool: fresh_pool(opened, &masters),
        close_idle: Some(Box::new(|| running::close_idle(opened))),
        follower: following(opened).map(|nginx| Box::new(nginx) as Box<dyn Follower>),
        fresh: OnceCell::new(),
        stop: Arc::new(AtomicBool::new(false)),
        watch: RefCell::new(watch),
        secrets: notify::secrets(&opened.config),
        lead: None,
    }
}

/// Refuses while the app is frozen.
pub fn not_frozen(opened: &Opened) -> Result<(), Failure> {
    match freeze::frozen(&opened.app) {
        Ok(None) => Ok(()),
        Ok(Some(frozen)) => Err(Failure::refused(told(&frozen))
            .still(opened.still())
            .next("`cutover unlock` ends it; `cutover rollback` works all the same")),
        Err(error) => Err(Failure::failed(error).still(opened.still())),
    }
}

/// A Freeze, in a sentence.
pub fn told(frozen: &Freeze) -> String {
    let Freeze { reason, who, at_ms } = frozen;
    let since = SystemTime::UNIX_EPOCH + Duration::from_millis(*at_ms);
    format!("nobody may deploy: {reason} ({who}, {})", when::ago(since))
}

/// The engine could not go on.
pub fn stuck(opened: &Opened, error: &EngineError) -> Failure {
    let failure = Failure::failed(error).still(opened.still());
    match error {
        EngineError::Journal(JournalError::Damaged { path, .. }) => {
            let path = path.display();
            failure.next(format!("look at it; then `mv {path} {path}.damaged` and try again"))
        }
        EngineError::Illegal(_) => {
            let path = opened.app.journal();
            let path = path.display();
            failure.next(format!("look at it; then `mv {path} {path}.damaged` and try again"))
        }
        EngineError::Journal(
            JournalError::Unreadable { .. } | JournalError::Unwritten(_) | JournalError::Unwritable(_),
        ) => failure.next("the next command finishes or undoes what was begun"),
    }
}

fn unrecovered(opened: &Opened, error: &RecoverError) -> Failure {
    match error {
        RecoverError::Engine(error) => stuck(opened, error),
        RecoverError::StillRuns(StillRuns { group, .. }) => Failure::refused(error)
            .still(opened.still())
            .next(format!("wait for it to end; or, as who may: kill -9 -- -{group}")),
        RecoverError::History(error) => Failure::failed(error).still(opened.still()),
    }
}

/// To stderr; nobody may be there to read it.
fn eprintln_quietly(text: &str) {
    use std::io::Write;
    writeln!(std::io::stderr(), "{text}").unwrap_or(());
}
