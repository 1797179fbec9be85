//! The trees of other tools, with the real Capistrano before and after.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shop::Shop;

/// A project in git, a Capfile for it, and the app's directory, all in one temporary directory.
struct Project {
    dir: tempfile::TempDir,
}

impl Project {
    fn new() -> Project {
        let project = Project { dir: tempfile::tempdir().unwrap() };
        project.sh(r#"mkdir -p src/public config/deploy
cat > Capfile <<'END'
require "capistrano/setup"
require "capistrano/deploy"
require "capistrano/scm/git"
install_plugin Capistrano::SCM::Git
END
cat > config/deploy.rb <<END
set :application, "shop"
set :repo_url, "file://$D/src"
set :branch, "main"
set :deploy_to, "$D/app"
set :linked_dirs, %w[storage]
set :sshkit_backend, SSHKit::Backend::Local
set :format, :simpletext
set :log_level, :warn
set :tmp_dir, "$D"
END
echo 'server "localhost", roles: %w[app]' > config/deploy/production.rb
git -C src init -q -b main"#);
        project
    }

    fn sh(&self, script: &str) {
        let mut command = Command::new("bash");
        command.args(["-euc", script]).current_dir(self.dir.path()).env("D", self.dir.path());
        command.env("USER", "deploy").envs([("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@b.example")]);
        command.envs([("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@b.example")]);
        let output = command.output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&told));
    }

    /// Runs the real `cap`.
    fn cap(&self, task: &str) {
        let there = Path::new("/usr/bin/cap").exists() && Path::new("/usr/bin/git").exists();
        assert!(there, "cap or git is missing: apt-get install capistrano git (scripts/setup does)");
        // Its releases are named by the second.
        std::thread::sleep(std::time::Duration::from_millis(1_010));
        self.sh(&format!("cap production {task}"));
    }

    /// Changes the project and lets Capistrano deploy it; gives the release.
    fn deploy(&self, text: &str) -> String {
        self.sh(&format!("cd src; echo {text} > public/index.html; git add .; git commit -qm {text}"));
        self.cap("deploy");
        self.live()
    }

    fn live(&self) -> String {
        let to = std::fs::read_link(self.app().join("current")).unwrap();
        assert!(to.is_absolute(), "Capistrano compares it with an absolute path: {}", to.display());
        to.file_name().unwrap().to_str().unwrap().to_owned()
    }

    fn app(&self) -> PathBuf {
        self.dir.path().join("app")
    }

    fn cutover(&self, args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        let output = command.arg("-C").arg(self.app()).args(args).env("SUDO_USER", "alice").output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8(told).unwrap();
        assert!(output.status.success(), "{args:?}: {told}");
        told
    }
}

#[test]
fn capistrano_and_cutover_take_turns_on_one_tree() {
    let project = Project::new();
    let first = project.deploy("one");
    let second = project.deploy("two");
    let told = project.cutover(&["adopt"]);
    assert!(told.contains("a tree of Capistrano: revisions.log\n"), "{told}");
    assert!(told.contains(&format!("{first}  good: revisions.log says that it was live\n")), "{told}");
    assert!(told.contains(&format!("{second}  live: the link names it\nshared: storage\n")), "{told}");
    assert!(told.contains("adopted: 2 releases sealed"), "{told}");

    // Capistrano's own deploy; Cutover follows, and rolls back from it.
    let third = project.deploy("three");
    let status = project.cutover(&["status"]);
    assert!(status.contains(&third), "{status}");
    project.cutover(&["rollback"]);
    assert_eq!(project.live(), second);
    let log = std::fs::read_to_string(project.app().join("revisions.log")).unwrap();
    assert!(log.ends_with(&format!("alice rolled back to release {second}\n")), "{log}");

    // Capistrano's own rollback; Cutover follows, and Capistrano can go on after being handed the tree.
    project.cutover(&["flip", &third, "--force"]);
    project.cap("deploy:rollback");
    assert_eq!(project.live(), second);
    let status = project.cutover(&["status"]);
    assert!(status.contains(&second), "{status}");

    // A deploy of ours bears a name as Capistrano gives them, and is in its log.
    project.sh("cd src; echo mine > public/index.html; git commit -qam mine");
    project.cutover(&["deploy"]);
    let mine = project.live();
    assert!(mine.len() == 14 && mine > third, "{mine}");
    let log = std::fs::read_to_string(project.app().join("revisions.log")).unwrap();
    let last = log.lines().last().unwrap();
    assert!(last.starts_with("Branch main (at "), "{log}");
    assert!(last.ends_with(&format!(") deployed as release {mine} by alice")), "{log}");

    project.cutover(&["adopt", "--undo"]);
    let fourth = project.deploy("four");
    assert_eq!(project.live(), fourth);
    assert!(!project.app().join(".cutover").exists() && !project.app().join("cutover.toml").exists());
}

#[test]
fn the_leftover_of_a_killed_flip_no_longer_makes_an_old_release_live() {
    let project = Project::new();
    project.deploy("one");
    let second = project.deploy("two");
    // Killed between `ln -s` and `mv`.
    project.sh(&format!("ln -s $D/app/releases/{second} $D/app/releases/current; touch -h -d '1 hour ago' $D/app/releases/current"));
    let told = project.cutover(&["adopt"]);
    assert!(told.contains("removed releases/current: a flip of Capistrano was killed"), "{told}");
    let third = project.deploy("three");
    assert_ne!(third, second);
    let page = std::fs::read_to_string(project.app().join("current/public/index.html")).unwrap();
    assert_eq!(page, "three\n");
}

/// A tree of Capistrano with litter, made by hand, so that it is made quickly.
fn shop() -> Shop {
    let shop = Shop::with_releases(&["20261122101501", "20261122101502", "20261122101503"]);
    std::fs::create_dir(shop.path("shared")).unwrap();
    let script = r#"
for n in 1 2 3; do ln -s $D/shared releases/2026112210150$n/storage; done
for n in 1 2; do echo "Branch main (at abc) deployed as release 2026112210150$n by bob"; done > revisions.log
ln -s $D/releases/20261122101502 current
ln -s $D/releases/20261122101503 releases/current
ln -s $D/releases/20261122101503 releases/20261122101502/20261122101503
touch -h -d '1 hour ago' releases/current"#;
    let made =
        Command::new("bash").args(["-euc", script]).current_dir(shop.root()).env("D", shop.root()).status();
    assert!(made.unwrap().success());
    shop
}

/// Everything in it but the root itself: mode, time of change, text or content.
fn everything(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let content = match meta.is_dir() {
                true => {
                    open.push(path.clone());
                    String::new()
                }
                false if meta.is_symlink() => format!("{:?}", std::fs::read_link(&path).unwrap()),
                false => std::fs::read_to_string(&path).unwrap(),
            };
            let told = format!("{:o} {}.{} {content}", meta.mode(), meta.mtime(), meta.mtime_nsec());
            all.insert(path, told);
        }
    }
    all
}

#[test]
fn killed_at_any_effect_adopting_and_handing_back_are_finished_by_the_next_command() {
    let mut n = 1;
    loop {
        let shop = shop();
        let before = everything(shop.root());
        let live = shop.live();
        let killed = shop.killed_at(n, &["adopt"]);
        assert_eq!(shop.live(), live);
        if killed {
            // Killed after the last thing that counts, it is adopted already.
            let again = shop.run(&["adopt"]);
            assert!(
                again.code == 0 || again.err.contains("cutover.toml is there already"),
                "{n}: {}",
                again.err
            );
        }
        let releases = shop.ok(&["releases"]);
        assert!(releases.contains("20261122101501"), "{n}: {releases}");
        assert!(shop.ok(&["rollback", "--keep-good"]).contains("20261122101501"));
        shop.ok(&["flip", "20261122101502"]);
        let log = std::fs::read_to_string(shop.path("revisions.log")).unwrap();
        assert_eq!(log.lines().count(), 4, "{n}: {log}");
        shop.ok(&["adopt", "--undo"]);
        let mut after = everything(shop.root());
        let mut expected = before;
        for path in ["revisions.log", "current"] {
            after.remove(&shop.path(path)).unwrap();
            expected.remove(&shop.path(path)).unwrap();
        }
        assert_eq!(after, expected, "{n}");
        if !killed {
            break;
        }
        n += 1;
    }
    assert!(n > 20, "{n}");
    for n in 1.. {
        let shop = shop();
        let before = everything(shop.root());
        shop.ok(&["adopt"]);
        let killed = shop.killed_at(n, &["adopt", "--undo"]);
        if killed {
            let again = shop.run(&["adopt", "--undo"]);
            assert!(again.code == 0 || again.err.contains("was not adopted"), "{n}: {}", again.err);
        }
        assert_eq!(everything(shop.root()), before, "{n}");
        if !killed {
            break;
        }
    }
}

#[test]
fn what_would_be_done_is_said_without_doing_it() {
    let shop = shop();
    let before = everything(shop.root());
    let told = shop.ok(&["adopt", "--dry-run", "--name", "shop"]);
    for part in [
        "a tree of Capistrano: revisions.log\n  20261122101503  unknown: revisions.log does not know it: its deploy did not end\n",
        "  20261122101501  good: revisions.log says that it was live\n  20261122101502  live: the link names it\n",
        "would:\n  seal 20261122101501\n  seal 20261122101502\n  remove releases/current: a flip of Capistrano was killed",
        "\n/srv/shop/cutover.toml would be:\n\n# Written by `cutover adopt` for a tree of Capistrano.\n",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert_eq!(everything(shop.root()), before);
    let (code, facts) = shop.json(&["adopt"]);
    assert_eq!((code, &facts["adopted"]["tool"]), (0, &"capistrano".into()));
    assert!(shop.fails(3, &["adopt"]).contains("cutover.toml is there already"));
    shop.ok(&["adopt", "--undo"]);
    assert!(shop.fails(3, &["adopt", "--undo"]).contains("was not adopted"));
    assert!(!shop.path(".cutover").exists());
}
