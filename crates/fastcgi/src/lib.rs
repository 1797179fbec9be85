//! The wire to PHP-FPM: a core without I/O, a blocking client, an async client and an async server.
//!
//! The promise: what FastCGI 1.0 says, and what PHP-FPM makes of it; no policy about web requests.
//!
//! ```text
//! record   | version 1 | kind | request id (2) | content length (2) | padding length | 0 | content … | padding … |
//! request  BEGIN_REQUEST  PARAMS…  PARAMS(empty)  STDIN…  STDIN(empty)  GET_VALUES (the probe)
//! response (STDOUT | STDERR)…  END_REQUEST  …  GET_VALUES_RESULT (the worker is free)
//! ```
//!
//! The rules:
//! - PHP-FPM does not multiplex: one connection is one worker, one request at a time, and the request id is always 1.
//! - A kept connection occupies a worker even when idle, so the pool caps them and closes them soon.
//! - END_REQUEST ends the response, not the work: after `fastcgi_finish_request()` the worker still runs old code.
//!   Behind the last STDIN record goes a FCGI_GET_VALUES; its answer, or end-of-file, says that the worker is free.
//! - A request is written twice only if the first one cannot have been read.
//!
//! The core: [`record`] (headers, kinds, statuses), [`params`] (name-value pairs), [`request`] and [`response`]
//! (each the encoder for one side and the state machine for the other), [`head`] (the CGI header block), [`address`].
//! The clients: [`blocking`] (one request, one connection, std only) and, with the feature `async`, `client` (tokio, pooled).
//! The server, with the same feature: `server` (one connection of a web server, tokio).

pub mod address;
pub mod blocking;
#[cfg(feature = "async")]
pub mod client;
pub mod head;
pub mod params;
pub mod record;
pub mod request;
pub mod response;
#[cfg(feature = "async")]
pub mod server;

pub use address::Address;
pub use head::Head;
pub use params::Params;
