//! Shop: an app in a temporary directory.

use release::atomic;
use release::flip::Target;
use release::{App, ReleaseId, manifest};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub struct Shop {
    pub app: App,
    temp: TempDir,
}

pub fn id(name: &str) -> ReleaseId {
    ReleaseId::parse(name).unwrap()
}

impl Shop {
    /// An app with these releases, sealed, and nothing live.
    pub fn with(releases: &[&str]) -> Shop {
        let temp = tempfile::tempdir().unwrap();
        // The canonical path: /tmp may be a link.
        let root = fs::canonicalize(temp.path()).unwrap().join("shop");
        fs::create_dir_all(root.join("releases")).unwrap();
        let app = App::new(&root, Path::new("current"), &[]).unwrap();
        let shop = Shop { app, temp };
        for name in releases {
            shop.build(name);
            manifest::seal(&shop.app, &id(name)).unwrap();
        }
        shop
    }

    pub fn root(&self) -> &Path {
        self.app.root()
    }

    /// A place beside the app.
    pub fn outside(&self) -> PathBuf {
        fs::canonicalize(self.temp.path()).unwrap()
    }

    /// Builds a release without sealing it.
    pub fn build(&self, name: &str) {
        build(&self.app.release(&id(name)), name);
    }

    /// Makes the link as another tool would.
    pub fn link_to(&self, text: impl AsRef<Path>) {
        foreign_flip(self.app.link(), text.as_ref());
    }

    pub fn text(&self) -> PathBuf {
        fs::read_link(self.app.link()).unwrap()
    }

    /// The proof of a seal.
    pub fn sealed(&self, name: &str) -> Target {
        Target::Sealed(manifest::sealed(&self.app, &id(name)).unwrap())
    }

    pub fn flip(&self, name: &str) {
        release::flip(&self.app, self.sealed(name)).unwrap();
    }
}

/// A small tree whose every file says which release it is of.
pub fn build(dir: &Path, says: &str) {
    fs::create_dir_all(dir.join("public")).unwrap();
    fs::write(dir.join("public/index.html"), says).unwrap();
    fs::write(dir.join("VERSION"), says).unwrap();
}

/// What `ln -s` and `mv -T` do.
pub fn foreign_flip(link: &Path, text: &Path) {
    let temp = link.with_file_name(format!("foreign-{}", std::process::id()));
    symlink(text, &temp).unwrap();
    fs::rename(&temp, link).unwrap();
}

/// Names in a directory that are Cutover's temporary ones.
pub fn leftovers(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".cutover-tmp-")).collect()
}

#[test]
fn effects_are_free_of_charge_without_the_variable() {
    let took = || {
        let start = std::time::Instant::now();
        (0..100_000).for_each(|_| atomic::effect());
        start.elapsed()
    };
    // The machine may be busy with something else meanwhile, but not each time.
    assert!((0..20).any(|_| took().as_secs() < 1));
}
