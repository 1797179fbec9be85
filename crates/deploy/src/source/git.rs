//! A git repository as the source: a bare mirror in `.cutover/git`, and a checkout that is kept between deploys.
//!
//! The checkout has no `.git` in it; git's index lies beside it. So unchanged files keep their times and inodes, and
//! what a build left is cleared away. Submodules are mirrored and checked out likewise. Git LFS is used if installed;
//! a tree that needs it is refused otherwise, for a release of pointers would be served as it is.

mod checkout;
mod lfs;
mod submodule;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use release::App;
use release::atomic;

use crate::source::run::{line, run};
use crate::source::{Fetched, Revision, SourceError, disk};

pub(crate) use checkout::revision_of;

/// Submodules within submodules within …: deeper than this, they contain themselves.
const MAX_DEPTH: usize = 10;

/// One commit, as `cutover diff` shows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Commit {
    /// Its full name.
    pub commit: String,
    /// Who wrote it.
    pub author: String,
    /// The first line of its message.
    pub message: String,
}

/// A bare repository of ours, and where it comes from.
struct Mirror {
    dir: PathBuf,
    origin: String,
}

/// Where a commit is checked out.
#[derive(Clone, Copy)]
struct Place<'p> {
    tree: &'p Path,
    app: &'p App,
    /// Where git's index is kept.
    work: &'p Path,
    /// How many repositories it is a submodule of.
    depth: usize,
}

/// Checks out `reference` (a branch, a tag or a commit) of a repository.
pub(crate) fn fetch(
    repository: &str,
    reference: &str,
    app: &App,
    work: &Path,
    out: &mut dyn FnMut(&[u8]),
) -> Result<Fetched, SourceError> {
    let mirror = Mirror::of(app, repository);
    mirror.update(out)?;
    let (commit, branch) = mirror.resolve(reference, out)?;
    let tree = work.join("tree");
    let place = Place { tree: &tree, app, work, depth: 0 };
    mirror.check_out(&commit, place, out)?;
    let (author, message) = mirror.about(&commit)?;
    let (author, message) = (Some(author), Some(message));
    let revision = Revision { commit: Some(commit), branch, author, message, dirty: false };
    Ok(Fetched { tree, revision })
}

/// The commits that `new` has and `old` has not, newest first, as far as a mirror of this app or the repository at
/// `dir` knows them; `None` if none knows both.
pub fn commits(app: &App, dir: Option<&Path>, old: &str, new: &str) -> Option<Vec<Commit>> {
    let mirrors = std::fs::read_dir(app.mirrors()).into_iter().flatten().flatten();
    let dirs = mirrors.map(|entry| entry.path()).filter(|path| path.extension() == Some(OsStr::new("git")));
    dirs.chain(dir.map(Path::to_owned)).find_map(|dir| {
        let mut command = git();
        command
            .arg("-C")
            .arg(&dir)
            .args(["log", "-z", "--format=%H%n%an <%ae>%n%s"])
            .arg(format!("{old}..{new}"))
            .arg("--");
        let bytes = run("git", &mut command, &mut |_| {}).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let commit = |text: &str| {
            let mut lines = text.splitn(3, '\n').map(str::to_owned);
            Some(Commit { commit: lines.next()?, author: lines.next()?, message: lines.next()? })
        };
        Some(text.split('\0').filter_map(commit).collect())
    })
}

impl Mirror {
    fn of(app: &App, origin: &str) -> Mirror {
        let hash = blake3::hash(origin.as_bytes()).to_hex();
        let short = hash.get(..16).unwrap_or_default();
        Mirror { dir: app.mirrors().join(format!("{short}.git")), origin: origin.to_owned() }
    }

    fn git(&self) -> Command {
        let mut command = git();
        command.arg("--git-dir").arg(&self.dir);
        command
    }

    /// Makes the mirror if it is missing, and brings it up to date.
    fn update(&self, out: &mut dyn FnMut(&[u8])) -> Result<(), SourceError> {
        if !self.dir.join("HEAD").exists() {
            atomic::make_dir(&self.dir).map_err(|error| disk("make", &self.dir)(error.why))?;
            // Without templates: no hook of the machine's is to run here.
            let mut command = git();
            command.args(["init", "--quiet", "--bare", "--template="]).arg(&self.dir);
            run("git", &mut command, out)?;
        }
        let mut command = self.git();
        command.args([
            "fetch",
            "--prune",
            "--force",
            "--no-tags",
            "--no-write-fetch-head",
            "--progress",
            "--",
            &self.origin,
        ]);
        command.args(["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]);
        run("git", &mut command, out).map(drop)
    }

    /// Which commit is meant, and which branch, if one was named.
    fn resolve(
        &self,
        reference: &str,
        out: &mut dyn FnMut(&[u8]),
    ) -> Result<(String, Option<String>), SourceError> {
        let branch = match reference {
            "HEAD" => self.head(out)?,
            name => Some(name.strip_prefix("refs/heads/").unwrap_or(name).to_owned()),
        };
        if let Some(branch) = branch
            && let Some(commit) = self.commit(&format!("refs/heads/{branch}"))
        {
            return Ok((commit, Some(branch)));
        }
        let named = [format!("refs/tags/{reference}"), reference.to_owned()];
        if let Some(commit) = named.iter().find_map(|name| self.commit(name)) {
            return Ok((commit, None));
        }
        // A commit that no branch has any more; some servers give it all the same.
        let hex = reference.len() >= 40 && reference.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hex {
            let mut command = self.git();
            command.args(["fetch", "--no-tags", "--no-write-fetch-head", "--", &self.origin, reference]);
            if run("git", &mut command, out).is_ok()
                && let Some(commit) = self.commit(reference)
            {
                return Ok((commit, None));
            }
        }
        Err(SourceError::NoRef { repository: self.origin.clone(), reference: reference.to_owned() })
    }

    /// The branch that the other side's HEAD names.
    fn head(&self, out: &mut dyn FnMut(&[u8])) -> Result<Option<String>, SourceError> {
        let mut command = git();
        command.args(["ls-remote", "--symref", "--", &self.origin, "HEAD"]);
        let text = line(&run("git", &mut command, out)?);
        let named = text.lines().find_map(|line| line.strip_prefix("ref: refs/heads/")?.split('\t').next());
        Ok(named.map(str::to_owned))
    }

    fn commit(&self, name: &str) -> Option<String> {
        let mut command = self.git();
        command
            .args(["rev-parse", "--verify", "--quiet", "--end-of-options"])
            .arg(format!("{name}^{{commit}}"));
        run("git", &mut command, &mut |_| {}).ok().map(|bytes| line(&bytes)).filter(|text| !text.is_empty())
    }

    fn about(&self, commit: &str) -> Result<(String, String), SourceError> {
        let mut command = self.git();
        command.args(["log", "-1", "--format=%an <%ae>%n%s", commit, "--"]);
        let text = line(&run("git", &mut command, &mut |_| {})?);
        let (author, message) = text.split_once('\n').unwrap_or((&text, ""));
        Ok((author.to_owned(), message.to_owned()))
    }

    /// Makes the place's tree that of this commit; what is not part of it goes.
    fn check_out(
        &self,
        commit: &str,
        place: Place<'_>,
        out: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        let tree = place.tree;
        atomic::make_dir(tree).map_err(|error| disk("make", tree)(error.why))?;
        let name = blake3::hash(tree.as_os_str().as_bytes()).to_hex();
        let index = place.work.join(format!("index-{}", name.get(..16).unwrap_or_default()));
        // Of a git that was killed; ours is the only one at work here, under the deploy lock.
        let lock = index.with_extension("lock");
        if lock.exists() {
            std::fs::remove_file(&lock).map_err(disk("remove", &lock))?;
        }
        let has_lfs = lfs::installed();
        let git = || {
            let mut command = self.git();
            command.arg("--work-tree").arg(tree).env("GIT_INDEX_FILE", &index).current_dir(tree);
            for set in ["core.hooksPath=/dev/null", "core.autocrlf=false", "advice.detachedHead=false"] {
                command.args(["-c", set]);
            }
            if has_lfs {
                lfs::configure(&mut command, &self.origin);
            }
            command
        };
        run("git", git().args(["read-tree", "--reset", "-u", commit]), out)?;
        // What was changed or removed by hand or by a build since; read-tree trusts the index.
        run("git", git().args(["checkout-index", "--all", "--force", "--quiet"]), out)?;
        let modules = run("git", git().args(["ls-files", "--stage", "-z"]), out)?;
        let modules: Vec<(String, PathBuf)> =
            modules.split(|byte| *byte == 0).filter_map(submodule::parse).collect();
        let mut clean = git();
        clean.args(["clean", "-ffdxq"]);
        for (_, path) in &modules {
            clean.arg("-e").arg(submodule::literal(path));
        }
        run("git", &mut clean, out)?;
        if !has_lfs {
            let mut list = git();
            list.args(["ls-files", "-z", "--", ".gitattributes", "**/.gitattributes"]);
            lfs::not_needed(tree, &run("git", &mut list, out)?)?;
        }
        for (commit, path) in modules {
            let url = submodule::url_of(&git, &path);
            let full = tree.join(path);
            self.submodule(&commit, url, Place { tree: &full, depth: place.depth + 1, ..place }, out)?;
        }
        Ok(())
    }

    fn submodule(
        &self,
        commit: &str,
        url: Option<String>,
        place: Place<'_>,
        out: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        let Some(url) = url else {
            // A commit without an entry in .gitmodules: git itself leaves such a directory empty.
            return atomic::make_dir(place.tree).map_err(|error| disk("make", place.tree)(error.why));
        };
        if place.depth > MAX_DEPTH {
            let why = std::io::Error::other("submodules are nested too deeply");
            return Err(disk("check out", place.tree)(why));
        }
        let mirror = Mirror::of(place.app, &submodule::resolve(&self.origin, &url));
        if mirror.commit(commit).is_none() {
            mirror.update(out)?;
        }
        let (commit, _) = mirror.resolve(commit, out)?;
        mirror.check_out(&commit, place, out)
    }
}

/// Git, without anything that would make it ask or listen to its surroundings.
fn git() -> Command {
    let mut command = Command::new("git");
    for name in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_COMMON_DIR",
        "GIT_NAMESPACE",
        "GIT_PREFIX",
    ] {
        command.env_remove(name);
    }
    command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    command.args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"]);
    command
}
