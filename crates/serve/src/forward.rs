//! Forward: a path handed to a side server of the application on a local port, WebSockets included.

use std::sync::Arc;
use std::time::Duration;

use config::host::Forward;
use config::value::Address;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::body::{Body, BodyError};
use crate::handle::{Visit, with_page};
use crate::log::with_reasons;
use crate::reply;
use crate::upload::Upload;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// RFC 9110 section 7.6.1: these speak of one connection only.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Why a side server did not answer.
#[derive(Debug, thiserror::Error)]
enum ForwardError {
    #[error("cannot reach {0}")]
    Connect(Address, #[source] std::io::Error),
    #[error("{0} does not take connections in time")]
    Slow(Address),
    #[error("{0} did not answer as HTTP wants it")]
    Answer(Address, #[source] hyper::Error),
}

/// The rule for a path: the longest prefix that covers it.
pub fn rule<'r>(rules: &'r [Forward], path: &[u8]) -> Option<&'r Forward> {
    rules.iter().filter(|rule| rule.path.covers(path)).max_by_key(|rule| rule.path.as_str().len())
}

/// Sends the request on, and its answer back.
pub async fn forward(visit: &Visit<'_>, rule: &Forward, body: Upload) -> Response<Body> {
    match exchange(visit, rule, body).await {
        Ok(response) => response,
        Err(why) => {
            let told = with_reasons(&why);
            visit.site.log.error(&visit.site.name, format_args!("{}: {told}", rule.path.as_str()));
            let status = if matches!(why, ForwardError::Slow(_)) { 504 } else { 502 };
            with_page(visit, reply::status(status, "The server behind this path does not answer.")).await
        }
    }
}

async fn exchange(visit: &Visit<'_>, rule: &Forward, body: Upload) -> Result<Response<Body>, ForwardError> {
    let to = rule.at(visit.pin.id().as_str());
    let to = to.as_ref();
    let slow = |_elapsed| ForwardError::Slow(to.clone());
    let failed = |source| ForwardError::Connect(to.clone(), source);
    match to {
        Address::Tcp { host, port } => {
            let socket = TcpStream::connect((host.as_str(), *port));
            let socket =
                tokio::time::timeout(CONNECT_TIMEOUT, socket).await.map_err(slow)?.map_err(failed)?;
            socket.set_nodelay(true).map_err(failed)?;
            converse(visit, to, socket, body).await
        }
        Address::Unix(path) => {
            let socket = UnixStream::connect(path);
            let socket =
                tokio::time::timeout(CONNECT_TIMEOUT, socket).await.map_err(slow)?.map_err(failed)?;
            converse(visit, to, socket, body).await
        }
    }
}

async fn converse<S>(
    visit: &Visit<'_>,
    to: &Address,
    socket: S,
    body: Upload,
) -> Result<Response<Body>, ForwardError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = |source| ForwardError::Answer(to.clone(), source);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.map_err(answer)?;
    let log = visit.site.log.clone();
    let about = visit.site.name.clone();
    tokio::spawn(async move {
        if let Err(why) = connection.with_upgrades().await {
            log.warn(&about, format_args!("a forwarded connection broke: {why}"));
        }
    });
    let upgrade = upgrade_of(&visit.request.headers);
    let client_side = visit.request.extensions.get::<hyper::upgrade::OnUpgrade>().cloned();
    let mut response = sender.send_request(request(visit, upgrade.as_ref(), body)).await.map_err(answer)?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(client_side) = client_side
    {
        return Ok(switch(visit, client_side, &mut response));
    }
    let (mut parts, body) = response.into_parts();
    strip(&mut parts.headers);
    parts.version = Version::HTTP_11;
    let body = body.map_err(|error| Box::new(error) as BodyError);
    Ok(Response::from_parts(parts, Body::stream(body)))
}

fn request(visit: &Visit<'_>, upgrade: Option<&HeaderValue>, body: Upload) -> Request<Upload> {
    let mut request = Request::new(body);
    *request.method_mut() = visit.request.method.clone();
    if let Some(target) = visit.request.uri.path_and_query() {
        *request.uri_mut() = target.clone().into();
    }
    let mut headers = visit.request.headers.clone();
    strip(&mut headers);
    if let Some(upgrade) = upgrade {
        headers.insert(header::UPGRADE, upgrade.clone());
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    let mut set = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    if let Some(remote) = visit.client.remote {
        set("x-forwarded-for", remote.ip().to_string());
        set("x-real-ip", remote.ip().to_string());
    }
    set("x-forwarded-proto", if visit.client.https { "https" } else { "http" }.to_owned());
    set("x-forwarded-port", visit.client.port.to_string());
    set("x-cutover-release", visit.pin.id().to_string());
    *request.headers_mut() = headers;
    request
}

/// Joins the two sides of an upgraded connection; the release stays pinned until both are done.
fn switch(
    visit: &Visit<'_>,
    client: hyper::upgrade::OnUpgrade,
    response: &mut Response<Incoming>,
) -> Response<Body> {
    let server = hyper::upgrade::on(&mut *response);
    let pin = Arc::clone(visit.pin);
    visit.connection.activity.upgrade();
    tokio::spawn(async move {
        if let (Ok(client), Ok(server)) = (client.await, server.await) {
            let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
            // Either side may end it at any time, cleanly or not: that is how WebSockets end.
            tokio::io::copy_bidirectional(&mut client, &mut server).await.unwrap_or_default();
        }
        drop(pin);
    });
    let mut switching = Response::new(Body::empty());
    *switching.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *switching.headers_mut() = std::mem::take(response.headers_mut());
    switching
}

fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let wants = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let mut tokens = wants.flat_map(|value| value.split(','));
    tokens
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
        .then(|| headers.get(header::UPGRADE).cloned())?
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}
