//! AppKeys: an app's name and its place on disk.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::complaint::ConfigError;
use crate::read::{self, Beneath, Section};

/// `[app]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppKeys {
    /// `name`; the root's last component unless said otherwise.
    pub name: String,
    /// `root`: holds the link, `releases/`, `shared/` and `.cutover/`. Joined to the file's directory.
    pub root: PathBuf,
    /// `link`, relative to the root or absolute; `current` unless said otherwise.
    pub link: PathBuf,
    /// `allow`: directories beside `releases/` that the link may lead into. Joined to the root.
    pub allow: Vec<PathBuf>,
    /// `shared_dirs`, relative.
    pub shared_dirs: Vec<PathBuf>,
    /// `shared_files`, relative.
    pub shared_files: Vec<PathBuf>,
    /// `writable`: places in a release that the pool's user may write, relative.
    pub writable: Vec<PathBuf>,
    /// `user`: who owns the releases; `None`: who runs the command.
    pub user: Option<String>,
    /// `keep`: good releases that prune leaves besides the live one and the one that a rollback would go to; 5 unless
    /// said otherwise.
    pub keep: u32,
    /// `keep_for`: a release stays at least so long after it was live; 1 hour unless said otherwise.
    pub keep_for: Duration,
    /// `layout`.
    pub layout: Layout,
    /// `slots`: how many releases take turns, in slot mode; 2 unless said otherwise.
    pub slots: u32,
    /// `slot_wait`: how long a deploy waits for a slot that nobody uses; 30 s unless said otherwise.
    pub slot_wait: Duration,
    /// `link_mode`.
    pub link_mode: LinkMode,
}

/// How releases lie on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// `releases`: one directory per release.
    #[default]
    Releases,
    /// `slots`: stable paths that successive releases take turns in.
    Slots,
}

/// How an unchanged file gets from one release into the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkMode {
    /// `auto`: reflink; hard link only where pool and hooks run as another, non-root user; else copy.
    #[default]
    Auto,
    /// `reflink`, or fail.
    Reflink,
    /// `hardlink`, or fail.
    Hardlink,
    /// `copy`, always.
    Copy,
}

impl AppKeys {
    pub(crate) fn standard(root: &Path) -> AppKeys {
        AppKeys {
            name: name_of(root),
            root: root.to_owned(),
            link: "current".into(),
            allow: Vec::new(),
            shared_dirs: Vec::new(),
            shared_files: Vec::new(),
            writable: Vec::new(),
            user: None,
            keep: 5,
            keep_for: Duration::from_secs(3600),
            layout: Layout::default(),
            slots: 2,
            slot_wait: Duration::from_secs(30),
            link_mode: LinkMode::default(),
        }
    }

    pub(crate) fn read(section: &Section<'_>, base: &Path) -> Result<AppKeys, ConfigError> {
        let root = section.get::<PathBuf>("root")?.map_or_else(|| base.to_owned(), |root| base.join(root));
        let default = AppKeys::standard(&root);
        let inside = |key| {
            let list = section.list::<Beneath>(key);
            list.map(|paths| paths.into_iter().map(|path| path.0).collect::<Vec<PathBuf>>())
        };
        let layouts = [("releases", Layout::Releases), ("slots", Layout::Slots)];
        let modes = [
            ("auto", LinkMode::Auto),
            ("reflink", LinkMode::Reflink),
            ("hardlink", LinkMode::Hardlink),
            ("copy", LinkMode::Copy),
        ];
        Ok(AppKeys {
            name: section
                .at("name")
                .map(|at| at.read_as("a short name: \"shop\"", name))
                .transpose()?
                .unwrap_or(default.name),
            link: section.or("link", default.link)?,
            allow: section.list::<PathBuf>("allow")?.iter().map(|path| root.join(path)).collect(),
            shared_dirs: inside("shared_dirs")?,
            shared_files: inside("shared_files")?,
            writable: inside("writable")?,
            user: section.get("user")?,
            keep: section.get::<NonZeroU32>("keep")?.map_or(default.keep, NonZeroU32::get),
            keep_for: section.get::<read::Duration>("keep_for")?.map_or(default.keep_for, |span| span.0),
            layout: section.at("layout").map(|at| at.choice(&layouts)).transpose()?.unwrap_or_default(),
            slots: slots(section)?.unwrap_or(default.slots),
            slot_wait: section.get::<read::Duration>("slot_wait")?.map_or(default.slot_wait, |span| span.0),
            link_mode: section.at("link_mode").map(|at| at.choice(&modes)).transpose()?.unwrap_or_default(),
            root,
        })
    }
}

/// How many slots, one per letter.
fn slots(section: &Section<'_>) -> Result<Option<u32>, ConfigError> {
    let Some(found) = section.get::<NonZeroU32>("slots")?.map(NonZeroU32::get) else { return Ok(None) };
    match section.at("slots") {
        Some(at) if !(2..=26).contains(&found) => {
            Err(at.wrong(&format!("releases cannot take turns in {found}"), "a number from 2 to 26"))
        }
        Some(_) | None => Ok(Some(found)),
    }
}

/// A name that fits into metrics labels, log lines and file names.
fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match !text.is_empty() && text.len() <= 64 && text.chars().all(plain) && !text.starts_with(['.', '-']) {
        true => Ok(text.to_owned()),
        false => Err("it is not 1 to 64 letters, digits, `.`, `_` and `-`".into()),
    }
}

fn name_of(root: &Path) -> String {
    let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    let last = root.file_name().map(|name| name.to_string_lossy().into_owned());
    last.filter(|text| name(text).is_ok()).unwrap_or_else(|| "app".into())
}
