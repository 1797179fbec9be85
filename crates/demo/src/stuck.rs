//! Stuck: why the demo cannot go on, in one sentence and its causes.

use std::error::Error;
use std::fmt;

/// What was tried, and what went wrong.
#[derive(Debug)]
pub struct Stuck {
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Stuck {
    /// Without a cause beneath.
    pub fn because(what: impl Into<String>) -> Self {
        Self { what: what.into(), source: None }
    }
}

/// For `?`: says what was tried.
pub trait Trying<T> {
    /// The value, or what was tried and why it failed.
    fn trying(self, what: impl FnOnce() -> String) -> Result<T, Stuck>;
}

impl<T, E: Error + Send + Sync + 'static> Trying<T> for Result<T, E> {
    fn trying(self, what: impl FnOnce() -> String) -> Result<T, Stuck> {
        self.map_err(|why| Stuck { what: what(), source: Some(Box::new(why)) })
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.what)?;
        let mut cause = self.source.as_ref().map(|source| &**source as &dyn Error);
        while let Some(why) = cause {
            write!(out, ": {why}")?;
            cause = why.source();
        }
        Ok(())
    }
}
