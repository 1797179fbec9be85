//! Gateway: a pinned request as FastCGI parameters, and the script's answer as a response.

use http::Response;
use hyper::body::Incoming;

use crate::body::Body;
use crate::handle::Visit;
use crate::pool::Pool;
use crate::reply;
use crate::resource::Script;

/// Runs the script for this request.
pub async fn forward(visit: &Visit<'_>, pool: &Pool, script: Script, body: Incoming) -> Response<Body> {
    drop((visit.client, pool.paths.clone(), script, body));
    reply::status(501, "PHP is not wired yet.")
}
