//! Where a tree comes from: a directory, a git ref, an archive; and what is refused.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use config::host::{Origin, SourceTree};
use deploy::source::{self, Fetched, SourceError};

use crate::staging::{Yard, ino, tree};

fn fetch(yard: &Yard, origin: Origin, build: &[&str]) -> Result<Fetched, SourceError> {
    let build = build.iter().map(|line| (*line).to_owned()).collect();
    let source = SourceTree { origin, exclude: vec!["*.log".into()], build };
    source::fetch(&source, &yard.app, &yard.app.state().join("work"), &mut |_| {})
}

/// Runs git in the yard's source, as somebody with a name.
fn git(dir: &Path, words: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]);
    command.args(["-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main"]).args(words);
    let output = command.output().expect("git is missing: apt-get install git");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn commit(dir: &Path, message: &str) -> String {
    git(dir, &["add", "-A"]);
    git(dir, &["commit", "-q", "-m", message]);
    git(dir, &["rev-parse", "HEAD"])
}

fn from_git(yard: &Yard, reference: &str) -> Result<Fetched, SourceError> {
    let repository = yard.source().display().to_string();
    fetch(yard, Origin::Git { repository, reference: reference.into() }, &[])
}

#[test]
fn a_branch_a_tag_and_a_commit_are_checked_out_and_a_revision_says_which() {
    let yard = Yard::new();
    git(&yard.source(), &["init", "-q"]);
    yard.write("a/index.php", "1");
    let first = commit(&yard.source(), "first");
    git(&yard.source(), &["tag", "v1"]);
    yard.write("a/index.php", "two");
    yard.write("new", "n");
    let second = commit(&yard.source(), "second\n\nand more");
    for (reference, wanted, branch, content) in [
        ("HEAD", &second, Some("main"), "two"),
        ("v1", &first, None, "1"),
        ("main", &second, Some("main"), "two"),
        (&first[..10], &first, None, "1"),
    ] {
        let fetched = from_git(&yard, reference).unwrap();
        assert_eq!(fetched.revision.commit.as_deref(), Some(&wanted[..]), "{reference}");
        assert_eq!(fetched.revision.branch.as_deref(), branch);
        assert_eq!(fetched.revision.author.as_deref(), Some("Ann <ann@example.com>"));
        assert_eq!(fs::read_to_string(fetched.tree.join("a/index.php")).unwrap(), content);
        assert_eq!(fetched.tree.join("new").exists(), wanted == &second);
        assert!(!fetched.tree.join(".git").exists());
    }
    let between = source::commits(&yard.app, None, &first, &second).unwrap();
    assert_eq!(between.len(), 1);
    assert_eq!(between[0].message, "second");
    assert!(matches!(from_git(&yard, "nosuch"), Err(SourceError::NoRef { .. })));
}

#[test]
fn a_checkout_is_kept_and_what_a_build_left_is_cleared_away() {
    let yard = Yard::new();
    git(&yard.source(), &["init", "-q"]);
    yard.write("same", "s");
    yard.write("changes", "1");
    commit(&yard.source(), "one");
    let kept = from_git(&yard, "HEAD").unwrap().tree;
    let before = ino(kept.join("same"));
    fs::create_dir(kept.join("vendor")).unwrap();
    fs::write(kept.join("vendor/autoload.php"), "built").unwrap();
    fs::write(kept.join("changes"), "by the build").unwrap();
    yard.write("changes", "two");
    commit(&yard.source(), "two");
    let again = from_git(&yard, "main").unwrap().tree;
    assert_eq!(again, kept);
    assert_eq!(ino(kept.join("same")), before);
    assert_eq!(fs::read_to_string(kept.join("changes")).unwrap(), "two");
    assert!(!kept.join("vendor").exists());
}

#[test]
fn submodules_are_checked_out_and_removed_again() {
    let yard = Yard::new();
    let library = yard.app.root().join("library");
    fs::create_dir(&library).unwrap();
    git(&library, &["init", "-q"]);
    fs::write(library.join("lib.php"), "lib").unwrap();
    commit(&library, "lib");
    git(&yard.source(), &["init", "-q"]);
    yard.write("index.php", "1");
    git(&yard.source(), &["submodule", "--quiet", "add", library.to_str().unwrap(), "vendor/lib"]);
    let with = commit(&yard.source(), "with");
    let fetched = from_git(&yard, &with).unwrap();
    assert_eq!(fs::read_to_string(fetched.tree.join("vendor/lib/lib.php")).unwrap(), "lib");
    git(&yard.source(), &["rm", "-q", "vendor/lib"]);
    commit(&yard.source(), "without");
    let fetched = from_git(&yard, "main").unwrap();
    assert!(!fetched.tree.join("vendor").exists());
}

#[test]
fn files_in_lfs_are_fetched_and_without_git_lfs_refused() {
    let installed =
        Command::new("git-lfs").arg("version").output().is_ok_and(|output| output.status.success());
    let yard = Yard::new();
    git(&yard.source(), &["init", "-q"]);
    yard.write(".gitattributes", "*.psd filter=lfs diff=lfs merge=lfs -text\n");
    yard.write("large.psd", "a picture");
    let filters = ["filter.lfs.clean=git-lfs clean -- %f", "filter.lfs.required=true"];
    if installed {
        git(&yard.source(), &["-c", filters[0], "-c", filters[1], "add", "large.psd"]);
    }
    git(&yard.source(), &["-c", filters[0], "commit", "-q", "--allow-empty", "-m", "picture"]);
    git(&yard.source(), &["add", ".gitattributes"]);
    git(&yard.source(), &["commit", "-q", "-m", "lfs"]);
    match from_git(&yard, "HEAD") {
        Ok(fetched) if installed => {
            let pointer = git(&yard.source(), &["show", "HEAD:large.psd"]);
            assert!(pointer.starts_with("version https://git-lfs"), "{pointer}");
            assert_eq!(fs::read_to_string(fetched.tree.join("large.psd")).unwrap(), "a picture");
        }
        Err(SourceError::NoLfs { .. }) if !installed => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_directory_is_taken_as_it_is_and_copied_only_to_be_built() {
    let yard = Yard::new();
    yard.write("index.php", "1");
    yard.write("debug.log", "l");
    symlink("index.php", yard.source().join("link")).unwrap();
    let fetched = fetch(&yard, Origin::Dir(yard.source()), &[]).unwrap();
    assert_eq!(fetched.tree, yard.source());
    let built = fetch(&yard, Origin::Dir(yard.source()), &["make"]).unwrap().tree;
    assert!(!built.join("debug.log").exists());
    fs::remove_file(yard.source().join("debug.log")).unwrap();
    assert_eq!(tree(&built), tree(&yard.source()));
    let before = ino(built.join("index.php"));
    fs::create_dir(built.join("vendor")).unwrap();
    yard.write("new/file", "2");
    let again = fetch(&yard, Origin::Dir(yard.source()), &["make"]).unwrap().tree;
    assert_eq!(tree(&again), tree(&yard.source()));
    assert_eq!(ino(again.join("index.php")), before);
}

#[test]
fn a_source_that_is_missing_or_lies_in_the_releases_is_refused() {
    let yard = Yard::new();
    let missing = fetch(&yard, Origin::Dir(yard.source().join("no")), &[]);
    assert!(matches!(missing, Err(SourceError::NoDirectory { .. })), "{missing:?}");
    fs::create_dir(yard.release("r1")).unwrap();
    let inside = fetch(&yard, Origin::Dir(yard.release("r1")), &[]);
    assert!(matches!(inside, Err(SourceError::InsideApp { .. })), "{inside:?}");
}

/// Packs the yard's source with a program.
fn pack(yard: &Yard, name: &str, program: &str, words: &[&str]) -> PathBuf {
    let file = yard.app.root().join(name);
    let mut command = Command::new(program);
    command.current_dir(yard.source()).args(words).arg(&file).arg(".");
    let output =
        command.output().unwrap_or_else(|_| panic!("{program} is missing: apt-get install {program}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    file
}

#[test]
fn every_kind_of_archive_gives_the_tree_that_was_packed() {
    let yard = Yard::new();
    yard.write("index.php", "<?php");
    yard.write("a/b/long-name-beyond-a-hundred-bytes-so-that-tar-needs-an-extension-header-for-it-and-some-more-bytes-to-be-sure.txt", "deep");
    fs::hard_link(yard.source().join("index.php"), yard.source().join("twin.php")).unwrap();
    symlink("b", yard.source().join("a/link")).unwrap();
    for (name, program, words) in [
        ("x.tar", "tar", &["-cf"][..]),
        ("x.tgz", "tar", &["-czf"]),
        ("x.bin", "tar", &["--zstd", "-cf"]),
        ("x.zip", "zip", &["-qry"]),
    ] {
        let file = pack(&yard, name, program, words);
        let fetched = fetch(&yard, Origin::Archive(file.display().to_string()), &[]).unwrap();
        let (mut got, mut wanted) = (tree(&fetched.tree), tree(&yard.source()));
        if name.ends_with("zip") {
            // Its times are local, and even.
            for things in [&mut got, &mut wanted] {
                for thing in things.values_mut() {
                    if let crate::staging::Thing::File { mtime, .. } = thing {
                        *mtime = 0;
                    }
                }
            }
        }
        assert_eq!(got, wanted, "{name}");
    }
    let address = format!("file://{}", yard.app.root().join("x.tar").display());
    assert!(fetch(&yard, Origin::Archive(address), &[]).unwrap().tree.join("twin.php").exists());
}

/// A tar with one entry, whose name need not be an honest one.
fn tar_of(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, text) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        let content = if *kind == tar::EntryType::Regular { text.as_bytes() } else { b"" };
        if content.is_empty() && !text.is_empty() {
            header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn an_archive_that_reaches_out_of_its_tree_is_refused_and_nothing_outside_is_touched() {
    use tar::EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink};
    let yard = Yard::new();
    let victim = yard.app.root().join("victim");
    fs::write(&victim, "untouched").unwrap();
    for entries in [
        &[("../../../victim", Regular, "x")][..],
        &[("/etc/cutover-test", Regular, "x")],
        &[("a/../../x", Regular, "x")],
        &[("out", Symlink, "/etc")],
        &[("out", Symlink, "../../..")],
        &[("a", Directory, ""), ("l", Symlink, "a"), ("l/x", Regular, "x")],
        &[("l", Symlink, "a/../../..")],
        &[("h", Link, "../../../victim")],
        &[("h", Link, "/etc/passwd")],
        &[("dev", Char, "")],
        &[("dev", Block, "")],
        &[("pipe", Fifo, "")],
        &[("a", Regular, "x"), ("a/b", Regular, "x")],
        &[("a/b", Regular, "x"), ("a", Regular, "x")],
    ] {
        let file = yard.app.root().join("bad.tar");
        fs::write(&file, tar_of(entries)).unwrap();
        let refused = fetch(&yard, Origin::Archive(file.display().to_string()), &[]);
        assert!(matches!(refused, Err(SourceError::Refused { .. })), "{entries:?}: {refused:?}");
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    assert_eq!(fs::metadata(&victim).unwrap().nlink(), 1);
    assert!(!Path::new("/etc/cutover-test").exists());
}

#[test]
fn an_archive_that_is_cut_short_or_none_at_all_is_told_so() {
    let yard = Yard::new();
    yard.write("big", &"0123456789".repeat(50_000));
    for (name, program, words) in
        [("x.tar", "tar", &["-cf"][..]), ("x.tgz", "tar", &["-czf"]), ("x.zip", "zip", &["-qr"])]
    {
        let file = pack(&yard, name, program, words);
        let whole = fs::read(&file).unwrap();
        fs::File::create(&file).unwrap().write_all(&whole[..whole.len() * 2 / 3]).unwrap();
        let cut = fetch(&yard, Origin::Archive(file.display().to_string()), &[]);
        assert!(matches!(cut, Err(SourceError::Damaged { .. })), "{name}: {cut:?}");
    }
    let file = yard.app.root().join("text");
    fs::write(&file, "hello").unwrap();
    let none = fetch(&yard, Origin::Archive(file.display().to_string()), &[]);
    assert!(matches!(none, Err(SourceError::NoArchive { .. })), "{none:?}");
}
