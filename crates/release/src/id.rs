//! ReleaseId: the name of a release, safe as a file name, a header value and an INI value.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The longest id, in bytes. Leaves room for our suffixes below the 255 bytes a file name may have.
pub const MAX: usize = 128;

/// The name of a release: 1 to [`MAX`] bytes of `[A-Za-z0-9._+~-]`, the first neither `.` nor `-`. Cheap to clone.
///
/// So narrow because the name goes into paths, HTTP headers and PHP's INI values, where a newline or a quote
/// would be an injection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseId(Arc<str>);

/// Why a text is no release id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdError {
    /// It has no characters at all.
    Empty,
    /// It has this many bytes, more than [`MAX`].
    TooLong(usize),
    /// It begins with `.` or `-`.
    Start(char),
    /// It contains this character, which is not allowed.
    Character(char),
}

impl ReleaseId {
    /// Takes a text as a release id.
    pub fn parse(text: &str) -> Result<ReleaseId, IdError> {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if text.len() > MAX {
            return Err(IdError::TooLong(text.len()));
        }
        if let Some(first @ ('.' | '-')) = text.chars().next() {
            return Err(IdError::Start(first));
        }
        if let Some(bad) = text.chars().find(|c| !allowed(*c)) {
            return Err(IdError::Character(bad));
        }
        Ok(ReleaseId(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '~' | '-')
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for ReleaseId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<Path> for ReleaseId {
    fn as_ref(&self) -> &Path {
        Path::new(&*self.0)
    }
}

impl std::str::FromStr for ReleaseId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<ReleaseId, IdError> {
        ReleaseId::parse(text)
    }
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdError::Empty => write!(f, "a release name cannot be empty"),
            IdError::TooLong(len) => write!(f, "a release name of {len} bytes is too long (at most {MAX})"),
            IdError::Start(c) => write!(f, "a release name cannot begin with {c:?}"),
            IdError::Character(c) => {
                write!(f, "{c:?} is not allowed in a release name (letters, digits and . _ + ~ - are)")
            }
        }
    }
}

impl std::error::Error for IdError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_other_tools_give_are_accepted() {
        for name in ["1", "20261122101500", "20261122T101500Z-9f3c2a", "v1.2.3+build~rc1", "_x", "A"] {
            assert_eq!(ReleaseId::parse(name).map(|id| id.to_string()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn names_that_could_do_harm_are_refused() {
        use IdError::*;
        for (name, why) in [
            ("", Empty),
            (".", Start('.')),
            ("..", Start('.')),
            (".git", Start('.')),
            ("-rf", Start('-')),
            ("a/b", Character('/')),
            ("a b", Character(' ')),
            ("a\nb", Character('\n')),
            ("a\0", Character('\0')),
            ("a:b", Character(':')),
            ("é", Character('é')),
        ] {
            assert_eq!(ReleaseId::parse(name), Err(why), "{name:?}");
        }
        assert_eq!(ReleaseId::parse(&"x".repeat(128)).map(|id| id.as_str().len()), Ok(128));
        assert_eq!(ReleaseId::parse(&"x".repeat(129)), Err(TooLong(129)));
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_one_plain_file_name(text in "\\PC{0,140}|[A-Za-z0-9._+~-]{0,140}") {
            if let Ok(id) = ReleaseId::parse(&text) {
                prop_assert_eq!(id.as_str(), &text);
                let path = Path::new(id.as_str());
                prop_assert_eq!(path.components().count(), 1);
                prop_assert_eq!(path.file_name().map(|n| n.len()), Some(text.len()));
            }
        }
    }
}
