//! App: the directory that holds a link and its releases, as it stands on disk.

use std::path::{Path, PathBuf};

use super::links::Way;
use crate::machine::Machine;

/// An app as it stands on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Its root.
    pub root: PathBuf,
    /// The link, and how it leads.
    pub current: Way,
}

impl App {
    /// Looks at an app.
    pub fn look(machine: &dyn Machine, root: &Path) -> App {
        App { root: root.to_owned(), current: Way::follow(machine, &root.join("current")) }
    }
}
