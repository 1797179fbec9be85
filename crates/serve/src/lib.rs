//! The pinned server: each request sees exactly one release, from its first byte to its last.
//!
//! ```text
//! accept -> guard (the head's bytes) -> hyper -> route -> pin -> resolve -> reply -> last byte -> unpin
//! ```
//!
//! - the process: [`run`] (from start to end), [`ground`] (what needs privileges), [`process`] (what a reload replaces),
//!   [`event`] (what it is told), [`control`] and [`operator`] (the control socket's two sides), [`obey`],
//!   [`handover`] (to a newer program), [`drain`], [`privileges`], [`descriptors`]
//! - a connection: [`listen`], [`accept`], [`connection`], [`proxy_protocol`], [`tls`], [`wire`] (the bytes),
//!   [`fcgi`] (a web server's, that asks for its visitors)
//! - a request: [`handle`], [`upload`] (its body), [`door`] (which site), [`client`] (who asks), [`auth`], [`exchange`] (counted and logged)
//! - the release: [`look`] (is it still the one), [`dressed`] (what is made once for it), [`tree`] (its files),
//!   [`resource`] (what a path stands for)
//! - the answer: [`file`], [`gateway`] (PHP), [`cgi`], [`forward`] (side servers), [`reply`] (our own pages),
//!   [`body`] (what it carries, and the pin it holds), [`spool`] (where it waits for a slow client), [`sendfile`]
//! - the application: [`masters`] (which release runs in which php-fpm), [`pool`] (the way to one), [`fpm`] (our own),
//!   [`params`] (what a script is told)
//! - what is told: [`log`], [`metrics`], [`scrape`], [`roll`] (which releases are pinned)

pub mod accept;
pub mod auth;
pub mod body;
pub mod cgi;
pub mod client;
pub mod connection;
pub mod control;
pub mod descriptors;
pub mod door;
pub mod drain;
pub mod dressed;
pub mod event;
pub mod exchange;
pub mod fcgi;
pub mod file;
pub mod forward;
pub mod fpm;
pub mod gateway;
pub mod ground;
pub mod handle;
pub mod handover;
pub mod listen;
pub mod log;
pub mod look;
pub mod masters;
pub mod metrics;
pub mod obey;
pub mod operator;
pub mod params;
pub mod pool;
pub mod privileges;
pub mod process;
pub mod proxy_protocol;
pub mod reply;
pub mod resource;
pub mod roll;
pub mod run;
pub mod scrape;
pub mod sendfile;
pub mod server;
pub mod site;
pub mod spool;
pub mod tls;
pub mod tree;
pub mod upload;
pub mod wire;

pub use run::run;
