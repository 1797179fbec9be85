//! Shop: an app in a temporary directory, whose every file says which release it is of.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use release::{App, ReleaseId};
use tempfile::TempDir;

pub struct Shop {
    pub app: App,
    temp: TempDir,
}

pub fn id(name: &str) -> ReleaseId {
    ReleaseId::parse(name).unwrap()
}

impl Shop {
    /// An app with the releases r1 and r2, the first of which is live.
    pub fn new() -> Shop {
        let temp = tempfile::tempdir().unwrap();
        // Workers may be another user's.
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let root = temp.path().canonicalize().unwrap().join("shop");
        let app = App::new(&root, Path::new("current"), &[]).unwrap();
        let shop = Shop { app, temp };
        for name in ["r1", "r2"] {
            shop.build(name);
        }
        shop.flip("r1");
        shop
    }

    /// A release with `lib/version.php`, which gives its name, and `public/index.php`, which shows all there is to see.
    pub fn build(&self, name: &str) {
        let dir = self.app.release(&id(name));
        fs::create_dir_all(dir.join("lib/deep")).unwrap();
        fs::create_dir_all(dir.join("public")).unwrap();
        for file in ["lib/version.php", "lib/deep/version2.php", "public/version3.php"] {
            fs::write(dir.join(file), format!("<?php return '{name}';")).unwrap();
        }
        self.script(name, "index.php", SHOW);
    }

    /// Writes a script into a release's docroot.
    pub fn script(&self, release: &str, name: &str, code: &str) -> PathBuf {
        let path = self.app.release(&id(release)).join("public").join(name);
        fs::write(&path, format!("<?php {code}")).unwrap();
        path
    }

    /// Writes a script outside of the releases, where only the extension pins.
    pub fn script_beside(&self, name: &str, code: &str) -> PathBuf {
        let path = self.beside(name);
        fs::write(&path, format!("<?php {code}")).unwrap();
        path
    }

    /// What `public/index.php` shows in a request that is pinned to this release.
    pub fn shown(&self, release: &str) -> String {
        let dir = self.release(release).display().to_string();
        format!("{release}|{dir}|{release}:k|.:{dir}/lib|{release}")
    }

    /// Makes a release live, by one rename.
    pub fn flip(&self, name: &str) {
        self.link(Path::new("releases").join(name));
    }

    /// Makes the link as anybody would.
    pub fn link(&self, text: impl AsRef<Path>) {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let temp = self.root().join(format!("next-{}", COUNT.fetch_add(1, Relaxed)));
        symlink(text, &temp).unwrap();
        fs::rename(temp, self.app.link()).unwrap();
    }

    pub fn unlink(&self) {
        fs::remove_file(self.app.link()).unwrap();
    }

    pub fn root(&self) -> &Path {
        self.app.root()
    }

    /// A place beside the app.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.temp.path().canonicalize().unwrap().join(name)
    }

    pub fn release(&self, name: &str) -> PathBuf {
        self.app.release(&id(name))
    }

    /// Whether anybody holds a lease on a release: what prune asks.
    pub fn leased(&self, name: &str) -> bool {
        let dir = fs::File::open(self.release(name)).unwrap();
        match dir.try_lock() {
            Ok(()) => false,
            Err(fs::TryLockError::WouldBlock) => true,
            Err(fs::TryLockError::Error(why)) => panic!("{why}"),
        }
    }

    /// An include_path through the link.
    pub fn include_path(&self) -> String {
        format!(".:{}/lib", self.app.link().display())
    }
}

/// Waits until something is so.
pub fn until(what: &str, so: impl FnMut() -> bool) {
    until_within(30, what, so);
}

/// Waits so many seconds at most until something is so.
pub fn until_within(seconds: u64, what: &str, mut so: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !so() {
        assert!(began.elapsed().as_secs() < seconds, "not within {seconds} s: {what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

const SHOW: &str = r#"
echo cutover_release() ?? 'none', '|', cutover_root() ?? 'none', '|', cutover_key('k'), '|', get_include_path(), '|';
echo (@include 'version.php') ?: 'nothing';
"#;
