//! Exchange: one request and its response, from the head's arrival to the last byte: pinned, counted, logged.

use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{HeaderMap, Method, Uri, Version};

use crate::body::Held;
use crate::client::Client;
use crate::dressed::Pin;
use crate::log::Access;
use crate::site::Site;
use crate::wire::activity::Activity;

/// Held by the response body; its end is the end of the request.
pub struct Exchange {
    began: Instant,
    activity: Option<Arc<Activity>>,
    reached: Option<Reached>,
}

/// The site a request reached, and the release it is pinned to.
struct Reached {
    site: Arc<Site>,
    pin: Option<Pin>,
    status: u16,
    line: Option<Line>,
}

/// What the access log wants of a request that is gone by the time the line is written.
struct Line {
    client: Client,
    user: Option<String>,
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
}

impl Exchange {
    /// A request whose head has arrived.
    pub fn begin(activity: &Arc<Activity>) -> Self {
        activity.request_began();
        Self { began: Instant::now(), activity: Some(Arc::clone(activity)), reached: None }
    }

    /// It reached a site; the pin is held from here to the last byte.
    pub fn reach(&mut self, site: &Arc<Site>, pin: Option<Pin>, request: &Parts, client: Client) {
        if let Some(pin) = &pin {
            pin.with.meters.in_flight.inc();
        }
        let line = site.access.is_some().then(|| Line {
            client,
            user: None,
            method: request.method.clone(),
            uri: request.uri.clone(),
            version: request.version,
            headers: logged(&request.headers),
        });
        self.reached = Some(Reached { site: Arc::clone(site), pin, status: 0, line });
    }

    /// Who logged in.
    pub fn logged_in(&mut self, user: &str) {
        if let Some(line) = self.reached.as_mut().and_then(|reached| reached.line.as_mut()) {
            line.user = Some(user.to_owned());
        }
    }

    /// The status that goes out.
    pub fn answered(&mut self, status: u16) {
        if let Some(reached) = &mut self.reached {
            reached.status = status;
        }
    }

    fn settle(&mut self, bytes: u64, complete: bool) {
        if let Some(Reached { site, pin, status, line }) = self.reached.take() {
            let took = self.began.elapsed();
            site.meters.sent(took, bytes);
            if let Some(pin) = &pin {
                pin.with.meters.in_flight.dec();
                pin.with.meters.answered(status);
            }
            if let (Some(line), Some(log)) = (&line, &site.access) {
                log.write(&Access {
                    site: &site.name,
                    client: line.client.remote.map(|remote| remote.ip()),
                    user: line.user.as_deref(),
                    method: &line.method,
                    uri: &line.uri,
                    version: line.version,
                    headers: &line.headers,
                    status,
                    bytes,
                    took,
                    release: pin.as_ref().map_or("-", |pin| pin.id().as_ref()),
                    complete,
                });
            }
        }
        if let Some(activity) = self.activity.take() {
            activity.request_ended();
        }
    }
}

/// The few headers a line shows.
fn logged(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in [http::header::HOST, http::header::REFERER, http::header::USER_AGENT] {
        if let Some(value) = headers.get(&name) {
            kept.insert(name, value.clone());
        }
    }
    kept
}

impl Held for Exchange {
    fn finish(mut self: Box<Self>, bytes_sent: u64, complete: bool) {
        self.settle(bytes_sent, complete);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Not by way of a body: the client left before there was a response (499, as nginx calls it).
        if let Some(reached) = &mut self.reached {
            reached.status = if reached.status == 0 { 499 } else { reached.status };
        }
        self.settle(0, false);
    }
}
