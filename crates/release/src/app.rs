//! App: where everything of one application lies on disk; the only place that joins paths.

use crate::id::ReleaseId;
use crate::slot::SlotName;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The layout of one application. Pure: it names places, it does not look at them. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App(Arc<Places>);

#[derive(Debug, PartialEq, Eq)]
struct Places {
    root: PathBuf,
    link: PathBuf,
    allow: Vec<PathBuf>,
}

/// Why a layout was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppError {
    /// This path has to be absolute.
    NotAbsolute(PathBuf),
    /// This path contains `..`, whose meaning changes when a link in it does.
    Parent(PathBuf),
    /// The link has no name of its own.
    NoName(PathBuf),
}

impl App {
    /// The layout below `root` (absolute). `link` is relative to the root or absolute; `allow` are further
    /// absolute directories that the link may lead to: a release itself, or a directory of releases.
    pub fn new(root: &Path, link: &Path, allow: &[PathBuf]) -> Result<App, AppError> {
        let root = plain(root)?;
        let link = plain(&root.join(link))?;
        if link.file_name().is_none() || link == root {
            return Err(AppError::NoName(link));
        }
        let allow = allow.iter().map(|path| plain(path)).collect::<Result<_, _>>()?;
        Ok(App(Arc::new(Places { root, link, allow })))
    }

    /// The directory that holds it all.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// The link that says what is live.
    pub fn link(&self) -> &Path {
        &self.0.link
    }

    /// The directory the link stands in.
    pub fn link_parent(&self) -> &Path {
        self.0.link.parent().unwrap_or(&self.0.root)
    }

    /// What the link may lead to beside [`releases`](App::releases) and [`slots`](App::slots).
    pub fn allow(&self) -> &[PathBuf] {
        &self.0.allow
    }

    /// Where releases stand.
    pub fn releases(&self) -> PathBuf {
        self.0.root.join("releases")
    }

    /// Where a release stands, or would stand.
    pub fn release(&self, id: &ReleaseId) -> PathBuf {
        self.releases().join(id)
    }

    /// The canonical path of a release's directory, as the application gets it; of one in a slot, the slot.
    pub fn release_dir(&self, id: &ReleaseId) -> std::io::Result<PathBuf> {
        #[allow(
            clippy::disallowed_methods,
            reason = "releases/ lies above the link: no flip changes where it is"
        )]
        self.release(id).canonicalize()
    }

    /// Where slots stand, in slot mode.
    pub fn slots(&self) -> PathBuf {
        self.0.root.join("slots")
    }

    /// Where a slot stands.
    pub fn slot(&self, name: &SlotName) -> PathBuf {
        self.slots().join(name)
    }

    /// The text of the link in [`releases`](App::releases) that gives a slot to a release.
    pub fn slot_text(name: &SlotName) -> PathBuf {
        Path::new("../slots").join(name)
    }

    /// Where the next content of a slot is put together.
    pub fn next(&self, id: &ReleaseId) -> PathBuf {
        self.slots().join(format!(".next-{id}"))
    }

    /// Files of slots that PHP may still have compiled as they were before.
    pub fn stale(&self) -> PathBuf {
        self.state().join("stale")
    }

    /// Where links of slots have led.
    pub fn led(&self) -> PathBuf {
        self.state().join("led")
    }

    /// Directories and files that outlive releases.
    pub fn shared(&self) -> PathBuf {
        self.0.root.join("shared")
    }

    /// Cutover's own files about this app.
    pub fn state(&self) -> PathBuf {
        self.0.root.join(".cutover")
    }

    /// Where seals stand.
    pub fn manifests(&self) -> PathBuf {
        self.state().join("manifests")
    }

    /// The seal of one release.
    pub fn manifest(&self, id: &ReleaseId) -> PathBuf {
        self.manifests().join(id)
    }

    /// What was live, good, bad.
    pub fn history(&self) -> PathBuf {
        self.state().join("history")
    }

    /// The deploy lock.
    pub fn lock(&self) -> PathBuf {
        self.state().join("lock")
    }

    /// Where sockets stand.
    pub fn run(&self) -> PathBuf {
        self.state().join("run")
    }

    /// The server's control socket.
    pub fn serve_socket(&self) -> PathBuf {
        self.run().join("serve.sock")
    }

    /// The embedded PHP pool's socket.
    pub fn fpm_socket(&self) -> PathBuf {
        self.run().join("fpm.sock")
    }

    /// Blobs by content, and the index of what was staged last.
    pub fn store(&self) -> PathBuf {
        self.state().join("store")
    }

    /// Packed forms of text files, by content.
    pub fn packed(&self) -> PathBuf {
        self.state().join("packed")
    }

    /// Mirrors of git repositories.
    pub fn mirrors(&self) -> PathBuf {
        self.state().join("git")
    }

    /// From which other tool the app was adopted, and what was changed then.
    pub fn adopted(&self) -> PathBuf {
        self.state().join("adopted")
    }

    /// There while visitors are to get the maintenance page.
    pub fn maintenance(&self) -> PathBuf {
        self.state().join("maintenance")
    }

    /// What nginx is told of flips, where it does not look at the link.
    pub fn nginx(&self) -> PathBuf {
        self.state().join("nginx")
    }

    /// The releases that a visitor's cookie may name, as links.
    pub fn pinnable(&self) -> PathBuf {
        self.state().join("pinnable")
    }

    /// The tree of a deploy that was killed while it was copied.
    pub fn half(&self) -> PathBuf {
        self.state().join("half")
    }

    /// What is being deleted.
    pub fn trash(&self) -> PathBuf {
        self.state().join("trash")
    }

    /// The deploy in hand.
    pub fn journal(&self) -> PathBuf {
        self.state().join("journal.jsonl")
    }

    /// There while the host is out of its load balancer for a flip.
    pub fn drained(&self) -> PathBuf {
        self.state().join("drained")
    }

    /// There while nobody may deploy; says why.
    pub fn frozen(&self) -> PathBuf {
        self.state().join("frozen")
    }

    /// The command that a deploy runs at this moment.
    pub fn running(&self) -> PathBuf {
        self.state().join("running")
    }

    /// What each release is made of.
    pub fn records(&self) -> PathBuf {
        self.state().join("records")
    }

    /// What one release is made of, and how its deploy went.
    pub fn record(&self, id: &ReleaseId) -> PathBuf {
        self.records().join(id)
    }

    /// What the commands of deploys printed.
    pub fn all_logs(&self) -> PathBuf {
        self.state().join("logs")
    }

    /// What the commands of one deploy printed.
    pub fn logs(&self, name: &str) -> PathBuf {
        self.all_logs().join(name)
    }

    /// Where a tree is built; empty between deploys.
    pub fn work(&self) -> PathBuf {
        self.state().join("work")
    }

    /// What build commands keep from one deploy to the next.
    pub fn cache(&self) -> PathBuf {
        self.state().join("cache")
    }

    /// The tree that a deploy from elsewhere was made of, kept for the next one.
    pub fn received(&self) -> PathBuf {
        self.state().join("received")
    }

    /// The cutover.toml that came with the last deploy from elsewhere.
    pub fn sent_config(&self) -> PathBuf {
        self.state().join("sent.toml")
    }

    /// Scripts of ours that a PHP pool runs.
    pub fn scripts(&self) -> PathBuf {
        self.state().join("scripts")
    }

    /// Every place where the release of this name may stand, the usual one first.
    pub fn places(&self, id: &ReleaseId) -> Vec<PathBuf> {
        let mut places = vec![self.release(id), self.slots().join(id)];
        for allowed in &self.0.allow {
            places.push(allowed.join(id));
            if allowed.file_name().is_some_and(|name| name == id.as_str()) {
                places.push(allowed.clone());
            }
        }
        places
    }
}

/// Takes out `.` and doubled slashes; refuses relative paths and `..`.
fn plain(path: &Path) -> Result<PathBuf, AppError> {
    if !path.is_absolute() {
        return Err(AppError::NotAbsolute(path.to_owned()));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(AppError::Parent(path.to_owned()));
    }
    Ok(path.components().collect())
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppError::NotAbsolute(path) => write!(f, "{} is not an absolute path", path.display()),
            AppError::Parent(path) => {
                write!(f, "{} contains `..`; name the directory without it", path.display())
            }
            AppError::NoName(path) => write!(f, "{} cannot be the link of an app", path.display()),
        }
    }
}

impl std::error::Error for AppError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_one_the_design_draws() {
        let app = App::new(Path::new("/srv//shop/."), Path::new("current"), &[]).unwrap();
        let id = ReleaseId::parse("r1").unwrap();
        assert_eq!(app.root(), Path::new("/srv/shop"));
        assert_eq!(app.link(), Path::new("/srv/shop/current"));
        assert_eq!(app.release(&id), Path::new("/srv/shop/releases/r1"));
        assert_eq!(app.manifest(&id), Path::new("/srv/shop/.cutover/manifests/r1"));
        assert_eq!(app.serve_socket(), Path::new("/srv/shop/.cutover/run/serve.sock"));
    }

    #[test]
    fn the_link_may_stand_elsewhere_and_below() {
        let at =
            |link: &str| App::new(Path::new("/srv/shop"), Path::new(link), &[]).map(|a| a.link().to_owned());
        assert_eq!(at("web/site"), Ok("/srv/shop/web/site".into()));
        assert_eq!(at("/var/www/shop"), Ok("/var/www/shop".into()));
    }

    #[test]
    fn paths_that_cannot_be_meant_are_refused() {
        let new = |root: &str, link: &str, allow: &[PathBuf]| {
            App::new(Path::new(root), Path::new(link), allow).map(drop)
        };
        assert_eq!(new("srv", "current", &[]), Err(AppError::NotAbsolute("srv".into())));
        assert_eq!(new("/srv/../etc", "current", &[]), Err(AppError::Parent("/srv/../etc".into())));
        assert_eq!(new("/srv", "../current", &[]), Err(AppError::Parent("/srv/../current".into())));
        assert_eq!(new("/srv", "", &[]), Err(AppError::NoName("/srv".into())));
        assert_eq!(new("/srv", "current", &["x".into()]), Err(AppError::NotAbsolute("x".into())));
    }
}
