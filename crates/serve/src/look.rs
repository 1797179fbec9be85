//! The look (stand-in until the inotify look lands): reads the link on every request.
use release::live::LiveError;
use release::{Pinned, Pinner};
use std::sync::{Arc, RwLock};

/// The look of this process.
#[derive(Default)]
pub struct Look;
/// A watched link.
pub struct Watched<T> {
    pinner: Pinner<T>,
    broken: RwLock<Option<LiveError>>,
}
impl Look {
    /// A look.
    pub fn new() -> Self {
        Self
    }
    /// How changes are noticed.
    pub fn mode(&self) -> &'static str {
        "readlink"
    }
    /// Watches.
    pub fn watch<T>(&self, pinner: Pinner<T>) -> Watched<T> {
        drop(pinner.look());
        Watched { pinner, broken: RwLock::new(None) }
    }
}
impl<T> Watched<T> {
    /// The pin.
    pub fn pin(&self) -> Result<Arc<Pinned<T>>, LiveError> {
        match self.pinner.look() {
            Ok(pin) => {
                if self.broken().is_some()
                    && let Ok(mut b) = self.broken.write()
                {
                    *b = None;
                }
                Ok(pin)
            }
            Err(why) => {
                if let Ok(mut b) = self.broken.write() {
                    *b = Some(why.clone());
                }
                self.pinner.last_good().ok_or(why)
            }
        }
    }
    /// Why not.
    pub fn broken(&self) -> Option<LiveError> {
        self.broken.read().ok().and_then(|b| b.clone())
    }
    /// Last good.
    pub fn last_good(&self) -> Option<Arc<Pinned<T>>> {
        self.pinner.last_good()
    }
}
