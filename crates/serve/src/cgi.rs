//! CGI stand-in.
use crate::body::Body;
use crate::handle::Visit;
use crate::resource::path::UrlPath;
use crate::tree::Tree;
use http::Response;
use hyper::body::Incoming;
/// CGI.
pub struct Cgi(config::host::Cgi);
impl Cgi {
    /// New.
    pub fn new(c: config::host::Cgi) -> Self {
        Self(c)
    }
    /// Covers.
    pub fn covers(&self, path: &[u8]) -> bool {
        self.0.path.covers(path)
    }
    /// Run.
    pub async fn run(
        &self,
        _v: &Visit<'_>,
        _t: &Tree,
        _p: &UrlPath<'_>,
        _b: Incoming,
    ) -> Result<Response<Body>, u16> {
        Err(501)
    }
}
