//! Basic authentication (RFC 7617) by the rules of the pinned release.

use std::sync::Mutex;
use std::sync::PoisonError;

use config::says::AuthRule;
use http::{HeaderMap, header};

/// What a request's credentials are worth.
#[derive(Debug, PartialEq, Eq)]
pub enum Access {
    /// Nobody guards the path.
    Free,
    /// The user may enter.
    Granted(String),
    /// Nobody said who they are, or said so wrongly; the realm to ask for.
    Denied(String),
}

/// Passwords that were found right, so that bcrypt runs once per user and not once per request.
///
/// Kept are BLAKE3 hashes keyed with the process's own random key, never passwords.
pub struct Checked {
    key: [u8; 32],
    right: Mutex<std::collections::HashSet<[u8; 32]>>,
}

/// More right passwords than this are forgotten all at once.
const REMEMBERED: usize = 1024;

impl Default for Checked {
    fn default() -> Self {
        use std::hash::{BuildHasher, RandomState};
        // Four draws of the standard library's random keys: unguessable from outside the process, which is all
        // that is asked of it.
        let mut key = [0; 32];
        for (n, part) in key.chunks_exact_mut(8).enumerate() {
            part.copy_from_slice(&RandomState::new().hash_one(n).to_le_bytes());
        }
        Self { key, right: Mutex::default() }
    }
}

impl Checked {
    /// Judges a request for `path` (decoded and normalised). May run bcrypt: not for an async worker thread.
    pub fn judge(&self, rules: &[AuthRule], path: &[u8], headers: &HeaderMap) -> Access {
        let Some(rule) = rule(rules, path) else { return Access::Free };
        match credentials(headers) {
            Some((user, password)) if self.is_right(rule, &user, &password) => Access::Granted(user),
            Some(_) | None => Access::Denied(rule.realm.clone()),
        }
    }

    fn is_right(&self, rule: &AuthRule, user: &str, password: &[u8]) -> bool {
        let hash = rule.users.get(user);
        // Someone unknown costs the same time as someone known: names cannot be told by the clock.
        let compared = hash.map_or(UNKNOWN, String::as_str);
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in [user.as_bytes(), compared.as_bytes(), password] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let seen = *hasher.finalize().as_bytes();
        let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if right.contains(&seen) {
            return true;
        }
        drop(right);
        let matches = bcrypt::verify(password, compared).unwrap_or(false) && hash.is_some();
        if matches {
            right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
            if right.len() >= REMEMBERED {
                right.clear();
            }
            right.insert(seen);
        }
        matches
    }
}

/// A bcrypt hash of nothing anybody knows.
const UNKNOWN: &str = "$2b$10$C6UzMDM.H6dfI/f/IKcEeO7fWkS0YJ3Xz6Jc8p0d1h7o6QeJ1dC3K";

/// Whether any rule guards `path`.
pub fn guards(rules: &[AuthRule], path: &[u8]) -> bool {
    rule(rules, path).is_some()
}

fn rule<'r>(rules: &'r [AuthRule], path: &[u8]) -> Option<&'r AuthRule> {
    rules.iter().filter(|rule| rule.path.covers(path)).max_by_key(|rule| rule.path.as_str().len())
}

fn credentials(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64(encoded.trim())?;
    let colon = memchr::memchr(b':', &decoded)?;
    let user = String::from_utf8(decoded[..colon].to_vec()).ok()?;
    Some((user, decoded[colon + 1..].to_vec()))
}

/// RFC 4648 section 4.
fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guarded_path_opens_for_the_right_password_only() {
        let hash = bcrypt::hash("open sesame", 4).unwrap();
        let text = format!("[[site.auth]]\npath = \"/admin\"\nusers = {{ ali = \"{hash}\" }}\n");
        let rules = config::Says::parse_release(&text, std::path::Path::new("cutover.toml")).unwrap().auth;
        let checked = Checked::default();
        let with = |user: &str, password: &str| {
            use base64::Engine;
            let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, format!("Basic {encoded}").parse().unwrap());
            headers
        };
        let denied = Access::Denied("restricted".into());
        assert_eq!(checked.judge(&rules, b"/", &HeaderMap::new()), Access::Free);
        assert_eq!(checked.judge(&rules, b"/administrator", &HeaderMap::new()), Access::Free);
        assert_eq!(checked.judge(&rules, b"/admin", &HeaderMap::new()), denied);
        assert_eq!(checked.judge(&rules, b"/admin/x", &with("ali", "wrong")), denied);
        assert_eq!(checked.judge(&rules, b"/admin/x", &with("baba", "open sesame")), denied);
        for _twice in 0..2 {
            assert_eq!(
                checked.judge(&rules, b"/admin/x", &with("ali", "open sesame")),
                Access::Granted("ali".into())
            );
        }
    }
}
