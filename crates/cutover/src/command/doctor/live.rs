//! live: a site from outside, by a few harmless requests.

use std::path::Path;

use doctor::live::{self, NoAnswer};
use doctor::render::live::{json, text};

use super::paint;
use crate::answer::{Answer, Failure};

/// Looks at the site, and tells what can and cannot be concluded. It never fails for what it sees: seen from outside,
/// little is certain.
pub fn look(url: &str, probe: Option<&Path>) -> Result<Answer, Failure> {
    let live = live::look(url, probe).map_err(|why| match why {
        NoAnswer::NoAddress(_) => Failure::usage(why.to_string()),
        NoAnswer::Silent { .. } => Failure::failed(why.to_string()),
    })?;
    Ok(Answer::new(text(&live, paint()).trim_end(), json(&live)))
}
