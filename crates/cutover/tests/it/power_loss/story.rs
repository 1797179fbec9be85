//! Story: an app, the commands that were run on it under strace, and their replay with or without some of their calls.

use super::disk::Disk;
use super::judge::{self, Wanted};
use super::replay::Replay;
use super::trace::{self, Call};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};

/// What was recorded.
pub struct Story {
    dir: tempfile::TempDir,
    /// Before the first command.
    initial: Replay,
    commands: Vec<Vec<Call>>,
    /// What can be read below each release, by whatever way.
    content: Vec<(&'static str, &'static str)>,
    /// Whether releases stood there before, which nobody sealed.
    found: bool,
}

/// What was replayed.
pub struct Played {
    pub disk: Disk,
    /// Until which moment what is wanted.
    chapters: Vec<(usize, Wanted)>,
}

/// Four deploys, of which the last one prunes, and a rollback; files that did not change are copied.
pub static COPIED: LazyLock<Story> = LazyLock::new(|| deploys("link_mode = 'copy'", ""));
/// The same; releases share files with the store.
pub static LINKED: LazyLock<Story> = LazyLock::new(|| deploys("link_mode = 'hardlink'", ""));
/// The same in two slots, and then a rollback to a release that lost its slot.
pub static TURNS: LazyLock<Story> = LazyLock::new(|| {
    let mut story = deploys("layout = 'slots'", "[serve]\n");
    let app = release::App::new(&story.root(), Path::new("current"), &[]).unwrap();
    let stored = release::slot::stored(&app).unwrap();
    let id = stored.first().expect("one lost its slot").id().to_string();
    story.cutover(&["rollback", &id, "--force"]);
    story
});

/// A tree of Deployer's is adopted, rolled back in, flipped in, and handed back.
pub static ADOPTED: LazyLock<Story> = LazyLock::new(|| {
    let mut story = Story::begin(|root| {
        let script = r#"
mkdir -p .dep releases shared/storage; echo kept > shared/storage/file
for n in 1 2 3; do
  echo $n > .dep/latest_release
  echo '{"created_at":"2026-11-22T15:26:4'$n'+0000","release_name":"'$n'","user":"alice","target":"main"}' >> .dep/releases_log
  mkdir -p releases/$n/public; echo $n > releases/$n/public/index.php
  ln -s ../../shared/storage releases/$n/storage
  ln -s releases/$n release
  [ $n = 3 ] || mv -T release current
done
touch -h -d '1 hour ago' release"#;
        let done = Command::new("bash").args(["-euc", script]).current_dir(root).status().unwrap();
        assert!(done.success());
    });
    (story.content, story.found) = (vec![("storage/file", "kept\n")], true);
    for args in [&["adopt", "--good", "1"][..], &["rollback"], &["flip", "2"], &["adopt", "--undo"]] {
        story.cutover(args);
    }
    story
});

fn deploys(keys: &str, tables: &str) -> Story {
    let config = format!(
        "[app]\nshared_dirs = ['data']\nkeep = 1\nkeep_for = '0s'\n{keys}\n\n{tables}\
         [source]\ndir = '../source'\n\n[hooks]\nafter_stage = ['echo warm > cache.php']\n"
    );
    let mut story = Story::begin(|root| std::fs::write(root.join("cutover.toml"), &config).unwrap());
    story.content = vec![("data/seed", "sown"), ("cache.php", "warm\n")];
    for text in ["one", "two", "three", "four"] {
        story.edit("index.html", text);
        story.cutover(&["deploy"]);
    }
    story.cutover(&["rollback"]);
    story
}

impl Story {
    /// With what stands in the app's directory, and a source beside it.
    fn begin(stands: impl Fn(&Path)) -> Story {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("app");
        for below in ["app", "source/lib/deep", "source/data"] {
            std::fs::create_dir_all(dir.path().join(below)).unwrap();
        }
        stands(&root);
        let initial = Replay::of(&root);
        let story = Story { dir, initial, commands: Vec::new(), content: Vec::new(), found: false };
        for (file, text) in [
            ("lib/same.php", "<?php // the same in all releases"),
            ("lib/deep/x.php", "<?php // deep"),
            ("data/seed", "sown"),
            ("empty", ""),
        ] {
            story.edit(file, text);
        }
        story
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("app")
    }

    /// Writes a file of the source.
    fn edit(&self, file: &str, text: &str) {
        std::fs::write(self.dir.path().join("source").join(file), text).unwrap();
    }

    /// Runs a command and records it.
    fn cutover(&mut self, args: &[&str]) {
        let root = self.root();
        let args = [&["-C", root.to_str().unwrap()], args].concat();
        let calls = trace::record(Path::new(env!("CARGO_BIN_EXE_cutover")), &args, self.dir.path());
        self.commands.push(calls);
    }

    /// Replays it, without the calls that are not wanted. While a command runs what was live or what will be may be
    /// live; when it is over, only that.
    pub fn replay(&self, mut wanted: impl FnMut(&Call) -> bool) -> Played {
        let mut replay = self.initial.clone();
        let (mut chapters, mut live) = (Vec::new(), judge::live(&replay.disk.now).unwrap());
        let found = self.found.then(|| Arc::new(replay.disk.now.clone()));
        let wanted_of = |live| Wanted { live, content: self.content.clone(), found: found.clone() };
        for calls in &self.commands {
            let calls: Vec<&Call> = calls.iter().filter(|call| wanted(call)).collect();
            let end = replay.command(&calls);
            let before = std::mem::replace(&mut live, judge::live(&replay.disk.now).unwrap());
            chapters.push((end, wanted_of(vec![before, live.clone()])));
            chapters.push((end + 1, wanted_of(vec![live.clone()])));
        }
        Played { disk: replay.disk, chapters }
    }
}

impl Played {
    /// What must be true of what a power cut at this moment leaves.
    pub fn wanted(&self, moment: usize) -> &Wanted {
        let chapter = self.chapters.iter().find(|(end, _)| moment < *end);
        &chapter.or(self.chapters.last()).expect("a story has a command").1
    }
}
