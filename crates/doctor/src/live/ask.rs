//! Ask: requests to a site, as anybody would make them.

use std::cell::Cell;
use std::io::Read;
use std::time::Duration;

use ureq::Agent;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// What was asked for.
    pub url: String,
    /// The status.
    pub status: u16,
    /// Its header fields, names in lower case.
    pub fields: Vec<(String, String)>,
    /// The beginning of the body.
    pub body: String,
    /// Bytes of the body, as far as it was read.
    pub len: u64,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// It is no address of a page.
    #[error("{0} is no http:// or https:// address")]
    NoAddress(String),
    /// Nobody answered.
    #[error("no answer from {url}: {why}")]
    Silent {
        /// What was asked for.
        url: String,
        /// Why.
        why: String,
    },
}

/// Asks one site.
pub(super) struct Asker {
    agent: Agent,
    page: String,
    asked: Cell<usize>,
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// So much of a body is read, in bytes.
const BODY_MAX: u64 = 512 << 10;

impl Asker {
    pub(super) fn new(url: &str) -> Result<Asker, NoAnswer> {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        let Some(rest) = rest.filter(|rest| !rest.is_empty() && !rest.starts_with('/')) else {
            return Err(NoAnswer::NoAddress(url.to_owned()));
        };
        let page = if rest.contains('/') { url.to_owned() } else { format!("{url}/") };
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("cutover-doctor/", env!("CARGO_PKG_VERSION")));
        Ok(Asker { agent: config.build().into(), page, asked: Cell::new(0) })
    }

    /// The page.
    pub(super) fn page(&self) -> &str {
        &self.page
    }

    /// A path in the page's directory.
    pub(super) fn beside(&self, name: &str) -> String {
        let path = self.page.split(['?', '#']).next().unwrap_or(&self.page);
        format!("{}/{name}", path.rsplit_once('/').map_or(path, |(dir, _)| dir))
    }

    /// How many requests were made.
    pub(super) fn asked(&self) -> usize {
        self.asked.get()
    }

    /// An answer; redirects are answers, not followed.
    pub(super) fn get(&self, url: &str) -> Result<Answer, NoAnswer> {
        self.get_with(url, &[])
    }

    pub(super) fn get_with(&self, url: &str, fields: &[(&str, &str)]) -> Result<Answer, NoAnswer> {
        self.asked.set(self.asked.get() + 1);
        let silent = |why: String| NoAnswer::Silent { url: url.to_owned(), why };
        let mut request = self.agent.get(url);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut response = request.call().map_err(|error| silent(error.to_string()))?;
        let told = response.headers().iter();
        let told = told.map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let fields = told.collect();
        let mut body = Vec::new();
        let reader = response.body_mut().as_reader();
        reader.take(BODY_MAX).read_to_end(&mut body).map_err(|error| silent(error.to_string()))?;
        let (status, len) = (response.status().as_u16(), body.len() as u64);
        Ok(Answer {
            url: url.to_owned(),
            status,
            fields,
            len,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

impl Answer {
    /// A field, by its name in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(is, _)| is == name).map(|(_, value)| value.as_str())
    }
}
