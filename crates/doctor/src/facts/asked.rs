//! Asked: what a server's own test says of its configuration.

use std::path::Path;

use crate::finding::Blind;
use crate::machine::{Machine, Program};
use crate::source::Span;

/// What a server's own test says of its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It would start; or there is no test for such a configuration.
    Accepted,
    /// It would not: what it says, and where.
    Refused(String, Option<Span>),
    /// It could not be asked.
    Blind(Blind),
}

/// How it is told that a pipe, a device or a file beyond all measure was met ([`crate::machine::Why`]).
const ENDLESS: [&str; 2] = ["is a special file", "too large to be read"];

/// Signs that the test failed for want of rights, which the server itself may well have.
const RIGHTS: [&str; 6] = [
    "ermission denied",
    "does not exist or is empty",
    "annot access",
    "nable to open",
    "not found",
    "no such file",
];

impl Asked {
    /// Asks. The configuration has to belong to root or to this user: a test may load modules that it names. Where a
    /// pipe or a device was met in it, a server may read for ever; and of a file without end, all that memory holds.
    pub fn ask(machine: &dyn Machine, program: &Program, config: &Path, met: &[Blind]) -> Asked {
        if let Some(met) = met.iter().find(|blind| ENDLESS.contains(&blind.why.as_str())) {
            let why = format!("it would read {} ({})", met.what, met.why);
            return Asked::Blind(Blind { what: format!("the test of {}", config.display()), why, at: None });
        }
        if !ours(machine, config) {
            let why = "belongs to another user, and its test would load what it names".to_owned();
            return Asked::Blind(Blind { what: config.display().to_string(), why, at: None });
        }
        let ran = match machine.run(program) {
            Ok(ran) => ran,
            Err(no) => return Asked::Blind(no.into()),
        };
        if ran.status == Some(0) {
            return Asked::Accepted;
        }
        // Warnings come first, and are none of the reason.
        let warns = |line: &&str| {
            let level = ["\"level\":\"warn\"", "\"level\":\"info\"", "Could not reliably determine"];
            !level.iter().any(|sign| line.contains(sign))
        };
        let lines = ran.stderr.lines().chain(ran.stdout.lines()).filter(warns);
        let said = lines.collect::<Vec<_>>().join(" ");
        if RIGHTS.iter().any(|sign| said.contains(sign)) {
            let what = format!("the test of {}", config.display());
            return Asked::Blind(Blind { what, why: said, at: None });
        }
        Asked::Refused(said, None)
    }
}

/// Whether a file belongs to root or to this user.
fn ours(machine: &dyn Machine, path: &Path) -> bool {
    let own = machine.link(Path::new("/proc/self"));
    let own = own.and_then(|own| machine.stat(&Path::new("/proc").join(own)));
    let uids = [Some(0), own.ok().map(|stat| stat.uid)];
    machine.stat(path).is_ok_and(|stat| uids.contains(&Some(stat.uid)))
}
