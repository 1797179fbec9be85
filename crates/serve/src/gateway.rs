//! Gateway: a pinned request as FastCGI parameters, and the script's answer as a response.
//!
//! ```text
//!   Intake (the body) -> cgi_variables -> fastcgi -> Said (the head) -> whole | spooled | live | a file of the pin
//! ```

pub mod intake;
pub mod said;

use std::io;
use std::pin::Pin as StdPin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fastcgi::Params;
use fastcgi::client::{self, ClientError, ResponseBody};
use http::{Method, Response, StatusCode, header};
use http_body::Frame;

use crate::body::{Body, BodyError};
use crate::fcgi::told;
use crate::file::{self, Ask, FileRef};
use crate::gateway::intake::{Intake, IntakeError, Rules};
use crate::gateway::said::{Said, Send};
use crate::handle::{Visit, with_page};
use crate::log::with_reasons;
use crate::params::{ScriptFacts, cgi_variables};
use crate::pool::Pool;
use crate::reply;
use crate::resource::{Resource, Script};
use crate::spool::spool;
use crate::tree::Tree;
use crate::upload::Upload;

/// What is read of output that nobody wants, before the script is cut off.
const UNWANTED: usize = 1 << 20;

/// Why a script gave no answer.
#[derive(Debug, thiserror::Error)]
enum GatewayError {
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the script answered with the interim status {0}")]
    Interim(u16),
    #[error("the script named a file to be sent that may not be or is not there: {0}")]
    Send(String),
    #[error("php-fpm does not find the script")]
    Unfound,
}

/// Runs the script for this request.
pub async fn forward(visit: &Visit<'_>, pool: &Pool, script: Script, body: Upload) -> Response<Body> {
    let script = Arc::new(script);
    match run(visit, pool, &script, body).await {
        Ok(response) => response,
        Err(why) => failed(visit, &script, &why).await,
    }
}

async fn run(
    visit: &Visit<'_>,
    pool: &Pool,
    script: &Arc<Script>,
    body: Upload,
) -> Result<Response<Body>, GatewayError> {
    let limits = &visit.site.config.host.serve.limits;
    let rules = Rules { most: limits.body, memory: pool.php.spool_memory, whole: pool.php.buffer_request };
    let intake = Intake::take(&visit.request.headers, body, rules).await?;
    let mut request = client::Request::new(params(visit, pool, script, intake.length()));
    request.body = intake.into_body();
    request.idempotent = matches!(visit.request.method, Method::GET | Method::HEAD);
    // The worker may run old code long after the response: the release stays in use until it is free.
    request.until_free = Some(Box::new(Arc::clone(visit.pin)));
    request.log = Some(log(visit, script));
    let client::Response { head, mut body } = pool.client.send(request).await?;
    let status = head.status;
    let mut said = Said::of(head, visit.front.is_some()).ok_or(GatewayError::Interim(status))?;
    if let Some(send) = said.send.take() {
        match named(visit, pool, &send) {
            Some((tree, found)) => {
                discard(body);
                said.sent();
                return self::send(visit, tree, found, said.headers, &send).await;
            }
            // The web server may have other places than the release.
            None if visit.front.is_some() => {}
            None => {
                discard(body);
                return Err(GatewayError::Send(send.to_text()));
            }
        }
    }
    let whole = body.take_whole();
    if said.status == StatusCode::NOT_FOUND && whole.as_deref() == Some(b"File not found.\n") {
        return Err(GatewayError::Unfound);
    }
    Ok(answer(visit, pool, said, whole, body))
}

/// What the script is told about its request.
fn params(visit: &Visit<'_>, pool: &Pool, script: &Script, content_length: Option<u64>) -> Params {
    let script = ScriptFacts {
        file: &script.file,
        docroot: &script.docroot,
        name: &script.name,
        path_info: &script.path_info,
        release: visit.pin.id().as_ref(),
        release_root: visit.pin.path(),
        paths: &pool.paths,
    };
    let mut params = Params::with_capacity(2_048);
    let sink = |name: &[u8], value: &[u8]| {
        params.push(name, value);
    };
    match visit.front {
        None => cgi_variables(&visit.facts(content_length), &script, sink),
        Some(front) => told::tell(front, &script, visit.user.as_deref(), content_length, sink),
    }
    params
}

/// Takes what the script writes for the log.
fn log(visit: &Visit<'_>, script: &Arc<Script>) -> client::Log {
    let (site, pin, script) = (Arc::clone(visit.site), Arc::clone(visit.pin), Arc::clone(script));
    let told = site.config.host.serve.fastcgi_stderr;
    let front = visit.front.filter(|_| told).map(|front| front.asked.stderr());
    Box::new(move |text| {
        if let Some(front) = &front {
            front.write(text);
        }
        let text = String::from_utf8_lossy(text);
        let about = script.file.strip_prefix(pin.path()).unwrap_or(&script.file).display();
        site.log.warn(&site.name, format_args!("{} {about}: {}", pin.id(), text.trim_end()));
    })
}

/// The response to what the script said; `whole`: its body, if all of it is here.
fn answer(
    visit: &Visit<'_>,
    pool: &Pool,
    said: Said,
    whole: Option<Bytes>,
    body: ResponseBody,
) -> Response<Body> {
    let head_only = visit.request.method == Method::HEAD;
    let bodiless = head_only || said.is_bodiless();
    let mut told = said.length;
    let body = match whole {
        _ if bodiless => {
            discard(body);
            Body::empty()
        }
        Some(bytes) => {
            // Its true length is known; one that was told wrongly would cut the next response in two.
            told = None;
            Body::full(bytes)
        }
        None if said.unbuffered || !pool.php.buffer_response => {
            Body::stream(Live { body, site: About::of(visit) })
        }
        None => spooled(visit, pool, body),
    };
    let mut response = Response::new(body);
    *response.status_mut() = said.status;
    *response.headers_mut() = said.headers;
    if let Some(length) = told.filter(|_| said.status != StatusCode::NO_CONTENT) {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    response
}

/// Lets the script write as fast as it can and the client read as slowly as it likes.
fn spooled(visit: &Visit<'_>, pool: &Pool, mut body: ResponseBody) -> Body {
    let (mut writer, reader) = spool(usize::try_from(pool.php.spool_memory).unwrap_or(usize::MAX));
    let about = About::of(visit);
    tokio::spawn(async move {
        let end = loop {
            let chunk = tokio::select! {
                biased;
                chunk = body.chunk() => chunk,
                // The client left: the script is told by the end of its connection.
                () = writer.gone() => return,
            };
            match chunk {
                Ok(Some(bytes)) => {
                    if writer.write(bytes).await.is_err() {
                        return;
                    }
                }
                Ok(None) => break Ok(()),
                Err(why) => break Err(about.cut(why)),
            }
        };
        writer.finish(end);
    });
    Body::stream(reader)
}

/// Reads what nobody wants to the end, so that the script is not cut off and its connection can be used again.
fn discard(mut body: ResponseBody) {
    if body.take_whole().is_some() || body.app_status().is_some() {
        return;
    }
    tokio::spawn(async move {
        let mut left = UNWANTED;
        while let Ok(Some(bytes)) = body.chunk().await {
            left = match left.checked_sub(bytes.len()) {
                Some(left) => left,
                None => return,
            };
        }
    });
}

/// Whom a fault is about, once the request is gone.
struct About {
    site: Arc<crate::site::Site>,
    what: String,
}

impl About {
    fn of(visit: &Visit<'_>) -> About {
        About {
            site: Arc::clone(visit.site),
            what: format!("{} {}", visit.pin.id(), visit.request.uri.path()),
        }
    }

    /// Logs that a response was cut short, and gives the reason on.
    fn cut(&self, why: ClientError) -> BodyError {
        let why = with_reasons(&why);
        self.site
            .log
            .error(&self.site.name, format_args!("{}: the response was cut short: {why}", self.what));
        why.into()
    }
}

/// Output as it comes.
struct Live {
    body: ResponseBody,
    site: About,
}

impl http_body::Body for Live {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: StdPin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.body.poll_chunk(cx).map(|chunk| match chunk {
            Ok(bytes) => bytes.map(|bytes| Ok(Frame::data(bytes))),
            Err(why) => Some(Err(self.site.cut(why))),
        })
    }
}

/// The file that the script named: one of the pinned release or of shared/.
fn named<'a>(visit: &Visit<'a>, pool: &Pool, send: &Send) -> Option<(&'a Tree, FileRef)> {
    let tree = visit.pin.with.tree.as_ref().ok()?;
    let file = |found| match found {
        Resource::File(found) => Some((tree, found)),
        Resource::Script(_)
        | Resource::Redirect(_)
        | Resource::Listing(_)
        | Resource::Refused(_)
        | Resource::NotFound => None,
    };
    match send {
        Send::Path(path) => {
            let here = pool.paths.here(path);
            // By the link or by another release's directory: what is meant is the file of this request's release.
            let pinned = || visit.pin.with.bases.as_ref()?.pinned(&here);
            let at = |path: &[u8]| file(Resource::sendfile(tree, path));
            at(&here).or_else(|| at(&pinned()?))
        }
        Send::Url(url) => {
            let decoded = percent_decoded(url.split(|byte| *byte == b'?').next().unwrap_or_default());
            if !decoded.starts_with(b"/") {
                return None;
            }
            let places = [tree.docroot().to_path_buf(), tree.root().to_owned(), visit.site.app.shared()];
            let at = |place: &std::path::PathBuf| {
                let path = [place.as_os_str().as_encoded_bytes(), &decoded].concat();
                file(Resource::sendfile(tree, &path))
            };
            places.iter().find_map(at)
        }
    }
}

/// Answers with a file that the script named.
async fn send(
    visit: &Visit<'_>,
    tree: &Tree,
    found: FileRef,
    said: http::HeaderMap,
    send: &Send,
) -> Result<Response<Body>, GatewayError> {
    // It may have been asked for by a POST.
    let method = if visit.request.method == Method::HEAD { &Method::HEAD } else { &Method::GET };
    let ask = Ask { method, headers: &visit.request.headers, by_kernel: visit.connection.sender.is_some() };
    let mut response = file::serve(ask, tree, found).await.map_err(|_| GatewayError::Send(send.to_text()))?;
    // What the script says of it goes, but for what only the file can tell.
    let own = [header::ETAG, header::LAST_MODIFIED, header::CONTENT_ENCODING, header::CONTENT_RANGE];
    let mut last = None;
    for (name, value) in said {
        // A name stands in front of its first value only.
        let first = name.is_some();
        last = name.or(last);
        let Some(name) = last.as_ref().filter(|name| !own.contains(name) && **name != header::ACCEPT_RANGES)
        else {
            continue;
        };
        if first {
            response.headers_mut().insert(name.clone(), value);
        } else {
            response.headers_mut().append(name.clone(), value);
        }
    }
    Ok(response)
}

pub(crate) fn percent_decoded(url: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(url.len());
    let mut at = 0;
    while let Some(&byte) = url.get(at) {
        match (byte, digit(url.get(at + 1)), digit(url.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

async fn failed(visit: &Visit<'_>, script: &Script, why: &GatewayError) -> Response<Body> {
    let (status, sentence) = told(why);
    let (site, id, file) = (visit.site, visit.pin.id(), script.file.display());
    // What a client brought upon itself is in the access log.
    if !matches!(why, GatewayError::Intake(IntakeError::TooLong(_) | IntakeError::Cut(_))) {
        site.log.error(&site.name, format_args!("{id} {file}: {status}: {}", with_reasons(why)));
    }
    with_page(visit, reply::status(status, sentence)).await
}

fn told(why: &GatewayError) -> (u16, &'static str) {
    const BAD: (u16, &str) = (502, "The application gave no answer that can be passed on.");
    const LATE: (u16, &str) = (504, "The application took too long.");
    match why {
        GatewayError::Intake(IntakeError::TooLong(_)) => (413, "The request is larger than this site takes."),
        GatewayError::Intake(IntakeError::Cut(cut)) if cut.is_timeout() => {
            (408, "The request did not come in time.")
        }
        GatewayError::Intake(IntakeError::Cut(_)) => (400, "The request did not come whole."),
        GatewayError::Intake(IntakeError::Kept(_)) => (500, "The request cannot be kept."),
        GatewayError::Interim(_) | GatewayError::Send(_) => BAD,
        GatewayError::Unfound => (404, "There is nothing here by that name."),
        GatewayError::Client(why) => match why {
            ClientError::QueueFull { .. } | ClientError::QueueTimeout { .. } | ClientError::Overloaded => {
                (503, "The application is busy. Please come back soon.")
            }
            ClientError::Timeout { .. } => LATE,
            // Nobody accepts: its backlog is full, or its host is silent.
            ClientError::Connect { source, .. } if source.kind() == io::ErrorKind::TimedOut => LATE,
            ClientError::RequestBody(_) => (400, "The request did not come whole."),
            ClientError::Connect { .. }
            | ClientError::ClosedEarly { .. }
            | ClientError::Broken(_)
            | ClientError::Garbage(_)
            | ClientError::Head(_)
            | ClientError::CantMultiplex
            | ClientError::UnknownRole => BAD,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_url_is_decoded_once_and_what_is_no_escape_stays() {
        for (url, decoded) in
            [(&b"/a%20b"[..], &b"/a b"[..]), (b"/100%", b"/100%"), (b"/%2525", b"/%25"), (b"", b"")]
        {
            assert_eq!(percent_decoded(url), decoded);
        }
    }

    #[test]
    fn each_fault_has_the_status_that_tells_whose_it_is() {
        let address = fastcgi::Address::parse("unix:/nobody").unwrap();
        let connect =
            |kind: io::ErrorKind| ClientError::Connect { address: address.clone(), source: kind.into() };
        for (why, status) in [
            (connect(io::ErrorKind::ConnectionRefused), 502),
            (connect(io::ErrorKind::TimedOut), 504),
            (ClientError::Timeout { after: std::time::Duration::from_secs(1), heard: false }, 504),
            (ClientError::QueueFull { waiting: 9 }, 503),
            (ClientError::Overloaded, 503),
            (ClientError::ClosedEarly { heard: false }, 502),
            (ClientError::Garbage(fastcgi::record::Malformed::Version(b'H')), 502),
        ] {
            assert_eq!(told(&GatewayError::Client(why)).0, status);
        }
        assert_eq!(told(&GatewayError::Unfound).0, 404);
        assert_eq!(told(&GatewayError::Intake(IntakeError::TooLong(1))).0, 413);
    }
}
