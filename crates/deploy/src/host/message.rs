//! Message: what the two ends say to each other, as JSON in frames.
//!
//! ```text
//!   near                                  far
//!                                   <──   hello
//!   hello, order                    ──>
//!                                   <──   event …, ready       the lock is held, nothing is left in hand
//!   built, tree stream              ──>
//!                                   <──   want stream
//!   data stream                     ──>
//!                                   <──   event …, holds       only before the steps that the order names
//!   go                              ──>
//!                                   <──   event …, answered
//! ```
//! An order to run a command is answered without what stands in between. Anything that cannot be read ends the
//! conversation: there are no messages to pass over.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::receipt::Step;
use crate::source::Revision;

/// Which protocol this is. Both ends speak the same, or not at all.
pub const PROTOCOL: u32 = 1;

/// What the near end says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Near {
    /// First of all.
    Hello {
        /// The protocol it speaks.
        protocol: u32,
        /// Who asks, such as `alice@laptop`.
        who: String,
    },
    /// What is to be done.
    Order(Box<Order>),
    /// The tree is there; its list follows.
    Built {
        /// Where it comes from.
        revision: Revision,
    },
    /// There will be no tree.
    NotBuilt {
        /// Why.
        why: String,
    },
    /// The step that the far end holds before may begin.
    Go,
}

/// What is to be done at the far end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The app's configuration.
    pub about: About,
    /// The command and its flags, as on a command line.
    pub words: Vec<String>,
    /// Steps that do not begin before [`Near::Go`]: how many hosts are kept in step.
    pub hold: Vec<Step>,
    /// The addresses of the configuration's webhooks, in their order, where the near end could tell them.
    pub webhooks: Vec<Option<String>>,
}

/// Which app a command is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// The one that this cutover.toml describes.
    Config {
        /// The text of the file.
        text: String,
    },
    /// The one in a directory at the far end.
    Dir {
        /// The directory.
        path: String,
    },
}

/// What the far end says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Far {
    /// First of all.
    Hello {
        /// The protocol it speaks.
        protocol: u32,
        /// BLAKE3 of its program, in hex.
        program: String,
        /// What it calls itself: `cutover 0.1.0`.
        version: String,
    },
    /// Something happened.
    Event(Event),
    /// The lock is held and the deploy begun: the tree may come.
    Ready,
    /// It waits before a step.
    Holds {
        /// Which.
        step: Step,
    },
    /// The command is done.
    Answered(Answered),
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Answered {
    /// It did what it should.
    Answer {
        /// For people.
        text: String,
        /// For programs.
        json: serde_json::Value,
        /// What it says is bad all the same.
        bad: bool,
    },
    /// It failed.
    Failure {
        /// The exit code.
        exit: u8,
        /// What happened.
        error: String,
        /// What is still true.
        still: Option<String>,
        /// What to do next.
        next: Option<String>,
    },
}
