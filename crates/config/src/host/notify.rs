//! Notify: who is told of a deploy.

use std::path::{Path, PathBuf};

use crate::complaint::ConfigError;
use crate::read::Section;

/// One `[[notify]]`: a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// Where its address stands.
    pub url: Secret,
    /// `format` of the message.
    pub format: NoticeFormat,
    /// `on`: of what it is told; success, failure and rollback unless said otherwise.
    pub on: Vec<Notice>,
}

/// A text that may be secret: a webhook's address is its password.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// `url`: in the file itself.
    Plain(String),
    /// `url_env`: in this variable of the environment.
    Env(String),
    /// `url_file`: in this file, which only its owner may read.
    File(PathBuf),
}

/// The form of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeFormat {
    /// `json`: all that is known, as one object.
    Json,
    /// `slack`.
    Slack,
    /// `discord`.
    Discord,
    /// `teams`.
    Teams,
}

/// What somebody can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// `start`: a deploy begins.
    Start,
    /// `success`: a release is live and verified.
    Success,
    /// `failure`: a deploy failed.
    Failure,
    /// `rollback`: the site was flipped back.
    Rollback,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Secret::Plain(_) => f.write_str("Plain(***)"),
            Secret::Env(name) => f.debug_tuple("Env").field(name).finish(),
            Secret::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl Notify {
    pub(crate) fn read(section: &Section<'_>, base: &Path) -> Result<Notify, ConfigError> {
        let places = ["url", "url_env", "url_file"].map(|key| section.at(key));
        let url = match places {
            [Some(url), None, None] => Secret::Plain(url.read_as("an address: \"https://…\"", address)?),
            [None, Some(env), None] => Secret::Env(env.read()?),
            [None, None, Some(file)] => Secret::File(base.join(file.read::<PathBuf>()?)),
            [_, _, _] => {
                return Err(
                    section.complain("[[notify]] needs one address", "write one of url, url_env, url_file")
                );
            }
        };
        let formats = [
            ("json", NoticeFormat::Json),
            ("slack", NoticeFormat::Slack),
            ("discord", NoticeFormat::Discord),
            ("teams", NoticeFormat::Teams),
        ];
        let notices = [
            ("start", Notice::Start),
            ("success", Notice::Success),
            ("failure", Notice::Failure),
            ("rollback", Notice::Rollback),
        ];
        let on = match section.at("on") {
            Some(at) => at
                .items("\"start\", \"success\", \"failure\" or \"rollback\"")?
                .iter()
                .map(|item| item.choice(&notices))
                .collect::<Result<_, _>>()?,
            None => vec![Notice::Success, Notice::Failure, Notice::Rollback],
        };
        let format = section.at("format").map(|at| at.choice(&formats)).transpose()?;
        Ok(Notify { url, format: format.unwrap_or(NoticeFormat::Json), on })
    }
}

fn address(text: &str) -> Result<String, String> {
    let known = text.starts_with("https://") || text.starts_with("http://");
    match known && text.chars().all(|c| c.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        // The text itself is not repeated: it may be a secret.
        false => Err("it is no http:// or https:// address".into()),
    }
}
