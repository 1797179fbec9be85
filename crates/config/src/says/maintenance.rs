//! Maintenance: what visitors get while maintenance is on (`cutover maintenance on`), and who still gets the site.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::page;
use crate::complaint::ConfigError;
use crate::read::{self, Section};

/// `[site.maintenance]`. Whether it is on is the host's state, not the release's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// The URL path of the page; `None`: a plain built-in one.
    pub page: Option<String>,
    /// Clients who get the site as ever.
    pub allow: Vec<IpNet>,
    /// The status of the page, 503 unless said otherwise.
    pub status: u16,
    /// What `Retry-After` says; 5 minutes unless said otherwise.
    pub retry_after: Duration,
}

impl Default for Maintenance {
    fn default() -> Maintenance {
        Maintenance { page: None, allow: Vec::new(), status: 503, retry_after: Duration::from_secs(300) }
    }
}

impl Maintenance {
    /// Whether this client gets the site although maintenance is on.
    pub fn lets_in(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.allow.iter().any(|net| net.contains(&client))
    }

    pub(crate) fn read(section: &Section<'_>) -> Result<Maintenance, ConfigError> {
        let default = Maintenance::default();
        let status = section.or("status", default.status)?;
        if let Some(at) = section.at("status").filter(|_| !(200..=599).contains(&status)) {
            return Err(at.wrong(&format!("{status} is not a status"), "200 to 599, as a rule 503"));
        }
        Ok(Maintenance {
            page: section
                .at("page")
                .map(|at| at.read_as("a page: \"/maintenance.html\"", page))
                .transpose()?,
            allow: section.list("allow")?,
            status,
            retry_after: section
                .get::<read::Duration>("retry_after")?
                .map_or(default.retry_after, |span| span.0),
        })
    }
}
