//! exec: runs a command on one release: looked up once, held for as long as the command uses it.
//!
//! ```text
//!   ground (the release, held; the directory; the environment) ─┬─> exec(2): this process becomes the command
//!                                                               └─> follow: worker ──flip──> asked to finish ──> the next worker
//! ```
//! The hold is a lock on a descriptor that the command inherits, so it needs nobody to keep it.

pub mod flags;
mod follow;
mod ground;
mod group;
mod notice;
mod pause;
mod worker;

use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::Path;

use crate::answer::{Answer, Exit, Failure};
use crate::opened::Opened;
use flags::ExecFlags;
use ground::Ground;

/// Runs the command. Comes back only if it could not be begun.
pub fn run(opened: Result<Opened, Failure>, flags: &ExecFlags) -> Result<Answer, Failure> {
    let not_begun = |failure| Failure { exit: Exit::NotBegun, ..failure };
    let opened = opened.map_err(not_begun)?;
    if flags.follow {
        let code = follow::run(&opened, flags)?;
        // What the worker left with is the answer, whatever number that is.
        std::process::exit(code);
    }
    let mut ground = Ground::take(&opened, flags).map_err(not_begun)?;
    let handed = ground.hand_on().map_err(not_begun)?;
    let why = ground.command(&flags.command).exec();
    drop(handed);
    Err(unstarted(flags, &ground, &why))
}

/// Why the kernel did not run the command.
fn unstarted(flags: &ExecFlags, ground: &Ground, why: &std::io::Error) -> Failure {
    let program = Path::new(flags.program());
    let (name, dir) = (program.display(), ground.dir().display());
    let has_a_way = program.components().count() > 1 || program.is_absolute();
    let failure = |exit, error: String| Failure { exit, ..Failure::failed(error) };
    let missing = why.kind() == ErrorKind::NotFound;
    let failure = if missing && has_a_way && ground.dir().join(program).exists() {
        failure(Exit::NotExecutable, format!("{name} names in its first line a program that is not there"))
    } else if missing && has_a_way {
        failure(Exit::NotFound, format!("{name} is not there, looked for in {dir}"))
    } else if missing {
        failure(Exit::NotFound, format!("{name} is not to be found by PATH"))
            .next(format!("if it is a file of the release: ./{name}"))
    } else if why.kind() == ErrorKind::PermissionDenied {
        failure(Exit::NotExecutable, format!("{name} must not be executed (looked for in {dir}): {why}"))
    } else {
        failure(Exit::NotExecutable, format!("{name} cannot be run in {dir}: {why}"))
    };
    failure.still(format!("{} is as it was", ground.id()))
}
