//! Shop: an app with a release and a link to it, in a temporary directory.

use std::fs;
use std::path::{Path, PathBuf};

pub struct Shop {
    dir: tempfile::TempDir,
}

impl Shop {
    /// With the release `r1`, live.
    pub fn new() -> Shop {
        let shop = Shop { dir: tempfile::tempdir().unwrap() };
        shop.file("releases/r1/index.php", "<?php echo basename(__DIR__);");
        #[allow(clippy::disallowed_methods, reason = "no flip: there was no link before")]
        std::os::unix::fs::symlink("releases/r1", shop.root().join("current")).unwrap();
        shop
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
