//! Staging: an app to stage into, and trees to stage.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use config::host::LinkMode;
use deploy::stage::{self, Rules, StageError, Staged};
use release::manifest::Sealed;
use release::{App, ReleaseId};

pub struct Yard {
    pub app: App,
    pub rules: Rules,
    root: PathBuf,
    _temp: Option<tempfile::TempDir>,
}

pub fn id(name: &str) -> ReleaseId {
    ReleaseId::parse(name).unwrap()
}

impl Yard {
    /// An app without releases, and an empty source beside it. Unchanged files are hard-linked.
    pub fn new() -> Yard {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("source")).unwrap();
        fs::create_dir_all(temp.path().join("shop/releases")).unwrap();
        let yard = Yard::at(temp.path());
        Yard { _temp: Some(temp), ..yard }
    }

    /// One that another process made, with the shared places of [`Yard::shared`].
    pub fn at(root: &Path) -> Yard {
        let app = App::new(&root.join("shop"), Path::new("current"), &[]).unwrap();
        let rules = Rules { link_mode: LinkMode::Hardlink, ..Rules::plain() };
        Yard { app, rules, root: root.to_owned(), _temp: None }
    }

    /// Shares a directory and a file, and lets one place be written to.
    pub fn shared(&mut self) {
        self.rules.shared_dirs = vec!["shared".into()];
        self.rules.shared_files = vec![".env".into()];
        self.rules.writable = vec!["cache".into()];
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn source(&self) -> PathBuf {
        self.root.join("source")
    }

    pub fn release(&self, name: &str) -> PathBuf {
        self.app.release(&id(name))
    }

    /// Writes a file of the source, an hour old.
    pub fn write(&self, path: &str, content: &str) -> PathBuf {
        let path = self.source().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        age(&path, 3600);
        path
    }

    pub fn try_stage(&self, name: &str) -> Result<Staged, StageError> {
        stage::stage(&self.app, &self.rules, &self.source(), &id(name), &mut |_| {})
    }

    pub fn stage(&self, name: &str) -> Staged {
        self.try_stage(name).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn seal(&self, name: &str) -> Sealed {
        stage::seal(&self.app, &id(name)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Stages and seals.
    pub fn make(&self, name: &str) -> Staged {
        let staged = self.stage(name);
        self.seal(name);
        staged
    }

    pub fn preview(&self) -> stage::Preview {
        stage::look(&self.app, &self.rules, &self.source()).unwrap()
    }
}

/// Sets a file's time so many seconds back.
pub fn age(path: &Path, seconds: u64) {
    let time = SystemTime::now() - Duration::from_secs(seconds);
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

/// What stands at a path, with all that a release promises to keep of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    File { content: Vec<u8>, mode: u32, mtime: i64 },
    Dir { mode: u32 },
    Link(Vec<u8>),
}

/// A whole tree, without its top.
pub fn tree(top: &Path) -> BTreeMap<Vec<u8>, Thing> {
    let mut found = BTreeMap::new();
    let mut todo = vec![top.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let stat = path.symlink_metadata().unwrap();
            let mode = stat.mode() & 0o7777;
            let thing = if stat.is_dir() {
                todo.push(path.clone());
                Thing::Dir { mode }
            } else if stat.is_symlink() {
                Thing::Link(fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec())
            } else {
                Thing::File { content: fs::read(&path).unwrap(), mode, mtime: stat.mtime() }
            };
            found.insert(path.strip_prefix(top).unwrap().as_os_str().as_bytes().to_vec(), thing);
        }
    }
    found
}

pub fn ino(path: impl AsRef<Path>) -> u64 {
    path.as_ref().symlink_metadata().unwrap().ino()
}
