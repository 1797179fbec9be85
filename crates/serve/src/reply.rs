//! Reply: the answers Cutover gives itself: refusals, redirects, pages for errors and for maintenance.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::body::Body;

/// A page of our own: a status and a sentence, readable by people and by programs.
pub fn page(status: StatusCode, sentence: &str) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or("Error");
    let code = status.as_u16();
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{code} {title}</title></head>\n\
         <body><h1>{code} {title}</h1><p>{}</p></body></html>\n",
        escape(sentence)
    );
    let mut response = Response::new(Body::full(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A status number with a page of our own.
pub fn status(code: u16, sentence: &str) -> Response<Body> {
    page(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), sentence)
}

/// Sends the client elsewhere.
pub fn moved(code: u16, location: HeaderValue) -> Response<Body> {
    let mut response = status(code, "The page is elsewhere.");
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().remove(header::CACHE_CONTROL);
    response
}

/// Asks for a name and a password.
pub fn unauthorized(realm: &str) -> Response<Body> {
    let mut response = status(401, "This part of the site asks for a name and a password.");
    let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// The connection ends after this response.
pub fn close(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
