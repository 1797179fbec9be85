//! Survey: all that is to be known of another tool's tree before it is adopted. It only looks.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use release::app::AppError;
use release::live::{self, LiveError};
use release::{App, Live, ReleaseId};

use super::disk;
use super::litter::{self, Litter};
use super::shared::{self, Shared};
use super::standing::{self, Found, Line, Look};
use super::tool::Tool;

/// What was seen.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The app.
    pub app: App,
    /// Whose tree it is.
    pub tool: Tool,
    /// By which signs.
    pub by: Vec<String>,
    /// What is live.
    pub live: Live,
    /// Its releases: those that were live in that order, the live one last.
    pub releases: Vec<Found>,
    /// Directories in `releases/` whose names cannot be releases'.
    pub nameless: Vec<String>,
    /// What the live release shares.
    pub shared: Shared,
    /// Links to be removed.
    pub litter: Vec<Litter>,
    /// Links that look like litter, but a deploy that is running may need them.
    pub young: Vec<Litter>,
    /// Where the tool got its releases from: the repository and the branch.
    pub origin: Option<(String, Option<String>)>,
    /// When the root was last changed, in nanoseconds since 1970.
    pub root_changed_ns: Option<i128>,
    /// The tool's own lock, with what it says: a deploy is running, or was killed.
    pub foreign_lock: Option<(PathBuf, String)>,
}

/// Why a tree cannot be adopted.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// It is no layout at all.
    #[error("{0}")]
    Layout(AppError),
    /// No link, or no directory `releases/`, is there.
    #[error("{root} is no tree of releases: {what}")]
    NoTree {
        /// The directory.
        root: PathBuf,
        /// What is missing.
        what: String,
    },
    /// The link names no release.
    #[error("nothing can be adopted while no release is live: {0}")]
    NotLive(LiveError),
    /// A release was vouched for that is not there.
    #[error("there is no release {0}")]
    NoRelease(ReleaseId),
    /// Something could not be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// What.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// Looks at the tree below `root`. `link` names the link if it is not `current`; `vouched` are releases that a
/// person knows to be good.
pub fn survey(root: &Path, link: Option<&Path>, vouched: &[ReleaseId]) -> Result<Survey, SurveyError> {
    let link = match link {
        Some(link) => link.to_owned(),
        None => find_link(root)?,
    };
    let app = App::new(root, &link, &[]).map_err(SurveyError::Layout)?;
    let live = live::read(&app).map_err(SurveyError::NotLive)?;
    let (ids, nameless) = names(&app)?;
    if let Some(missing) = vouched.iter().find(|id| !ids.contains(id)) {
        return Err(SurveyError::NoRelease(missing.clone()));
    }
    let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let (tool, by) = Tool::recognise(root, &texts);
    let (litter, young) = litter::find(&app, tool, &ids);
    let flipped = app.link().symlink_metadata().and_then(|meta| meta.modified());
    let flipped = flipped.unwrap_or_else(|_| SystemTime::now()).min(SystemTime::now());
    let look = Look { root, tool, live: &live, flipped, vouched, litter: &litter };
    let releases = standing::standings(&look, &ids);
    let mut roots = vec![root.to_owned()];
    roots.extend(live.dir.parent().and_then(Path::parent).map(Path::to_owned));
    let shared = shared::find(&roots, &live.dir).map_err(unreadable(&live.dir))?;
    let origin = origin(root, tool);
    let foreign_lock = tool.lock().map(|name| root.join(name)).filter(|path| path.exists()).map(|path| {
        let text = std::fs::read(&path).unwrap_or_default();
        (path, String::from_utf8_lossy(&text).trim().to_owned())
    });
    let root_changed_ns = disk::mtime_ns(root);
    Ok(Survey {
        app,
        tool,
        by,
        live,
        releases,
        nameless,
        shared,
        litter,
        young,
        origin,
        root_changed_ns,
        foreign_lock,
    })
}

/// `current`, or the one link in the root that leads into `releases/`.
fn find_link(root: &Path) -> Result<PathBuf, SurveyError> {
    let no_tree = |what: &str| SurveyError::NoTree { root: root.to_owned(), what: what.into() };
    if !root.join("releases").is_dir() {
        return Err(no_tree("it has no directory releases/"));
    }
    if root.join("current").symlink_metadata().is_ok() {
        return Ok("current".into());
    }
    let mut links = Vec::new();
    for entry in std::fs::read_dir(root).map_err(unreadable(root))?.flatten() {
        let leads = std::fs::read_link(entry.path()).ok();
        let inside = leads.is_some_and(|to| to.components().any(|part| part.as_os_str() == "releases"));
        // Deployer's mark of a deploy that is not done.
        if inside && entry.file_name() != "release" {
            links.push(PathBuf::from(entry.file_name()));
        }
    }
    match links.len() {
        1 => links.pop().ok_or_else(|| no_tree("it has no link")),
        0 => Err(no_tree("no link in it leads into releases/; name one that stands elsewhere with --link")),
        _ => Err(no_tree("several links in it lead into releases/; name the right one with --link")),
    }
}

fn names(app: &App) -> Result<(Vec<ReleaseId>, Vec<String>), SurveyError> {
    let releases = app.releases();
    let (mut ids, mut nameless) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(&releases).map_err(unreadable(&releases))? {
        let entry = entry.map_err(unreadable(&releases))?;
        if !entry.file_type().map_err(unreadable(&releases))?.is_dir() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        match ReleaseId::parse(&name) {
            Ok(id) => ids.push(id),
            Err(_) => nameless.push(name),
        }
    }
    // By number where they are numbers: 9 before 10.
    ids.sort_by_key(|id| (id.as_str().parse::<u64>().unwrap_or(u64::MAX), id.clone()));
    Ok((ids, nameless))
}

/// The `url` of `[remote "origin"]`, unless there is a password in it.
fn origin(root: &Path, tool: Tool) -> Option<(String, Option<String>)> {
    let text = std::fs::read_to_string(root.join(tool.repository()?)).ok()?;
    let mut section = "";
    let mut url = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section == "[remote \"origin\"]"
            && let Some((key, value)) = line.split_once('=')
            && key.trim() == "url"
        {
            url = Some(value.trim().to_owned());
        }
    }
    let secret = |url: &String| {
        let user = url.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
        user.is_some_and(|(user, _)| user.contains(':'))
    };
    let url = url.filter(|url| !secret(url))?;
    Some((url, branch(root, tool)))
}

/// What was deployed last, as the tool wrote it down.
fn branch(root: &Path, tool: Tool) -> Option<String> {
    match tool {
        Tool::Capistrano => standing::revisions(root).into_iter().rev().find_map(|line| match line {
            Line::Deployed { branch, .. } => Some(branch),
            Line::RolledBack { .. } => None,
        }),
        Tool::Deployer => {
            let text = std::fs::read_to_string(root.join(".dep/releases_log")).ok()?;
            let last: serde_json::Value = serde_json::from_str(text.lines().last()?).ok()?;
            last.get("target")?.as_str().map(str::to_owned)
        }
        Tool::Ansistrano | Tool::Mina | Tool::Envoyer | Tool::Other => None,
    }
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> SurveyError {
    let path = path.to_owned();
    move |source| SurveyError::Unreadable { path, source }
}
