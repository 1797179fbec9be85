//! Litter: what killed deploys of other tools leave behind. Links only, and only those whose meaning is certain.

use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use release::{App, ReleaseId};
use serde::{Deserialize, Serialize};

use super::disk;
use super::tool::{Tool, is_stamp};

/// A link that a killed deploy left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Litter {
    /// Where, below the app's root.
    pub path: PathBuf,
    /// Its text.
    pub text: PathBuf,
    /// When it was made, in nanoseconds since 1970.
    pub mtime_ns: i128,
    /// When its directory was last changed, before it was removed.
    pub dir_mtime_ns: Option<i128>,
    /// What it is.
    pub why: Why,
}

/// What a link of litter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// `releases/current`: Capistrano was killed between `ln` and `mv`. Its next deploy would put the old release live.
    HalfFlip,
    /// `releases/OLD/NEW`: that happened; a link inside a release, made by the flip that went astray.
    Astray,
    /// `release`: Deployer was killed in the middle of a deploy.
    HalfDeploy,
}

/// A flip of Capistrano takes two commands over SSH; what is younger may be one.
const YOUNG: Duration = Duration::from_secs(10 * 60);

/// Litter, and what looks like it but is so young that a deploy may be using it.
pub(crate) fn find(app: &App, tool: Tool, releases: &[ReleaseId]) -> (Vec<Litter>, Vec<Litter>) {
    let root = app.root();
    let mut litter = Vec::new();
    let mut young = Vec::new();
    let look = |path: PathBuf, why| link(root, path, why);
    match tool {
        Tool::Capistrano | Tool::Other => {
            let name = app.link().file_name().unwrap_or_default();
            if let Some(half) = look(Path::new("releases").join(name), Why::HalfFlip) {
                if half.is_young() { young.push(half) } else { litter.push(half) }
            }
            for outer in releases {
                for inner in releases.iter().filter(|inner| is_stamp(inner.as_str()) && *inner != outer) {
                    let path = Path::new("releases").join(outer).join(inner);
                    litter.extend(look(path, Why::Astray).filter(|found| leads_to(found, inner)));
                }
            }
        }
        Tool::Deployer => {
            litter.extend(look("release".into(), Why::HalfDeploy).filter(|found| in_releases(&found.text)));
        }
        Tool::Ansistrano | Tool::Mina | Tool::Envoyer => {}
    }
    (litter, young)
}

/// The link at this path, if there is one and its text can be written down.
fn link(root: &Path, path: PathBuf, why: Why) -> Option<Litter> {
    let at = root.join(&path);
    let text = std::fs::read_link(&at).ok().filter(|text| text.to_str().is_some())?;
    let made = at.symlink_metadata().and_then(|meta| meta.modified()).ok()?;
    let since = made.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mtime_ns = i128::try_from(since.as_nanos()).unwrap_or_default();
    let dir_mtime_ns = at.parent().and_then(disk::mtime_ns);
    Some(Litter { path, text, mtime_ns, dir_mtime_ns, why })
}

/// Whether the text ends in `releases/<id>`.
fn leads_to(litter: &Litter, id: &ReleaseId) -> bool {
    litter.text.ends_with(Path::new("releases").join(id))
}

fn in_releases(text: &Path) -> bool {
    let parent = text.parent().and_then(|parent| parent.components().next_back());
    parent == Some(Component::Normal("releases".as_ref()))
}

impl Litter {
    /// Its last component.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn is_young(&self) -> bool {
        let nanos = u64::try_from(self.mtime_ns).unwrap_or_default();
        let made = SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos);
        made.elapsed().unwrap_or_default() < YOUNG
    }

    /// What it is, in a sentence.
    pub fn told(&self) -> &'static str {
        match self.why {
            Why::HalfFlip => {
                "a flip of Capistrano was killed; its next deploy would have put the old release live"
            }
            Why::Astray => "a flip of Capistrano went into this release instead of making the new one live",
            Why::HalfDeploy => "a deploy of Deployer was killed",
        }
    }
}
