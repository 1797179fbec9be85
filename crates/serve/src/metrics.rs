//! Metrics: what is counted, by site and release, in Prometheus' text format.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the latency histogram, in seconds.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Releases of one process whose counts stay readable after they were let go.
const GONE_KEPT: usize = 16;

/// Everything that is counted in this process.
pub struct Metrics {
    registry: Registry,
    requests: Family<OfClass, Counter>,
    in_flight: Family<OfRelease, Gauge>,
    seconds: Family<OfSite, Histogram>,
    bytes: Family<OfSite, Counter>,
    flips: Family<OfSite, Counter>,
    link_broken: Family<OfSite, Gauge>,
    refused: Family<OfStatus, Counter>,
    /// Connections that are open.
    pub connections: Gauge,
    gone: Mutex<VecDeque<OfRelease>>,
}

/// The counters of one site.
#[derive(Debug, Clone)]
pub struct SiteMeters {
    /// Time from a request's head to its response's last byte.
    pub seconds: Histogram,
    /// Body bytes sent.
    pub bytes: Counter,
    /// Flips seen.
    pub flips: Counter,
    /// 1 while the link names no release and the last good one is served.
    pub link_broken: Gauge,
}

/// The counters of one release of one site.
#[derive(Debug, Clone)]
pub struct ReleaseMeters {
    by_class: [Counter; 5],
    /// Requests that have begun and not ended.
    pub in_flight: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfSite {
    site: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfRelease {
    site: String,
    release: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfClass {
    site: String,
    release: String,
    class: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfStatus {
    status: u16,
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("cutover");
        let requests = Family::default();
        let in_flight = Family::default();
        let seconds = Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> Histogram);
        let bytes = Family::default();
        let flips = Family::default();
        let link_broken = Family::default();
        let refused = Family::default();
        let connections = Gauge::<i64>::default();
        registry.register("requests", "Responses by site, release and status class", requests.clone());
        registry.register("requests_in_flight", "Requests in flight by site and release", in_flight.clone());
        registry.register(
            "request_seconds",
            "From a request's head to its response's last byte",
            seconds.clone(),
        );
        registry.register("response_body_bytes", "Body bytes sent", bytes.clone());
        registry.register("flips_seen", "Changes of the live release that were seen", flips.clone());
        registry.register("link_broken", "1 while the link names no release", link_broken.clone());
        registry.register("requests_refused", "Requests that reached no site, by status", refused.clone());
        registry.register("connections", "Open connections", connections.clone());
        Self {
            registry,
            requests,
            in_flight,
            seconds,
            bytes,
            flips,
            link_broken,
            refused,
            connections,
            gone: Mutex::default(),
        }
    }
}

impl Metrics {
    /// The counters of a site.
    pub fn site(&self, site: &str) -> SiteMeters {
        let label = OfSite { site: site.to_owned() };
        SiteMeters {
            seconds: self.seconds.get_or_create(&label).clone(),
            bytes: self.bytes.get_or_create(&label).clone(),
            flips: self.flips.get_or_create(&label).clone(),
            link_broken: self.link_broken.get_or_create(&label).clone(),
        }
    }

    /// The counters of a release.
    pub fn release(&self, site: &str, release: &str) -> ReleaseMeters {
        let label = OfRelease { site: site.to_owned(), release: release.to_owned() };
        self.gone().retain(|gone| *gone != label);
        let in_flight = self.in_flight.get_or_create(&label).clone();
        let by_class = CLASSES.map(|class| {
            let label = OfClass { site: site.to_owned(), release: release.to_owned(), class };
            self.requests.get_or_create(&label).clone()
        });
        ReleaseMeters { by_class, in_flight }
    }

    /// The release was let go: its counts stay readable for a while, not for ever.
    pub fn release_gone(&self, site: &str, release: &str) {
        let mut gone = self.gone();
        gone.push_back(OfRelease { site: site.to_owned(), release: release.to_owned() });
        while gone.len() > GONE_KEPT {
            if let Some(old) = gone.pop_front() {
                self.in_flight.remove(&old);
                for class in CLASSES {
                    let OfRelease { site, release } = old.clone();
                    self.requests.remove(&OfClass { site, release, class });
                }
            }
        }
    }

    /// Counts a request that reached no site.
    pub fn refused(&self, status: u16) {
        self.refused.get_or_create(&OfStatus { status }).inc();
    }

    /// All of it as text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        encode(&mut text, &self.registry).unwrap_or_default();
        text
    }

    fn gone(&self) -> std::sync::MutexGuard<'_, VecDeque<OfRelease>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReleaseMeters {
    /// Counts a response.
    pub fn answered(&self, status: u16) {
        let class = usize::from(status / 100).saturating_sub(1).min(4);
        self.by_class[class].inc();
    }
}

impl SiteMeters {
    /// Counts a response's time and size.
    pub fn sent(&self, took: Duration, bytes: u64) {
        self.seconds.observe(took.as_secs_f64());
        self.bytes.inc_by(bytes);
    }
}
