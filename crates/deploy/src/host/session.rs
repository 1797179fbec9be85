//! Session: the near end of one order: gives it, builds and sends the tree, hears the events, and brings the answer.

use std::cell::Cell;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::frame::{Frame, Kind};
use super::link::{Link, LinkError, message};
use super::list::{self, Is};
use super::message::{Answered, Far, Near, Order};
use super::stream::Incoming;
use super::walk::{SendError, Walked};
use crate::event::Event;
use crate::receipt::Step;
use crate::source::Revision;

/// A tree that is ready to be sent.
#[derive(Debug)]
pub struct Tree {
    /// Where it stands.
    pub from: PathBuf,
    /// What it holds.
    pub walked: Walked,
    /// What it is made of.
    pub revision: Revision,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The connection is no more.
    #[error("{why}")]
    Lost {
        /// How it ended.
        why: String,
        /// The step that had begun last, as far as is known.
        step: Option<Step>,
    },
    /// The other end said what makes no sense.
    #[error("{0}")]
    Nonsense(String),
}

/// The near end of a deploy.
pub struct Session<'s> {
    link: &'s Link,
    interrupted: &'s AtomicBool,
    told_to_stop: Cell<bool>,
    step: Option<Step>,
    tree: Option<Tree>,
    /// Why the far end is to give up: what is wrong with the tree was found while it was sent.
    broken: Option<String>,
}

impl<'s> Session<'s> {
    /// Gives the order. `interrupted`, once it is set, has the far end stop.
    pub fn begin(
        link: &'s Link,
        order: Order,
        interrupted: &'s AtomicBool,
    ) -> Result<Session<'s>, SessionError> {
        let session = Session {
            link,
            interrupted,
            told_to_stop: Cell::new(false),
            step: None,
            tree: None,
            broken: None,
        };
        // Refused at once, the answer may be on its way although the order did not get through.
        match link.sender().say(&Near::Order(Box::new(order))) {
            Ok(()) | Err(LinkError::Lost(_)) => Ok(session),
            Err(error @ (LinkError::Nonsense(_) | LinkError::Stopped)) => {
                Err(SessionError::Nonsense(error.to_string()))
            }
        }
    }

    /// Sends a tree without waiting for the word that it may come.
    pub fn send(&mut self, tree: Tree) {
        let sender = self.link.sender();
        let sent = sender.say(&Near::Built { revision: tree.revision.clone() }).map_err(|_| ());
        let sent = sent.and_then(|()| {
            let mut stream = zstd::Encoder::new(sender.stream(Kind::Tree), LEVEL).map_err(drop)?;
            list::write(&tree.walked.entries, &mut stream).map_err(drop)?;
            stream.finish().map_err(drop)?.end().map_err(drop)
        });
        // What could not be sent is lost with the connection, of which the next frame tells.
        sent.unwrap_or(());
        self.tree = Some(tree);
    }

    /// Goes on until the answer. `build` gives the tree when the far end is ready for one that was not sent yet; `held`
    /// is asked before each step that the order holds, waits as long as it likes, and says whether it may begin.
    pub fn answer(
        mut self,
        build: &mut dyn FnMut() -> Result<Tree, String>,
        watch: &mut dyn FnMut(&Event),
        held: &mut dyn FnMut(Step) -> bool,
    ) -> Result<Answered, SessionError> {
        loop {
            let frame = self.next()?;
            match frame.kind {
                Kind::Say => {}
                Kind::Want => {
                    self.contents(frame)?;
                    continue;
                }
                Kind::Tree | Kind::Data | Kind::Ping | Kind::Stop => {
                    return Err(SessionError::Nonsense(format!("{:?} has no place here", frame.kind)));
                }
            }
            match message::<Far>(&frame).map_err(|error| SessionError::Nonsense(error.to_string()))? {
                Far::Event(event) => {
                    if let Event::Started { step } = &event {
                        self.step = Some(*step);
                    }
                    watch(&event);
                }
                Far::Ready if self.tree.is_some() => {}
                Far::Ready => match build() {
                    Ok(tree) => self.send(tree),
                    // It answers with how the deploy ended; if it is gone, the next frame tells.
                    Err(why) => self.link.sender().say(&Near::NotBuilt { why }).unwrap_or(()),
                },
                Far::Holds { step } => match held(step) {
                    true => self.link.sender().say(&Near::Go).unwrap_or(()),
                    false => self.stop(),
                },
                Far::Answered(answered) => return Ok(self.explained(answered)),
                Far::Hello { .. } => return Err(SessionError::Nonsense("a second hello".into())),
            }
        }
    }

    /// What is wrong here says more than that the far end was told to stop.
    fn explained(&self, answered: Answered) -> Answered {
        match (answered, &self.broken) {
            (Answered::Failure { exit, still, next, .. }, Some(why)) => {
                let error = format!("the deploy failed at build: {why}");
                Answered::Failure { exit, error, still, next }
            }
            (answered, _) => answered,
        }
    }

    /// Sends the contents that are wanted.
    fn contents(&mut self, first: Frame) -> Result<(), SessionError> {
        let stopped = || self.stopped();
        let mut stream = Incoming::beginning_with(self.link, first, &stopped);
        let mut want = Vec::new();
        stream.read_to_end(&mut want).map_err(|error| SessionError::Nonsense(error.to_string()))?;
        let Some(tree) = &self.tree else {
            return Err(SessionError::Nonsense("it wants contents of no tree".into()));
        };
        let entry = |at: &[u8]| {
            let at = usize::try_from(u32::from_le_bytes(at.try_into().ok()?)).ok()?;
            tree.walked.entries.get(at).filter(|entry| matches!(entry.is, Is::File { .. }))
        };
        let sent = (|| {
            let out = self.link.sender().stream(Kind::Data);
            let mut out = zstd::Encoder::new(out, LEVEL).map_err(SendError::Wire)?;
            for at in want.chunks(4) {
                let entry = entry(at)
                    .ok_or_else(|| SendError::Wire(std::io::Error::other("it wants what is not there")))?;
                tree.walked.send(&tree.from, entry, &mut out)?;
            }
            let end = out.finish().and_then(|mut out| out.flush().map(|()| out)).map_err(SendError::Wire)?;
            end.end().map_err(|error| SendError::Wire(std::io::Error::other(error)))
        })();
        match sent {
            // A lost connection is told by the next frame.
            Ok(()) => {}
            Err(SendError::Wire(_)) if self.link.lost().is_some() => {}
            Err(SendError::Wire(error)) => return Err(SessionError::Nonsense(error.to_string())),
            Err(SendError::Tree(error)) => {
                self.broken = Some(error.to_string());
                self.stop();
            }
        }
        Ok(())
    }

    fn next(&self) -> Result<Frame, SessionError> {
        self.link.next(&|| self.stopped()).map_err(|error| match error {
            LinkError::Lost(why) => SessionError::Lost { why, step: self.step },
            LinkError::Nonsense(why) => SessionError::Nonsense(why),
            LinkError::Stopped => SessionError::Nonsense("stopped".into()),
        })
    }

    /// Passes an interruption on, once; never ends the waiting: how it ended is what the far end answers.
    fn stopped(&self) -> bool {
        if self.interrupted.load(Ordering::SeqCst) && !self.told_to_stop.get() {
            self.stop();
        }
        false
    }

    fn stop(&self) {
        self.told_to_stop.set(true);
        self.link.sender().send(Frame { kind: Kind::Stop, bytes: Vec::new() }).unwrap_or(());
    }
}

/// zstd's: contents are mostly small texts, and the wire is mostly faster than what packs harder.
const LEVEL: i32 = 1;
