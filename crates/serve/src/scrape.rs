//! Scrape: `/metrics` on a socket of its own.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::body::Body;
use crate::listen::Listener;
use crate::metrics::Metrics;
use crate::reply;

/// Answers scrapes until it is dropped.
pub async fn run(listener: Listener, metrics: Arc<Metrics>) {
    loop {
        let metrics = Arc::clone(&metrics);
        match &listener {
            Listener::Tcp(socket) => match socket.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve(stream, metrics))),
                Err(_try_again) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            },
            Listener::Unix(socket) => match socket.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve(stream, metrics))),
                Err(_try_again) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            },
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, metrics: Arc<Metrics>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let metrics = Arc::clone(&metrics);
        async move { Ok::<_, Infallible>(answer(&request, &metrics)) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // A scraper that hangs up is no event.
    drop(tokio::time::timeout(std::time::Duration::from_secs(60), connection).await);
}

fn answer(request: &Request<Incoming>, metrics: &Metrics) -> Response<Body> {
    if request.uri().path() != "/metrics" {
        return reply::status(404, "Only /metrics is here.");
    }
    let mut response = Response::new(Body::from(metrics.render()));
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
