//! Hooks: a project's own commands around the steps of a deploy.

use std::path::PathBuf;
use std::time::Duration;

use crate::complaint::ConfigError;
use crate::read::{self, At, Beneath, Section};

/// `[hooks]`: shell commands by the moment at which they run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    commands: Vec<(Moment, Vec<HookCommand>)>,
}

/// When hooks run. `After…` runs only if the step succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// Before the source is fetched.
    BeforeBuild,
    /// In the built tree.
    AfterBuild,
    /// In the built tree, before it is staged.
    BeforeStage,
    /// In the staged release's final path, before it is sealed.
    AfterStage,
    /// When the release is sealed.
    BeforeWarm,
    /// When it is warm and healthy.
    AfterWarm,
    /// The last moment at which a failure leaves the old release live.
    BeforeFlip,
    /// Right before the flip: takes the host out of its load balancer; a failure leaves the old release live.
    Drain,
    /// When it is live and verified, and the host is back; a failure is reported, not flipped back.
    AfterFlip,
    /// When it is live, before it is asked for its health.
    BeforeVerify,
    /// When it answered; a failure flips back.
    AfterVerify,
    /// Puts the host back, whatever came of the flip; before `AfterFlip`. Only if `Drain` was begun.
    Undrain,
    /// Before old releases go.
    BeforePrune,
    /// When they are gone.
    AfterPrune,
    /// When a deploy failed, whatever is live now.
    OnFailure,
    /// When the site was flipped back, by itself or by `cutover rollback`.
    OnRollback,
}

/// One command of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCommand {
    /// `run`: what `sh -c` gets.
    pub run: String,
    /// `user` it runs as; `None`: `app.user`, or who runs the deploy.
    pub user: Option<String>,
    /// `dir`, relative to the directory in which hooks of this moment run; `None`: that one.
    pub dir: Option<PathBuf>,
    /// `timeout`: then it and what it started is killed; 10 minutes unless said otherwise.
    pub timeout: Duration,
}

impl Moment {
    /// All, in the order of a deploy.
    pub const ALL: [Moment; 16] = [
        Moment::BeforeBuild,
        Moment::AfterBuild,
        Moment::BeforeStage,
        Moment::AfterStage,
        Moment::BeforeWarm,
        Moment::AfterWarm,
        Moment::BeforeFlip,
        Moment::Drain,
        Moment::BeforeVerify,
        Moment::AfterVerify,
        Moment::Undrain,
        Moment::AfterFlip,
        Moment::BeforePrune,
        Moment::AfterPrune,
        Moment::OnFailure,
        Moment::OnRollback,
    ];

    /// Its key.
    pub const fn key(self) -> &'static str {
        match self {
            Moment::BeforeBuild => "before_build",
            Moment::AfterBuild => "after_build",
            Moment::BeforeStage => "before_stage",
            Moment::AfterStage => "after_stage",
            Moment::BeforeWarm => "before_warm",
            Moment::AfterWarm => "after_warm",
            Moment::BeforeFlip => "before_flip",
            Moment::Drain => "drain",
            Moment::Undrain => "undrain",
            Moment::AfterFlip => "after_flip",
            Moment::BeforeVerify => "before_verify",
            Moment::AfterVerify => "after_verify",
            Moment::BeforePrune => "before_prune",
            Moment::AfterPrune => "after_prune",
            Moment::OnFailure => "on_failure",
            Moment::OnRollback => "on_rollback",
        }
    }
}

impl Hooks {
    /// What runs at this moment.
    pub fn at(&self, moment: Moment) -> &[HookCommand] {
        let found = self.commands.iter().find(|(at, _)| *at == moment);
        found.map_or(&[], |(_, commands)| commands)
    }

    /// Whether nothing runs at any moment.
    pub fn is_empty(&self) -> bool {
        self.commands.iter().all(|(_, commands)| commands.is_empty())
    }

    pub(crate) fn read(section: &Section<'_>) -> Result<Hooks, ConfigError> {
        let timeout =
            section.get::<read::Duration>("timeout")?.map_or(Duration::from_secs(600), |span| span.0);
        let mut commands = Vec::new();
        for moment in Moment::ALL {
            let Some(items) = section.at(moment.key()).map(|at| at.items(SHAPE)).transpose()? else {
                continue;
            };
            let read = items.iter().map(|item| HookCommand::read(item, timeout)).collect::<Result<_, _>>()?;
            commands.push((moment, read));
        }
        Ok(Hooks { commands })
    }
}

const SHAPE: &str = "a command in quotes, or { run = \"…\", user = \"…\", dir = \"…\", timeout = \"…\" }";

impl HookCommand {
    fn read(at: &At<'_>, timeout: Duration) -> Result<HookCommand, ConfigError> {
        if !at.value().is_table() {
            let run = at.read_as(SHAPE, command)?;
            return Ok(HookCommand { run, user: None, dir: None, timeout });
        }
        let (mut run, mut user, mut dir, mut span) = (None, None, None, timeout);
        for (name, value) in at.named()? {
            match name.as_str() {
                "run" => run = Some(value.read_as("a command in quotes", command)?),
                "user" => user = Some(value.read::<String>()?),
                "dir" => dir = Some(value.read::<Beneath>()?.0),
                "timeout" => span = value.read::<read::Duration>()?.0,
                _ => {
                    let what = format!("unknown key `{}` of a hook", name.escape_debug());
                    return Err(value.complain(what, "a hook knows run, user, dir, timeout"));
                }
            }
        }
        let Some(run) = run else {
            return Err(at.complain("a hook needs `run`", format!("write {SHAPE}")));
        };
        Ok(HookCommand { run, user, dir, timeout: span })
    }
}

fn command(text: &str) -> Result<String, String> {
    match () {
        () if text.trim().is_empty() => Err("it is empty".into()),
        () if text.contains('\0') => Err("it has a NUL byte in it".into()),
        () => Ok(text.to_owned()),
    }
}
