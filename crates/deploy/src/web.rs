//! Web: a request over HTTP as anybody would make it; for the live site's health and for webhooks.

use std::time::Duration;

use ureq::Agent;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Which release says that it answered, by `x-cutover-release`.
    pub release: Option<String>,
    /// The beginning of the body.
    pub body: String,
}

/// Why there was no answer. The address is not repeated: it may be a secret.
#[derive(Debug, thiserror::Error)]
#[error("no answer: {0}")]
pub struct WebError(String);

/// So much of an answer's body is read, in bytes.
const BODY: u64 = 4096;

/// Asks for a page; redirects are answers, not followed. `host` is asked for instead of the one in the address.
pub fn get(url: &str, host: Option<&str>, timeout: Duration) -> Result<Answer, WebError> {
    let mut request = agent(timeout).get(url);
    if let Some(host) = host {
        request = request.header("Host", host);
    }
    answer(request.call())
}

/// Sends JSON.
pub fn post(url: &str, json: &str, timeout: Duration) -> Result<Answer, WebError> {
    answer(agent(timeout).post(url).header("Content-Type", "application/json").send(json))
}

fn agent(timeout: Duration) -> Agent {
    let config = Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("cutover/", env!("CARGO_PKG_VERSION")));
    config.build().into()
}

fn answer(answered: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer, WebError> {
    let mut response = answered.map_err(|error| WebError(error.to_string()))?;
    let status = response.status().as_u16();
    let release = response.headers().get("x-cutover-release").and_then(|value| value.to_str().ok());
    let release = release.map(str::to_owned);
    let mut body = Vec::new();
    use std::io::Read;
    // A body that breaks off says nothing about the status, which is here.
    response.body_mut().as_reader().take(BODY).read_to_end(&mut body).unwrap_or(0);
    Ok(Answer { status, release, body: String::from_utf8_lossy(&body).into_owned() })
}
