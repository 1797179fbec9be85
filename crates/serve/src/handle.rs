//! Handle: one request, from its head to its response: route, pin, rules, resolve, reply.

use std::convert::Infallible;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderName, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;

use crate::auth::{self, Access};
use crate::body::Body;
use crate::client::{Client, Ends};
use crate::door::{Door, bare};
use crate::dressed::Pin;
use crate::exchange::Exchange;
use crate::fcgi::Front;
use crate::fcgi::asked::Asked;
use crate::fcgi::target::Target;
use crate::file::{self, Ask};
use crate::forward;
use crate::gateway;
use crate::params::Facts;
use crate::reply;
use crate::resource::path::UrlPath;
use crate::resource::{Refused, Resource};
use crate::sendfile::Sender;
use crate::server::Server;
use crate::site::Site;
use crate::tree::Tree;
use crate::upload::Upload;
use crate::wire::activity::Activity;
use crate::wire::guard::REFUSED_METHOD;

const RELEASE: HeaderName = HeaderName::from_static("x-cutover-release");

/// What a web server's own parameters may take, in bytes, beside its visitor's headers.
const FRONT_BYTES: usize = 16 << 10;

/// The connection a request came over.
pub struct Connection {
    /// The process.
    pub server: Arc<Server>,
    /// The socket it came in by.
    pub door: Arc<Door>,
    /// What it waits for.
    pub activity: Arc<Activity>,
    /// Its two ends.
    pub ends: Ends,
    /// The way for files to be sent by the kernel, where there is one.
    pub sender: Option<Sender>,
}

/// A request that reached a site, with all that is known about it but its body.
pub struct Visit<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// The site.
    pub site: &'a Arc<Site>,
    /// The release it is pinned to.
    pub pin: &'a Pin,
    /// Its head.
    pub request: &'a Parts,
    /// Who made it.
    pub client: Client,
    /// Who logged in by basic auth.
    pub user: Option<String>,
    /// What a web server in front wants; `None`: the request came over HTTP.
    pub front: Option<&'a Front<'a>>,
}

impl<'a> Visit<'a> {
    /// What a script is told about the request. `content_length`: the bytes of body it will be given, if any.
    pub fn facts(&'a self, content_length: Option<u64>) -> Facts<'a> {
        let request = self.request;
        let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok()).map_or("", bare);
        Facts {
            method: &request.method,
            target: request.uri.path_and_query().map_or("/", |target| target.as_str()),
            version: request.version,
            headers: &request.headers,
            authority: request.uri.authority().map(|authority| authority.as_str()),
            remote: self.client.remote,
            local: self.connection.ends.local,
            port: self.client.port,
            https: self.client.https,
            server_name: if host.is_empty() { &self.site.name } else { host },
            user: self.user.as_deref(),
            content_length,
        }
    }
}

/// Answers a request. The body of the response holds the pin.
pub async fn handle(
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut exchange = Exchange::begin(&connection.activity);
    let mut response = answer(&connection, request, &mut exchange).await;
    exchange.answered(response.status().as_u16());
    if connection.server.is_draining() || connection.activity.is_closing() {
        reply::close(response.headers_mut());
    }
    if let Some(sender) = &connection.sender {
        response.body_mut().send_files_by(sender.clone());
    }
    response.body_mut().hold(Box::new(exchange));
    Ok(response)
}

/// Answers what a web server asks for. The body of the response holds the pin.
pub async fn handle_asked(connection: &Connection, asked: &Asked, body: Upload) -> Response<Body> {
    let mut exchange = Exchange::begin(&connection.activity);
    let mut response = answer_asked(connection, asked, body, &mut exchange).await;
    exchange.answered(response.status().as_u16());
    response.body_mut().hold(Box::new(exchange));
    response
}

async fn answer_asked(
    connection: &Connection,
    asked: &Asked,
    body: Upload,
    exchange: &mut Exchange,
) -> Response<Body> {
    let parts = match asked.parts() {
        Ok(parts) => parts,
        Err(why) => {
            let at = &connection.door.at;
            connection.server.log.error("fcgi", format_args!("{at}: a request cannot be answered: {why}"));
            return not_served(connection, 400, "The request cannot be understood.");
        }
    };
    let behind = connection.door.behind.load();
    // A web server adds parameters of its own to its visitor's headers.
    if asked.len() > behind.heads.head_bytes + FRONT_BYTES {
        return not_served(connection, 431, "The request has more headers than this site takes.");
    }
    if parts.uri.path_and_query().is_some_and(|target| target.as_str().len() > behind.heads.target_bytes) {
        return not_served(connection, 414, "The address is too long.");
    }
    let Some(site) = behind.routes.chosen(asked.hosts()) else {
        return not_served(connection, 421, "No site of this server has that name.");
    };
    drop(behind);
    let client = asked.client();
    let Some(pin) = pin(&site, &parts, client, exchange) else { return nothing_live() };
    if let Some(user) = asked.user() {
        exchange.logged_in(user);
    }
    let (Ok(_), Some(bases)) = (&pin.with.tree, &pin.with.bases) else {
        return reply::status(503, "The live release cannot be served.");
    };
    let paths = pin.with.pool.as_ref().map(|pool| &pool.paths);
    let target = match Target::of(asked, parts.uri.path(), bases, paths) {
        Ok(target) => target,
        Err(why) => return refuse(Refused::Path(why)),
    };
    let front = Front { asked, target };
    let (request, front_of) = (&parts, Some(&front));
    let mut visit =
        Visit { connection, site: &site, pin: &pin, request, client, user: None, front: front_of };
    answer_visit(&mut visit, front.target.url(), body, exchange).await
}

async fn answer(
    connection: &Connection,
    request: Request<Incoming>,
    exchange: &mut Exchange,
) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    if let Some(response) = refused(connection, &parts) {
        return response;
    }
    let behind = connection.door.behind.load();
    let host = match host(&parts) {
        Ok(host) => host,
        Err(why) => return not_served(connection, 400, why),
    };
    let Some(site) = behind.routes.site(host).cloned() else {
        return not_served(connection, 421, "No site of this server has that name.");
    };
    let client = Client::of(&connection.ends, &parts.headers, &behind.trusted_proxies);
    drop(behind);
    let Some(pin) = pin(&site, &parts, client, exchange) else { return nothing_live() };
    if parts.version == Version::HTTP_2 && !parts.headers.contains_key(header::HOST) {
        // RFC 9113 section 8.3.1: what speaks HTTP/1 behind us wants the authority as Host.
        if let Some(value) = parts.uri.authority().and_then(|host| host.as_str().parse().ok()) {
            parts.headers.insert(header::HOST, value);
        }
    }
    let mut visit =
        Visit { connection, site: &site, pin: &pin, request: &parts, client, user: None, front: None };
    let path = match UrlPath::parse(parts.uri.path()) {
        Ok(path) => path,
        Err(why) => {
            let mut response = refuse(Refused::Path(why));
            dress(&visit, b"/", &mut response);
            return response;
        }
    };
    answer_visit(&mut visit, &path, Upload::Http(body), exchange).await
}

/// The release that a request is pinned to, from here on; `None`: there is none, which was logged.
#[inline]
fn pin(site: &Arc<Site>, parts: &Parts, client: Client, exchange: &mut Exchange) -> Option<Pin> {
    match site.pin() {
        Ok(pin) => {
            exchange.reach(site, Some(Arc::clone(&pin)), parts, client);
            Some(pin)
        }
        Err(why) => {
            exchange.reach(site, None, parts, client);
            site.log.error(&site.name, format_args!("no release can be served: {why}"));
            None
        }
    }
}

fn nothing_live() -> Response<Body> {
    reply::status(503, "The site has no release that can be served.")
}

async fn answer_visit(
    visit: &mut Visit<'_>,
    path: &UrlPath<'_>,
    body: Upload,
    exchange: &mut Exchange,
) -> Response<Body> {
    let mut response = match rules(visit, path, exchange).await {
        Some(response) => response,
        None => match &visit.pin.with.tree {
            Ok(tree) => resolve(visit, tree, path, body).await,
            Err(_logged) => reply::status(503, "The live release cannot be served."),
        },
    };
    dress(visit, path.as_bytes(), &mut response);
    response
}

/// The answer to a head that the guard refused.
fn refused(connection: &Connection, parts: &Parts) -> Option<Response<Body>> {
    if parts.method.as_str() != REFUSED_METHOD {
        return None;
    }
    let why = connection.activity.refusal()?;
    Some(not_served(connection, why.status(), why.reason()))
}

fn not_served(connection: &Connection, status: u16, sentence: &str) -> Response<Body> {
    connection.server.metrics.refused(status);
    let mut response = reply::status(status, sentence);
    if status != 421 {
        reply::close(response.headers_mut());
    }
    response
}

/// The host a request is for; an authority in its target wins over `Host` (RFC 9112 section 3.2.2).
fn host(parts: &Parts) -> Result<&str, &'static str> {
    let named = parts.headers.get(header::HOST).map(|value| value.to_str());
    match (parts.uri.authority(), named) {
        (Some(authority), Some(Ok(host))) if parts.version == Version::HTTP_2 => {
            match bare(authority.as_str()).eq_ignore_ascii_case(bare(host)) {
                true => Ok(host),
                false => Err("The request names two hosts."),
            }
        }
        (Some(authority), _) => match authority.as_str().contains('@') {
            true => Err("The request's authority names a user."),
            false => Ok(authority.as_str()),
        },
        (None, Some(Ok(host))) => Ok(host),
        (None, Some(Err(_))) => Err("The Host is not a host name."),
        (None, None) => Ok(""),
    }
}

/// What is settled before the path is looked up: maintenance, login, redirects, forwarding of side servers'
/// paths is left to [`resolve`], for it needs the body.
async fn rules(visit: &mut Visit<'_>, path: &UrlPath<'_>, exchange: &mut Exchange) -> Option<Response<Body>> {
    let says = &visit.pin.with.says;
    if visit.site.in_maintenance()
        && !visit.client.remote.is_some_and(|from| says.maintenance.lets_in(from.ip()))
    {
        return Some(Box::pin(maintenance(visit)).await);
    }
    // A web server may have rewritten the path to one that is guarded.
    let named = visit.front.map(|front| front.target.named().as_bytes());
    let mut paths = [Some(path.as_bytes()), named].into_iter().flatten();
    if let Some(guarded) = paths.find(|path| auth::guards(&says.auth, path)) {
        let judge = || visit.connection.server.checked.judge(&says.auth, guarded, &visit.request.headers);
        // bcrypt takes tens of milliseconds: other requests of this thread go elsewhere meanwhile.
        match tokio::task::block_in_place(judge) {
            Access::Free => {}
            Access::Granted(user) => {
                exchange.logged_in(&user);
                visit.user = Some(user);
            }
            Access::Denied(realm) => return Some(with_page(visit, reply::unauthorized(&realm)).await),
        }
    }
    let (raw, query) = (visit.request.uri.path(), visit.request.uri.query());
    let to = says.redirects.iter().find_map(|rule| rule.target(raw, query).map(|to| (rule.status, to)));
    to.map(|(status, to)| match to.parse() {
        Ok(to) => reply::moved(status, to),
        Err(_) => reply::status(500, "The redirect of this path leads to no valid address."),
    })
}

/// What may take long is boxed: an idle connection keeps room for its next request, and needs none for those.
async fn resolve(visit: &Visit<'_>, tree: &Tree, path: &UrlPath<'_>, body: Upload) -> Response<Body> {
    let serve = &visit.site.config.host.serve;
    if let Some(rule) = forward::rule(&serve.forward, path.as_bytes()) {
        return Box::pin(forward::forward(visit, rule, body)).await;
    }
    if let Some(cgi) = visit.site.cgi.as_ref().filter(|cgi| cgi.covers(path.as_bytes())) {
        return match Box::pin(cgi.run(visit, tree, path, body)).await {
            Ok(response) => response,
            Err(status) => with_page(visit, reply::status(status, "The program gave no answer.")).await,
        };
    }
    let ask = ask_of(visit);
    let query = visit.request.uri.query();
    let resource = match visit.front {
        None => Resource::resolve(tree, path, query),
        Some(front) => front.target.resolve(tree, query),
    };
    match resource {
        Resource::File(found) => match file::serve(ask, tree, found).await {
            Ok(response) if response.status().as_u16() < 400 => response,
            Ok(response) => with_page(visit, response).await,
            Err(why) => with_page(visit, refuse(Refused::Miss(why))).await,
        },
        Resource::Script(script) => match &visit.pin.with.pool {
            Some(pool) => Box::pin(gateway::forward(visit, pool, script, body)).await,
            None => {
                with_page(visit, reply::status(404, "The site runs no PHP (its configuration has no [php])."))
                    .await
            }
        },
        Resource::Redirect(to) => reply::moved(301, to),
        Resource::Listing(listing) => match visit.request.method {
            Method::GET | Method::HEAD => match file::listing::page(ask, tree, &listing) {
                Ok(response) => response,
                Err(why) => with_page(visit, refuse(Refused::Miss(why))).await,
            },
            _ => with_page(visit, file::method_not_allowed()).await,
        },
        Resource::Refused(why) => with_page(visit, refuse(why)).await,
        Resource::NotFound => {
            with_page(visit, reply::status(404, "There is nothing here by that name.")).await
        }
    }
}

/// The built-in page for what is refused.
fn refuse(why: Refused) -> Response<Body> {
    reply::status(why.status(), why.sentence())
}

/// The release's own page for an error of ours, in place of the built-in one.
pub async fn with_page(visit: &Visit<'_>, response: Response<Body>) -> Response<Body> {
    let status = response.status();
    let Some(page) = visit.pin.with.says.errors.page(status.as_u16()) else { return response };
    match Box::pin(page_of(visit, page, status)).await {
        Some(mut own) => {
            for name in [header::WWW_AUTHENTICATE, header::ALLOW, header::RETRY_AFTER, header::CONTENT_RANGE]
            {
                if let Some(value) = response.headers().get(&name) {
                    own.headers_mut().insert(name, value.clone());
                }
            }
            own
        }
        None => response,
    }
}

async fn maintenance(visit: &Visit<'_>) -> Response<Body> {
    let says = &visit.pin.with.says.maintenance;
    let status = StatusCode::from_u16(says.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let own = match &says.page {
        Some(page) => page_of(visit, page, status).await,
        None => None,
    };
    let mut response =
        own.unwrap_or_else(|| reply::page(status, "The site is being worked on. Please come back soon."));
    if let Ok(seconds) = says.retry_after.as_secs().to_string().parse() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// A file of the pinned release as the page of an error.
async fn page_of(visit: &Visit<'_>, page: &str, status: StatusCode) -> Option<Response<Body>> {
    let tree = visit.pin.with.tree.as_ref().ok()?;
    let path = UrlPath::parse(page).ok()?;
    let Resource::File(found) = Resource::resolve(tree, &path, None) else {
        visit.site.log.warn(
            &visit.site.name,
            format_args!("{}: the page {page} for {status} is not there", visit.pin.id()),
        );
        return None;
    };
    let ask = ask_of(visit);
    file::page(ask, tree, found, status).await.ok()
}

/// What matters to a file of the request.
fn ask_of<'a>(visit: &Visit<'a>) -> Ask<'a> {
    let by_kernel = visit.connection.sender.is_some();
    Ask { method: &visit.request.method, headers: &visit.request.headers, by_kernel }
}

/// What every response of a release carries. `path` is decoded and normalised.
fn dress(visit: &Visit<'_>, path: &[u8], response: &mut Response<Body>) {
    let dressed = &visit.pin.with;
    for (pattern, set) in &dressed.headers {
        if pattern.matches(path) {
            for (name, value) in set {
                response.headers_mut().insert(name.clone(), value.clone());
            }
        }
    }
    if visit.site.config.host.serve.release_header {
        response.headers_mut().insert(RELEASE, dressed.id.clone());
    }
}
