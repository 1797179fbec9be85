//! Shop: an app with releases whose every file names the release it stands in.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub struct Shop {
    dir: TempDir,
}

/// Prints what a script sees, a line each.
const CGI: &str = "#!/bin/sh\necho 'Content-Type: text/plain'\necho\necho \"release=@ID@\"\n\
    for name in DOCUMENT_ROOT CONTEXT_DOCUMENT_ROOT SCRIPT_FILENAME PATH_TRANSLATED CUTOVER_RELEASE CUTOVER_RELEASE_ROOT; do\n\
    eval \"echo \\\"$name=\\$$name\\\"\"\ndone\n";

const PHP: &str = "<?php echo \"release=@ID@\\n\"; foreach (['DOCUMENT_ROOT', 'CONTEXT_DOCUMENT_ROOT', 'SCRIPT_FILENAME',\
    'CUTOVER_RELEASE', 'CUTOVER_RELEASE_ROOT'] as $name) echo \"$name=\", $_SERVER[$name] ?? '', \"\\n\"; echo 'dir=', __DIR__, \"\\n\";\n";

impl Shop {
    /// An app with r1 and r2, of which r1 is live.
    pub fn new() -> Shop {
        let dir = tempfile::Builder::new().prefix("mod-cutover-").tempdir().unwrap();
        // Apache gives up root's rights where we have them.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let shop = Shop { dir };
        for id in ["r1", "r2"] {
            shop.release(id);
        }
        shop.flip("r1");
        shop
    }

    /// The app's directory.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("app")
    }

    /// Where a test may keep other things.
    pub fn beside(&self) -> &Path {
        self.dir.path()
    }

    pub fn link(&self) -> PathBuf {
        self.root().join("current")
    }

    pub fn dir_of(&self, id: &str) -> PathBuf {
        self.root().join("releases").join(id)
    }

    /// Makes a release.
    pub fn release(&self, id: &str) {
        self.fill(&self.dir_of(id), id);
    }

    /// Fills a directory with what a release has.
    pub fn fill(&self, dir: &Path, id: &str) {
        for (path, text) in [
            ("public/index.html", "index @ID@"),
            ("public/page.txt", "page @ID@"),
            ("public/missing.html", "missing @ID@"),
            (
                "public/parts.shtml",
                "<!--#include virtual=\"/page.txt\" -->+<!--#include file=\"page.txt\" -->+@ID@",
            ),
            ("public/private/secret.txt", "secret @ID@"),
            ("public/open/page.txt", "open @ID@"),
            ("public/show.php", PHP),
            ("public/show.cgi", CGI),
            ("public/doc.en.html", "english @ID@"),
            ("public/only-@ID@.txt", "only @ID@"),
            ("media/picture.txt", "picture @ID@"),
            ("bin/show.cgi", CGI),
        ] {
            self.write(&dir.join(path.replace("@ID@", id)), &text.replace("@ID@", id));
        }
    }

    /// Writes a file; a script is one that may be run.
    pub fn write(&self, path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        if path.extension().is_some_and(|end| end == "cgi") {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    /// Flips as `ln -s` and `mv -T` do.
    pub fn flip(&self, id: &str) {
        self.lead_to(&Path::new("releases").join(id));
    }

    /// Makes the link lead anywhere.
    pub fn lead_to(&self, to: &Path) {
        let next = self.root().join(".next");
        symlink(to, &next).unwrap();
        fs::rename(next, self.link()).unwrap();
    }
}
