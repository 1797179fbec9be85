//! AuthRule: who may enter a part of the site, by HTTP basic authentication.

use std::collections::BTreeMap;

use crate::complaint::ConfigError;
use crate::read::Section;
use crate::value::Prefix;

/// One `[[site.auth]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthRule {
    /// What it guards: this path and everything below it.
    pub path: Prefix,
    /// The realm that browsers show; printable ASCII without quotes.
    pub realm: String,
    /// User name to bcrypt hash (`$2a$`, `$2b$` or `$2y$`, as `htpasswd -nB` writes). Never empty.
    pub users: BTreeMap<String, String>,
}

impl AuthRule {
    pub(crate) fn read(section: &Section<'_>) -> Result<AuthRule, ConfigError> {
        let path = section.need("path")?;
        let realm = section.at("realm").map(|at| at.read_as("a few plain words", realm)).transpose()?;
        let mut users = BTreeMap::new();
        for (name, at) in section.named("users")? {
            // RFC 7617: the colon ends the user's name.
            if name.is_empty() || name.contains(':') || name.chars().any(char::is_control) {
                return Err(
                    at.complain(format!("`{name}` cannot be a user's name"), "use a name without `:`")
                );
            }
            users.insert(name, at.read_as("its bcrypt hash, as `htpasswd -nB NAME` prints it", bcrypt_hash)?);
        }
        if users.is_empty() {
            return Err(
                section.complain("[[site.auth]] lets nobody in", "write users = { name = \"$2y$…\" }")
            );
        }
        Ok(AuthRule { path, realm: realm.unwrap_or_else(|| "restricted".into()), users })
    }
}

fn realm(text: &str) -> Result<String, String> {
    let plain = |c: char| (c.is_ascii_graphic() || c == ' ') && c != '"' && c != '\\';
    match !text.is_empty() && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("it is sent in a header: printable ASCII without quotes".into()),
    }
}

/// `$2y$10$` and 53 characters of salt and hash.
fn bcrypt_hash(text: &str) -> Result<String, String> {
    let cost_and_rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|start| text.strip_prefix(start));
    let Some((cost, rest)) = cost_and_rest.and_then(|text| text.split_once('$')) else {
        return Err("it is not a bcrypt hash".into());
    };
    let base64 = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '/';
    if rest.len() != 53 || !rest.chars().all(base64) {
        return Err("it is not a whole bcrypt hash".into());
    }
    match cost.parse::<u32>() {
        Ok(cost) if (4..=15).contains(&cost) => Ok(text.to_owned()),
        // Each step doubles the time; 16 and more would be seconds of CPU for every request.
        Ok(_) | Err(_) => Err("its cost must be 04 to 15".into()),
    }
}
