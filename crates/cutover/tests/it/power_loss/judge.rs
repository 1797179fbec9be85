//! Judge: whether the tree that a power cut left keeps the promise.

use super::tree::{Ino, Node, Tree};
use release::manifest::{Kind, Manifest};
use release::{App, ReleaseId, history};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// What must be true of a tree.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// One of these is live; `None`: there may be no link.
    pub live: Vec<Option<String>>,
    /// Below the live release these can be read, shared places included.
    pub content: Vec<(&'static str, &'static str)>,
    /// A release without a seal is as it was found here; `None`: there may be none.
    pub found: Option<Arc<Tree>>,
}

/// Judges trees; what it knows already it does not look at again.
pub struct Judge {
    scratch: tempfile::TempDir,
    books: HashMap<[Option<Vec<u8>>; 2], Result<(), String>>,
}

impl Judge {
    pub fn new() -> Judge {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::create_dir(scratch.path().join(".cutover")).unwrap();
        Judge { scratch, books: HashMap::new() }
    }

    /// What is wrong with it; nothing.
    pub fn look(&mut self, tree: &Tree, wanted: &Wanted) -> Result<(), String> {
        let live = live(tree)?;
        if !wanted.live.contains(&live) {
            return Err(format!("live is {live:?}, and should be one of {:?}", wanted.live));
        }
        if let Some(id) = &live {
            whole(tree, id, wanted.found.as_deref())?;
            for (path, content) in &wanted.content {
                let read = tree.read(format!("current/{path}").as_bytes());
                if read != Some(content.as_bytes()) {
                    return Err(format!("current/{path} holds {:?}", read.map(String::from_utf8_lossy)));
                }
            }
        }
        self.books(tree)
    }

    /// History and journal load, by the code that loads them in earnest.
    fn books(&mut self, tree: &Tree) -> Result<(), String> {
        let files = ["history", "journal.jsonl"].map(|name| format!(".cutover/{name}"));
        let key = files.each_ref().map(|path| tree.read(path.as_bytes()).map(<[u8]>::to_vec));
        if let Some(known) = self.books.get(&key) {
            return known.clone();
        }
        for (path, bytes) in files.iter().zip(&key) {
            let path = self.scratch.path().join(path);
            match bytes {
                Some(bytes) => std::fs::write(&path, bytes).unwrap(),
                None => std::fs::remove_file(&path).unwrap_or(()),
            }
        }
        let app = App::new(self.scratch.path(), Path::new("current"), &[]).unwrap();
        let loaded = history::read(&app)
            .map_err(|error| error.to_string())
            .and_then(|_| deploy::journal::look(&app).map_err(|error| error.to_string()))
            .map(drop);
        self.books.insert(key, loaded.clone());
        loaded
    }
}

/// The release that the link names.
pub fn live(tree: &Tree) -> Result<Option<String>, String> {
    let Some(ino) = tree.find(b"current", false) else { return Ok(None) };
    let Node::Link { text } = &tree.nodes[ino] else { return Err("current is no link".into()) };
    let text = String::from_utf8_lossy(text);
    match text.strip_prefix("releases/") {
        Some(id) => Ok(Some(id.into())),
        None => Err(format!("current leads to {text}")),
    }
}

/// Whether a release is what its seal says, to the last byte.
fn whole(tree: &Tree, id: &str, found: Option<&Tree>) -> Result<(), String> {
    let seal = match (tree.read(format!(".cutover/manifests/{id}").as_bytes()), found) {
        (Some(seal), _) => seal,
        (None, Some(found)) if files(tree, id) == files(found, id) => return Ok(()),
        (None, Some(_)) => return Err(format!("{id} is not what was found")),
        (None, None) => return Err(format!("{id} has no seal")),
    };
    let manifest = Manifest::parse(seal).map_err(|error| format!("the seal of {id}: {error}"))?;
    if *manifest.id() != ReleaseId::parse(id).unwrap() {
        return Err(format!("the seal of {id} is that of {}", manifest.id()));
    }
    let top = tree.find(format!("releases/{id}").as_bytes(), true).ok_or(format!("{id} is not there"))?;
    let found: HashMap<Vec<u8>, Ino> = tree.below(top).into_iter().collect();
    for (path, entry) in manifest.entries() {
        let said = String::from_utf8_lossy(path);
        let ino = found.get(path).ok_or_else(|| format!("{id} lacks {said}"))?;
        let same = match (&entry.kind, &tree.nodes[*ino]) {
            (Kind::Dir, Node::Dir { mode, .. }) => *mode == entry.mode,
            (Kind::Link { target }, Node::Link { text }) => **target == **text,
            (Kind::File { hash, size, mtime_ns }, Node::File { data, mode, mtime_ns: time }) => {
                data.len() as u64 == *size
                    && blake3::hash(data).as_bytes() == hash
                    && *mode == entry.mode
                    && time.is_none_or(|time| time == *mtime_ns)
            }
            _ => false,
        };
        if !same {
            return Err(format!("{said} in {id} is not what was sealed: {:?}", tree.nodes[*ino]));
        }
    }
    match found.len() == manifest.len() {
        true => Ok(()),
        false => Err(format!("{id} has {} entries, {} were sealed", found.len(), manifest.len())),
    }
}

/// The bytes of files and links, by path.
type Files<'t> = Vec<(Vec<u8>, Option<&'t [u8]>)>;

/// What is in a release.
fn files<'t>(tree: &'t Tree, id: &str) -> Option<Files<'t>> {
    let top = tree.find(format!("releases/{id}").as_bytes(), false)?;
    let bytes = |ino: Ino| match &tree.nodes[ino] {
        Node::File { data, .. } => Some(data.as_slice()),
        Node::Link { text } => Some(text.as_slice()),
        Node::Dir { .. } => None,
    };
    Some(tree.below(top).into_iter().map(|(path, ino)| (path, bytes(ino))).collect())
}
