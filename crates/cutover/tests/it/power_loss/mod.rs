//! The power fails: of what was not synced, anything may be on disk or not, in any order. The real system calls of real
//! commands are replayed against a disk that is as unkind as POSIX allows, and the power is cut after each of them.
//!
//! ```text
//!   story ──strace──> trace ──> replay ──> disk ──> cuts ──> trees ──> judge
//!                                                             └─ lay ──> the next command, in earnest ──> judge
//! ```

mod cuts;
mod disk;
mod judge;
mod lay;
mod replay;
mod story;
mod trace;
mod tree;

use cuts::Random;
use disk::Disk;
use judge::{Judge, Wanted};
use release::App;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Command;
use story::{ADOPTED, COPIED, LINKED, Played, TURNS};
use trace::{Arg, Call};
use tree::{Node, Tree};

/// Cuts the power after every call, and judges all that may be left; gives how many different trees that were, or the
/// first that is wrong.
fn cut_everywhere(mut played: Played, mut also: impl FnMut(&Tree, &Wanted)) -> Result<usize, String> {
    let (mut judge, mut random, mut seen) = (Judge::new(), Random::new(), HashSet::new());
    for moment in played.disk.moments.clone() {
        let trees = cuts::at(&mut played.disk, moment, &mut random);
        let wanted = played.wanted(moment);
        for tree in trees {
            if seen.insert(print(&tree, wanted)) {
                let wrong =
                    |why| format!("power lost at {moment}: {why}; left was\n{}", shape(&tree).join("\n"));
                judge.look(&tree, wanted).map_err(wrong)?;
                also(&tree, wanted);
            }
        }
    }
    Ok(seen.len())
}

fn print(tree: &Tree, wanted: &Wanted) -> u64 {
    let mut hasher = DefaultHasher::new();
    wanted.live.hash(&mut hasher);
    for (path, ino) in tree.below(0) {
        (path, &tree.nodes[ino]).hash(&mut hasher);
    }
    hasher.finish()
}

/// Every path, with what it is.
fn shape(tree: &Tree) -> Vec<String> {
    let one = |(path, ino): (Vec<u8>, usize)| {
        let path = String::from_utf8_lossy(&path);
        match &tree.nodes[ino] {
            Node::File { data, mode, .. } => format!("{path} {mode:o} {:?}", String::from_utf8_lossy(data)),
            Node::Dir { mode, .. } => format!("{path}/ {mode:o}"),
            Node::Link { text } => format!("{path} -> {}", String::from_utf8_lossy(text)),
        }
    };
    tree.below(0).into_iter().map(one).collect()
}

#[test]
fn the_model_of_the_disk_is_what_the_disk_is() {
    for story in [&*COPIED, &*LINKED, &*TURNS, &*ADOPTED] {
        let model = story.replay(|_| true).disk.now;
        assert_eq!(shape(&model), shape(&Disk::of(&story.root()).now));
    }
}

#[test]
fn whatever_a_power_cut_leaves_of_deploys_and_a_rollback_one_whole_release_is_live() {
    for story in [&*COPIED, &*LINKED] {
        let trees =
            cut_everywhere(story.replay(|_| true), |_, _| {}).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(trees > 2_000, "{trees}");
    }
}

#[test]
fn whatever_a_power_cut_leaves_of_releases_that_take_turns_one_whole_release_is_live() {
    let played = TURNS.replay(|_| true);
    let trees = cut_everywhere(played, |_, _| {}).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(trees > 2_000, "{trees}");
}

#[test]
fn whatever_a_power_cut_leaves_of_an_adoption_what_was_live_is_and_adopting_again_ends_it() {
    go_on_now_and_then(ADOPTED.replay(|_| true), 13, &["adopt", "--good", "1"]);
}

#[test]
fn after_a_power_cut_the_next_command_finishes_or_undoes_what_was_begun() {
    go_on_now_and_then(LINKED.replay(|_| true), 61, &["prune"]);
}

/// Runs this command on some of the trees that a power cut may leave.
fn go_on_now_and_then(played: Played, every: usize, args: &[&str]) {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let (mut turn, mut judge) = (0, Judge::new());
    let cut = cut_everywhere(played, |tree, wanted| {
        turn += 1;
        if turn % every == 0 {
            go_on(tree, wanted, &mut judge, &dir.path().join(turn.to_string()), args);
        }
    });
    cut.unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(turn > 200, "{turn}");
}

/// Runs the next command on what was left.
fn go_on(tree: &Tree, wanted: &Wanted, judge: &mut Judge, at: &Path, args: &[&str]) {
    std::fs::create_dir(at).unwrap();
    let root = at.join("app");
    lay::out(tree, &root);
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        let output = command.arg("-C").arg(&root).args(args).output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&told).into_owned())
    };
    let (mut done, mut told) = run(args);
    // What is adopted is not adopted again.
    if !done && told.contains("this app is Cutover's already") {
        (done, told) = run(&["prune"]);
    }
    let left = || format!("it said {told}; left was\n{}", shape(tree).join("\n"));
    // Before anything was ever live it refuses, once it has tidied up.
    assert!(done || judge::live(tree).unwrap().is_none(), "{}", left());
    let app = App::new(&root, Path::new("current"), &[]).unwrap();
    assert!(deploy::journal::look(&app).unwrap().is_none(), "{}", left());
    let mut after = Disk::of(&root).now;
    // Files that no step gave a time have that of their making here.
    after.forget_times();
    judge.look(&after, wanted).unwrap_or_else(|why| panic!("{why}; {}", left()));
}

#[test]
fn without_any_one_of_its_syncs_a_deploy_would_not_outlast_a_power_cut() {
    let root = COPIED.root();
    let path = |below: &str| root.join(below).into_os_string().into_encoded_bytes();
    let syncs = |call: &Call, wanted: &dyn Fn(&[u8]) -> bool| {
        call.name == "fsync" && matches!(&call.args[0], Arg::Open { path, .. } if wanted(path))
    };
    let is = |call: &Call, below: &str| syncs(call, &|open| open == path(below).as_slice());
    let seal = path(".cutover/manifests/.cutover-tmp-");
    type Kind<'a> = &'a dyn Fn(&Call) -> bool;
    let kinds: [(&str, Kind<'_>); 6] = [
        ("the release", &|call| call.name == "syncfs"),
        ("the seal", &|call| syncs(call, &|open| open.starts_with(&seal))),
        ("the seal's name", &|call| is(call, ".cutover/manifests")),
        ("the link", &|call| syncs(call, &|open| open == root.as_os_str().as_encoded_bytes())),
        ("the history", &|call| is(call, ".cutover/history")),
        ("the journal", &|call| is(call, ".cutover/journal.jsonl")),
    ];
    for (what, kind) in kinds {
        let cut = cut_everywhere(COPIED.replay(|call| !kind(call)), |_, _| {});
        assert!(cut.is_err(), "nobody would miss the syncs of {what}");
    }
}
