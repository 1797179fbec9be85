//! Event: what a deploy tells whoever watches it; one JSON object each in `--json`.

use serde::{Deserialize, Serialize};

use crate::journal::Ending;
use crate::receipt::Step;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// A deploy, or a rollback, begins.
    Begins {
        /// The app.
        app: String,
        /// What is live.
        live: Option<String>,
        /// Whether it goes back.
        rollback: bool,
        /// Who asked.
        who: String,
    },
    /// What a killed command left is finished or undone first.
    Recovers {
        /// What it was about.
        release: Option<String>,
        /// What is done about it.
        how: String,
    },
    /// A step begins.
    Started {
        /// Which.
        step: Step,
    },
    /// It is known what the release will be called.
    Named {
        /// The release.
        release: String,
        /// The commit it is made of, if that is known.
        commit: Option<String>,
        /// The tree has changes that are not committed.
        dirty: bool,
    },
    /// A step gets on.
    Progress {
        /// Which.
        step: Step,
        /// So many are done.
        done: u64,
        /// Of so many; 0: not known.
        total: u64,
    },
    /// A command begins.
    Command {
        /// In which step.
        step: Step,
        /// The command.
        command: String,
    },
    /// A command printed a line.
    Output {
        /// In which step.
        step: Step,
        /// The line, without its end.
        line: String,
    },
    /// Something is not as it should be, and does no harm.
    Warning {
        /// In which step.
        step: Step,
        /// What.
        text: String,
    },
    /// A step was done.
    Done {
        /// Which.
        step: Step,
        /// How long it took.
        took_ms: u64,
        /// What it did, for people.
        told: String,
    },
    /// A step failed.
    Failed {
        /// Which.
        step: Step,
        /// Why.
        why: String,
    },
    /// It is over.
    Ended {
        /// How.
        ending: Ending,
        /// What is live now.
        live: Option<String>,
        /// From the first line of the journal to the last.
        took_ms: u64,
    },
}
