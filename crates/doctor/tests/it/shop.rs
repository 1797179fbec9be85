//! Shop: an app with a release and a link to it, in a temporary directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub struct Shop {
    dir: tempfile::TempDir,
}

impl Shop {
    /// With the release `r1`, live.
    pub fn new() -> Shop {
        let shop = Shop { dir: tempfile::tempdir().unwrap() };
        shop.file("releases/r1/index.php", "<?php echo basename(__DIR__);");
        shop.link("current", "releases/r1");
        shop
    }

    /// Makes a link where there is none.
    pub fn link(&self, path: &str, to: &str) {
        #[allow(clippy::disallowed_methods, reason = "no flip: there was no link before")]
        std::os::unix::fs::symlink(to, self.root().join(path)).unwrap();
    }

    /// Makes its files older than opcache asks for, all by the same.
    pub fn age(&self) {
        let then = SystemTime::now() - Duration::from_secs(100);
        let mut dirs = vec![self.root()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    dirs.push(entry.path());
                } else if kind.is_file() {
                    fs::File::open(entry.path()).unwrap().set_modified(then).unwrap();
                }
            }
        }
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// Writes a file below its root.
    pub fn file(&self, path: &str, text: &str) {
        let path = self.root().join(Path::new(path));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}
