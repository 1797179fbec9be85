//! Trees as other tools leave them, made by the commands that those tools run.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    /// A directory in which this shell script has run, with `$D` for its path.
    pub fn made_by(script: &str) -> Tree {
        let tree = Tree { dir: tempfile::tempdir().unwrap() };
        tree.sh(script);
        tree
    }

    pub fn sh(&self, script: &str) {
        let output = Command::new("bash")
            .args(["-euc", script])
            .current_dir(self.root())
            .env("D", self.root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
    }

    /// Everything in it, the root too: type, mode, owner, time of change, and content or text.
    pub fn everything(&self) -> BTreeMap<PathBuf, String> {
        let mut all = BTreeMap::new();
        take(self.root(), Path::new(""), &mut all);
        all
    }
}

fn take(root: &Path, path: &Path, all: &mut BTreeMap<PathBuf, String>) {
    let at = root.join(path);
    let meta = at.symlink_metadata().unwrap();
    let content = if meta.is_symlink() {
        format!("{:?}", std::fs::read_link(&at).unwrap())
    } else if meta.is_file() {
        format!("{:?}", std::fs::read(&at).unwrap())
    } else {
        for entry in std::fs::read_dir(&at).unwrap() {
            take(root, &path.join(entry.unwrap().file_name()), all);
        }
        String::new()
    };
    let (mode, owner) = (meta.mode(), (meta.uid(), meta.gid()));
    let told = format!("{mode:o} {owner:?} {}.{:09} {content}", meta.mtime(), meta.mtime_nsec());
    all.insert(path.to_owned(), told);
}

/// Capistrano 3.17: three deploys that ended (`1`, `2`, `4`), one that failed (`3`), `storage` and `.env` shared.
pub const CAPISTRANO: &str = r#"
mkdir -p releases shared/storage/logs shared/config repo
echo secret > shared/.env
printf '[core]\n\tbare = true\n[remote "origin"]\n\turl = git@example.com:shop.git\n' > repo/config
deploy() {
  R=$D/releases/2026112210150$1
  mkdir -p $R/public; echo "$1" > $R/public/index.php; echo "$2" > $R/REVISION
  ln -s $D/shared/storage $R/storage; ln -s $D/shared/.env $R/.env
  [ $1 = 3 ] && return
  ln -s $R $D/releases/current; mv $D/releases/current $D
  echo "Branch main (at $2) deployed as release 2026112210150$1 by deploy" >> revisions.log
}
deploy 1 aaaa; deploy 2 bbbb; deploy 3 cccc; deploy 4 dddd
"#;

/// Deployer 7: two deploys that ended, one that was killed, relative links.
pub const DEPLOYER: &str = r#"
mkdir -p .dep releases shared/storage
deploy() {
  echo $1 > .dep/latest_release
  echo '{"created_at":"2026-11-22T15:26:4'$1'+0000","release_name":"'$1'","user":"alice","target":"main"}' >> .dep/releases_log
  mkdir -p releases/$1/public; echo $1 > releases/$1/public/index.php
  ln -s releases/$1 release
  ln -s ../../shared/storage releases/$1/storage
  [ $1 = 3 ] && return
  mv -T release current
}
deploy 1; deploy 2; deploy 3
"#;
