//! ErrorPages: which page of the release is shown for which status.

use std::collections::BTreeMap;

use super::page;
use crate::complaint::ConfigError;
use crate::read::Section;

/// `[site.error]`: `404 = "/404.html"`, `"5xx" = "/sorry.html"`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorPages {
    exact: BTreeMap<u16, String>,
    client: Option<String>,
    server: Option<String>,
}

impl ErrorPages {
    /// The URL path of the page for a status, its class's if it has none of its own.
    pub fn page(&self, status: u16) -> Option<&str> {
        let class = match status {
            400..=499 => &self.client,
            500..=599 => &self.server,
            _ => &None,
        };
        self.exact.get(&status).or(class.as_ref()).map(String::as_str)
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.client.is_none() && self.server.is_none()
    }

    pub(crate) fn read(site: &Section<'_>) -> Result<ErrorPages, ConfigError> {
        let mut pages = ErrorPages::default();
        for (status, at) in site.named("error")? {
            let page = at.read_as("a page of the site: \"/404.html\"", page)?;
            match (status.as_str(), status.parse::<u16>()) {
                ("4xx", _) => pages.client = Some(page),
                ("5xx", _) => pages.server = Some(page),
                (_, Ok(code)) if (400..=599).contains(&code) => {
                    pages.exact.insert(code, page);
                }
                (_, Ok(_) | Err(_)) => {
                    let what = format!("`{status}` is not an error's status");
                    return Err(at.complain(what, "write 400 to 599, \"4xx\" or \"5xx\""));
                }
            }
        }
        Ok(pages)
    }
}
