//! Lead: who leads a deploy from elsewhere: gives it its tree, and says when a step may begin.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::frame::Kind;
use super::link::{Link, LinkError};
use super::list::{self, Entry, ListError};
use super::message::{Far, Near};
use super::mirror::{self, MirrorError, Received};
use crate::engine::Deploy;
use crate::event::Event;
use crate::receipt::Step;
use crate::source::{Fetched, Revision};

/// A deploy's other end, as the engine sees it.
#[derive(Debug)]
pub struct Lead<'l> {
    link: &'l Link,
    hold: Vec<Step>,
    stop: Arc<AtomicBool>,
}

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
pub enum LeadError {
    /// There is none there either.
    #[error("{0}")]
    NotBuilt(String),
    /// The connection is no more, or the other end stopped.
    #[error("{0}")]
    Link(#[from] LinkError),
    /// Its list makes no sense.
    #[error("{0}")]
    List(#[from] ListError),
    /// It is not here.
    #[error("{0}")]
    Mirror(#[from] MirrorError),
}

/// How often progress is told.
const OFTEN: Duration = Duration::from_millis(100);

impl<'l> Lead<'l> {
    /// The other end of a link; `hold` are steps that wait for its word.
    pub fn new(link: &'l Link, hold: Vec<Step>, stop: Arc<AtomicBool>) -> Lead<'l> {
        Lead { link, hold, stop }
    }

    /// Hears what the tree holds, and asks for nothing of it.
    pub fn list(&self) -> Result<(Revision, Vec<Entry>), LeadError> {
        let stopped = || self.stopped();
        self.link.sender().say(&Far::Ready)?;
        let revision = self.revision(&stopped)?;
        let mut list = zstd::Decoder::new(self.link.stream(Kind::Tree, &stopped)).map_err(ListError::Cut)?;
        let entries = list::read(&mut list)?;
        drain(&mut list).map_err(ListError::Cut)?;
        Ok((revision, entries))
    }

    /// Receives the tree; gives where it stands, and what came.
    pub fn tree(&self, deploy: &Deploy<'_>) -> Result<(Fetched, Received), LeadError> {
        let sender = self.link.sender();
        let stopped = || self.stopped();
        let (revision, entries) = self.list()?;
        let compared = mirror::compare(deploy.app(), &entries)?;
        let mut want = sender.stream(Kind::Want);
        for at in compared.want() {
            use std::io::Write;
            let at = u32::try_from(*at).unwrap_or(u32::MAX);
            want.write_all(&at.to_le_bytes()).map_err(MirrorError::Cut)?;
        }
        want.end()?;
        let mut told = Instant::now();
        let mut progress = |done, total| {
            if told.elapsed() >= OFTEN {
                told = Instant::now();
                deploy.tell(Event::Progress { step: Step::Build, done, total });
            }
        };
        let mut data =
            zstd::Decoder::new(self.link.stream(Kind::Data, &stopped)).map_err(MirrorError::Cut)?;
        let received = compared.fill(&mut data, &mut progress)?;
        drain(&mut data).map_err(MirrorError::Cut)?;
        Ok((Fetched { tree: received.tree.clone(), revision }, received))
    }

    fn revision(&self, stopped: &dyn Fn() -> bool) -> Result<Revision, LeadError> {
        match self.link.hear(stopped)? {
            Near::Built { revision } => Ok(revision),
            Near::NotBuilt { why } => Err(LeadError::NotBuilt(why)),
            Near::Hello { .. } | Near::Order(_) | Near::Go => {
                Err(LinkError::Nonsense("no tree, where one was due".into()).into())
            }
        }
    }

    /// Waits for the other end's word, where the step is one that waits. What ends the waiting also stops the step.
    pub fn wait(&self, step: Step) {
        if !self.hold.contains(&step) || self.link.sender().say(&Far::Holds { step }).is_err() {
            return;
        }
        match self.link.hear(&|| self.stopped()) {
            Ok(Near::Go) => {}
            Ok(Near::Hello { .. } | Near::Order(_) | Near::Built { .. } | Near::NotBuilt { .. }) | Err(_) => {
                self.stop.store(true, Ordering::SeqCst);
            }
        }
    }

    /// Why the deploy was stopped, where that was not said by the other end.
    pub fn why_stopped(&self) -> Option<String> {
        self.link.lost().map(|why| format!("the deploy was led from elsewhere, and {why}"))
    }

    /// Set when the deploy is to stop.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

/// Reads a stream to its end, where nothing more may come.
fn drain(stream: &mut impl std::io::Read) -> std::io::Result<()> {
    match std::io::copy(stream, &mut std::io::sink())? {
        0 => Ok(()),
        more => Err(std::io::Error::other(format!("{more} bytes too many"))),
    }
}
