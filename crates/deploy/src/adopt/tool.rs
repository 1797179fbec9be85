//! Tool: whose tree an app's directory is, and how that tool names its releases.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Who made a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tool {
    /// Capistrano 3: `releases/YYYYmmddHHMMSS`, `revisions.log`, `repo/`.
    Capistrano,
    /// Deployer 6 to 8: `releases/N`, `.dep/`.
    Deployer,
    /// Ansistrano: `releases/YYYYmmddHHMMSSZ`.
    Ansistrano,
    /// Mina: `releases/N`, `scm/`, `releases/N/.mina_git_revision`.
    Mina,
    /// Envoyer: `releases/YYYYmmddHHMMSS`, `storage/` and `.env` beside `current`.
    Envoyer,
    /// A script, or a person: a link that leads into `releases/`.
    Other,
}

impl Tool {
    /// Whose tree this is, and the signs of it.
    pub fn recognise(root: &Path, releases: &[String]) -> (Tool, Vec<String>) {
        let there = |path: &str| root.join(path).symlink_metadata().is_ok();
        let in_release = |name: &str| {
            let found = releases.iter().find(|id| root.join("releases").join(id).join(name).is_file());
            found.map(|id| format!("releases/{id}/{name}"))
        };
        let named = |form: fn(&str) -> bool| releases.iter().find(|id| form(id));
        if there(".dep") {
            return (Tool::Deployer, vec![".dep/".into()]);
        }
        if there("revisions.log") {
            return (Tool::Capistrano, vec!["revisions.log".into()]);
        }
        if let Some(path) = in_release(".mina_git_revision") {
            return (Tool::Mina, vec![path]);
        }
        if there("scm/HEAD") && named(is_number).is_some() {
            return (Tool::Mina, vec!["scm/".into()]);
        }
        if let Some(id) = named(is_stamp_z) {
            return (Tool::Ansistrano, vec![format!("releases/{id}")]);
        }
        if let Some(id) = named(is_stamp) {
            if there("storage") && !there("repo") {
                return (Tool::Envoyer, vec![format!("releases/{id}"), "storage/".into()]);
            }
            if there("repo/HEAD") || in_release("REVISION").is_some() {
                return (Tool::Capistrano, vec![format!("releases/{id}")]);
            }
        }
        (Tool::Other, Vec::new())
    }

    /// Where the tool keeps its copy of the repository, below the root, and the configuration in it.
    pub fn repository(self) -> Option<&'static str> {
        match self {
            Tool::Capistrano => Some("repo/config"),
            Tool::Deployer => Some(".dep/repo/config"),
            Tool::Ansistrano => Some("repo/.git/config"),
            Tool::Mina => Some("scm/config"),
            Tool::Envoyer | Tool::Other => None,
        }
    }

    /// The file that says that the tool is deploying, below the root.
    pub fn lock(self) -> Option<&'static str> {
        match self {
            Tool::Deployer => Some(".dep/deploy.lock"),
            Tool::Mina => Some("deploy.lock"),
            Tool::Capistrano | Tool::Ansistrano | Tool::Envoyer | Tool::Other => None,
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tool::Capistrano => "Capistrano",
            Tool::Deployer => "Deployer",
            Tool::Ansistrano => "Ansistrano",
            Tool::Mina => "Mina",
            Tool::Envoyer => "Envoyer",
            Tool::Other => "no tool that is known",
        })
    }
}

/// `YYYYmmddHHMMSS`.
pub fn is_stamp(name: &str) -> bool {
    name.len() == 14 && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// `YYYYmmddHHMMSSZ`.
pub fn is_stamp_z(name: &str) -> bool {
    name.strip_suffix('Z').is_some_and(is_stamp)
}

/// `1`, `2`, …
pub fn is_number(name: &str) -> bool {
    name.len() < 10 && name.parse::<u32>().is_ok()
}
