//! Rules: what the host's configuration says about staging.

use std::path::PathBuf;

use config::host::{Host, LinkMode, Moment, Packing};
use rustix::process::{getegid, geteuid};

use crate::stage::exclude::Exclude;

/// How a tree becomes a release.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Directories that outlive releases, relative.
    pub shared_dirs: Vec<PathBuf>,
    /// Files likewise.
    pub shared_files: Vec<PathBuf>,
    /// Places inside a release that the pool's user may write, relative.
    pub writable: Vec<PathBuf>,
    /// How an unchanged file gets from one release into the next.
    pub link_mode: LinkMode,
    /// Who owns the release; `None`: who runs the command.
    pub user: Option<Owner>,
    /// The pool's user, where it is known.
    pub pool: Option<u32>,
    /// The users that pool and hooks run as, who may write to a release that is not live yet; `None`: not known.
    pub writers: Option<Vec<u32>>,
    /// What is left out.
    pub exclude: Exclude,
    /// The forms in which files get packed siblings.
    pub precompress: Vec<Packing>,
}

/// A user and its group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// Why the configuration makes no rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// The system does not know this user.
    #[error("there is no user {name:?} on this machine, which `{key}` names")]
    NoUser {
        /// Which key.
        key: &'static str,
        /// The name it has.
        name: String,
    },
}

impl Rules {
    /// The rules that a host's configuration makes.
    pub fn of(host: &Host) -> Result<Rules, RulesError> {
        let user = host.app.user.as_deref().map(|name| look_up("app.user", name)).transpose()?;
        let pool = match host.php.as_ref().and_then(|php| php.user.as_deref()) {
            Some(name) => Some(look_up("php.user", name)?.uid),
            None => None,
        };
        let owner = user.map_or_else(|| geteuid().as_raw(), |user| user.uid);
        let writers = match (&host.php, pool) {
            // Somebody else's pool: who it runs as cannot be told from here.
            (Some(_), None) => None,
            (_, pool) => {
                let hooks = hook_users(host, owner)?;
                Some(pool.into_iter().chain(hooks).collect())
            }
        };
        Ok(Rules {
            shared_dirs: host.app.shared_dirs.clone(),
            shared_files: host.app.shared_files.clone(),
            writable: host.app.writable.clone(),
            link_mode: host.app.link_mode,
            user,
            pool,
            writers,
            exclude: Exclude::new(host.source.as_ref().map_or(&[], |source| &source.exclude)),
            precompress: host.stage.precompress.clone(),
        })
    }

    /// Rules that change nothing: no shared places, every file copied.
    pub fn plain() -> Rules {
        Rules {
            shared_dirs: Vec::new(),
            shared_files: Vec::new(),
            writable: Vec::new(),
            link_mode: LinkMode::Copy,
            user: None,
            pool: None,
            writers: None,
            exclude: Exclude::default(),
            precompress: Vec::new(),
        }
    }

    /// Who is to own the release.
    pub(crate) fn owner(&self) -> Owner {
        self.user.unwrap_or(Owner { uid: geteuid().as_raw(), gid: getegid().as_raw() })
    }

    /// Whether nobody who works in a release can write to its files, so that releases may share them.
    pub(crate) fn nobody_writes(&self) -> bool {
        let owner = self.owner().uid;
        let harmless = |uid: &u32| *uid != 0 && *uid != owner;
        self.writers.as_ref().is_some_and(|writers| writers.iter().all(harmless))
    }
}

/// The users of the hooks that may run in a staged release.
fn hook_users(host: &Host, owner: u32) -> Result<Vec<u32>, RulesError> {
    let before =
        |moment: &Moment| matches!(moment, Moment::BeforeBuild | Moment::AfterBuild | Moment::BeforeStage);
    let commands =
        Moment::ALL.into_iter().filter(|moment| !before(moment)).flat_map(|moment| host.hooks.at(moment));
    let user = |name: &Option<String>| match name {
        Some(name) => look_up("hooks.user", name).map(|user| user.uid),
        None => Ok(owner),
    };
    commands.map(|command| user(&command.user)).collect()
}

/// A user by name, or by number.
fn look_up(key: &'static str, name: &str) -> Result<Owner, RulesError> {
    let unknown = || RulesError::NoUser { key, name: name.to_owned() };
    // An error of the user database is told as what it amounts to: the user cannot be found.
    let found = match name.parse() {
        Ok(uid) => nix::unistd::User::from_uid(uid_of(uid)),
        Err(_) => nix::unistd::User::from_name(name),
    };
    let user = found.ok().flatten().ok_or_else(unknown)?;
    Ok(Owner { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
}

fn uid_of(uid: u32) -> nix::unistd::Uid {
    nix::unistd::Uid::from_raw(uid)
}
