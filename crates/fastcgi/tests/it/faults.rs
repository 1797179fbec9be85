//! Peers that misbehave: what the client says, and what it never does.

use std::{
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use fastcgi::{
    Address, Params,
    client::{Body, ClientError, Policy, Pool, PoolOptions, Request},
    record::{Malformed, ProtocolStatus},
    response::{self, End},
};

use crate::pool::{LONG, eventually, text, told};

/// A peer that treats its n-th connection as told; it counts the requests that it read.
struct Peer {
    address: Address,
    requests: Arc<AtomicUsize>,
    _dir: tempfile::TempDir,
}

type Conduct = fn(usize, UnixStream, &AtomicUsize);

impl Peer {
    fn start(conduct: Conduct) -> Peer {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peer.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let seen = requests.clone();
        thread::spawn(move || {
            for (nth, stream) in listener.incoming().enumerate() {
                let (stream, seen) = (stream.unwrap(), seen.clone());
                thread::spawn(move || conduct(nth, stream, &seen));
            }
        });
        Peer { address: Address::Unix(path), requests, _dir: dir }
    }

    fn pool(&self) -> Pool {
        self.pool_waiting(LONG)
    }

    fn pool_waiting(&self, read_timeout: Duration) -> Pool {
        Pool::new(PoolOptions {
            read_timeout,
            ..PoolOptions::new(vec![self.address.clone()], Policy::Exclusive { total: 4 })
        })
    }
}

/// Reads a request up to the end of its probe; false: the client went away first.
fn read_request(stream: &mut UnixStream) -> bool {
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    while !seen.windows(15).any(|window| window == b"FCGI_MPXS_CONNS") {
        match stream.read(&mut piece) {
            Ok(count @ 1..) => seen.extend_from_slice(&piece[..count]),
            Ok(0) | Err(_) => return false,
        }
    }
    true
}

fn answer(output: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    response::write_stdout(&mut out, 1, b"Content-Type: text/plain\r\n\r\n");
    response::write_stdout(&mut out, 1, output);
    response::write_end(&mut out, 1, End { app_status: 0, protocol: ProtocolStatus::Complete });
    response::write_values(&mut out, Params::new().push(b"FCGI_MPXS_CONNS", b"0"));
    out
}

fn get() -> Request {
    Request { idempotent: true, ..Request::new(Params::new().push(b"SCRIPT_FILENAME", b"/x").clone()) }
}

/// Answers the first request of its first connection, reads a second one and hangs up. Later connections are served.
fn hangs_up_on_the_second(nth: usize, mut stream: UnixStream, requests: &AtomicUsize) {
    while read_request(&mut stream) {
        if requests.fetch_add(1, Ordering::SeqCst) == 1 && nth == 0 {
            return;
        }
        stream.write_all(&answer(b"ok")).unwrap();
    }
}

#[tokio::test]
async fn a_get_that_a_kept_connection_swallowed_is_sent_once_more_and_keeps_what_it_holds() {
    let peer = Peer::start(hangs_up_on_the_second);
    let pool = peer.pool();
    assert_eq!(text(pool.send(get()).await.unwrap()).await, "ok");
    eventually("it is kept", || pool.occupancy().idle == 1).await;
    let (held, freed) = told();
    let response = pool.send(Request { until_free: Some(Box::new(held)), ..get() }).await.unwrap();
    assert!(!freed.load(Ordering::SeqCst));
    assert_eq!(text(response).await, "ok");
    assert_eq!(peer.requests.load(Ordering::SeqCst), 3);
    eventually("it is freed", || freed.load(Ordering::SeqCst)).await;
}

#[tokio::test]
async fn a_post_that_a_kept_connection_swallowed_is_never_sent_again() {
    for idempotent in [false, true] {
        let peer = Peer::start(hangs_up_on_the_second);
        let pool = peer.pool();
        assert_eq!(text(pool.send(get()).await.unwrap()).await, "ok");
        eventually("it is kept", || pool.occupancy().idle == 1).await;
        // Not even if somebody called it idempotent: it has a body.
        let post = Request { body: Body::Whole(Bytes::from_static(b"order")), idempotent, ..get() };
        assert!(matches!(pool.send(post).await, Err(ClientError::ClosedEarly { heard: false })));
        assert_eq!(peer.requests.load(Ordering::SeqCst), 2);
        assert_eq!(pool.occupancy().open, 0);
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_not_written_to_so_a_post_passes() {
    static CLOSED: AtomicBool = AtomicBool::new(false);
    let peer = Peer::start(|nth, mut stream, requests| {
        while read_request(&mut stream) {
            requests.fetch_add(1, Ordering::SeqCst);
            stream.write_all(&answer(b"ok")).unwrap();
            if nth == 0 {
                drop(stream);
                CLOSED.store(true, Ordering::SeqCst);
                return;
            }
        }
    });
    let pool = peer.pool();
    assert_eq!(text(pool.send(get()).await.unwrap()).await, "ok");
    eventually("it is kept", || pool.occupancy().idle == 1).await;
    eventually("it is closed", || CLOSED.load(Ordering::SeqCst)).await;
    let post = Request { body: Body::Whole(Bytes::from_static(b"order")), idempotent: false, ..get() };
    assert_eq!(text(pool.send(post).await.unwrap()).await, "ok");
    assert_eq!(peer.requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_new_connection_that_hangs_up_is_an_error_even_for_a_get() {
    let peer = Peer::start(|_, mut stream, requests| {
        read_request(&mut stream);
        requests.fetch_add(1, Ordering::SeqCst);
    });
    assert!(matches!(peer.pool().send(get()).await, Err(ClientError::ClosedEarly { heard: false })));
    assert_eq!(peer.requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn garbage_is_called_garbage() {
    for (conduct, what) in [
        ((|_, mut stream, _| stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap()) as Conduct, "version"),
        (|_, mut stream, _| stream.write_all(b"x").unwrap(), "version"),
        (
            |_, mut stream, _| {
                read_request(&mut stream);
                let mut out = Vec::new();
                response::write_stdout(&mut out, 2, b"somebody else's page");
                stream.write_all(&out).unwrap();
            },
            "id",
        ),
    ] {
        let peer = Peer::start(conduct);
        let pool = peer.pool();
        let why = pool.send(get()).await.unwrap_err();
        match what {
            "version" => assert!(matches!(why, ClientError::Garbage(Malformed::Version(_))), "{why:?}"),
            _ => assert!(matches!(why, ClientError::Garbage(Malformed::RequestId(2))), "{why:?}"),
        }
        assert_eq!(pool.occupancy().open, 0);
    }
}

#[tokio::test]
async fn a_refusal_by_the_protocol_is_told_apart() {
    fn refuse(stream: &mut UnixStream, protocol: ProtocolStatus) {
        read_request(stream);
        let mut out = Vec::new();
        response::write_end(&mut out, 1, End { app_status: 0, protocol });
        stream.write_all(&out).unwrap();
    }
    let overloaded = Peer::start(|_, mut stream, _| refuse(&mut stream, ProtocolStatus::Overloaded));
    assert!(matches!(overloaded.pool().send(get()).await, Err(ClientError::Overloaded)));
    let mpx = Peer::start(|_, mut stream, _| refuse(&mut stream, ProtocolStatus::CantMultiplex));
    assert!(matches!(mpx.pool().send(get()).await, Err(ClientError::CantMultiplex)));
    let role = Peer::start(|_, mut stream, _| refuse(&mut stream, ProtocolStatus::UnknownRole));
    assert!(matches!(role.pool().send(get()).await, Err(ClientError::UnknownRole)));
    let silent = Peer::start(|_, mut stream, _| refuse(&mut stream, ProtocolStatus::Complete));
    assert!(matches!(silent.pool().send(get()).await, Err(ClientError::Head(_))));
}

#[tokio::test]
async fn a_peer_that_hangs_before_or_within_its_response_times_out_and_its_place_is_given_back() {
    static OVER: AtomicBool = AtomicBool::new(false);
    fn hang() {
        while !OVER.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(2));
        }
    }
    let hangs = Peer::start(|_, mut stream, _| {
        read_request(&mut stream);
        hang();
    });
    let pool = hangs.pool_waiting(Duration::from_millis(300));
    let (held, freed) = told();
    let why = pool.send(Request { until_free: Some(Box::new(held)), ..get() }).await.unwrap_err();
    assert!(matches!(why, ClientError::Timeout { heard: false, .. }), "{why:?}");
    // Whatever runs there still runs: the place and the hold are given back when it ends.
    assert!(!freed.load(Ordering::SeqCst));
    assert_eq!(pool.occupancy().open, 1);
    OVER.store(true, Ordering::SeqCst);
    eventually("it is freed", || freed.load(Ordering::SeqCst) && pool.occupancy().open == 0).await;

    OVER.store(false, Ordering::SeqCst);
    let stalls = Peer::start(|_, mut stream, _| {
        read_request(&mut stream);
        let whole = answer(&[b'x'; 100]);
        stream.write_all(&whole[..80]).unwrap();
        hang();
    });
    // What is written at once comes within this time, also on a busy machine.
    let mut response = stalls.pool_waiting(Duration::from_secs(3)).send(get()).await.unwrap();
    let why = loop {
        match response.body.chunk().await {
            Ok(chunk) => assert!(chunk.is_some()),
            Err(why) => break why,
        }
    };
    assert!(matches!(why, ClientError::Timeout { heard: true, .. }), "{why:?}");
    OVER.store(true, Ordering::SeqCst);
}

#[tokio::test]
async fn a_response_in_single_bytes_is_the_same_response() {
    let peer = Peer::start(|_, mut stream, _| {
        while read_request(&mut stream) {
            for byte in answer(b"drop by drop") {
                stream.write_all(&[byte]).unwrap();
                thread::sleep(Duration::from_micros(200));
            }
        }
    });
    let pool = peer.pool();
    for _ in 0..2 {
        assert_eq!(text(pool.send(get()).await.unwrap()).await, "drop by drop");
        eventually("it is kept", || pool.occupancy().idle == 1).await;
    }
}

#[tokio::test]
async fn wherever_a_response_is_cut_the_client_says_closed_early_and_never_that_it_is_whole() {
    static CUT: AtomicUsize = AtomicUsize::new(0);
    let peer = Peer::start(|_, mut stream, _| {
        read_request(&mut stream);
        let whole = answer(b"body");
        stream.write_all(&whole[..CUT.load(Ordering::SeqCst)]).unwrap();
    });
    let pool = peer.pool();
    // Up to END_REQUEST's last byte, in front of the answer to the probe.
    let until = answer(b"body").len() - 32;
    for cut in 0..until {
        CUT.store(cut, Ordering::SeqCst);
        let why = match pool.send(get()).await {
            Err(why) => why,
            Ok(mut response) => loop {
                assert_eq!(response.body.take_whole(), None);
                match response.body.chunk().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("whole although cut at {cut}"),
                    Err(why) => break why,
                }
            },
        };
        assert!(matches!(why, ClientError::ClosedEarly { .. }), "{cut}: {why:?}");
    }
}

#[tokio::test]
async fn a_full_backlog_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("full.sock");
    let listener = socket(&path);
    let pool = Pool::new(PoolOptions::new(vec![Address::Unix(path)], Policy::PerRequest { max: 99 }));
    let all: Vec<_> = (0..20)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { text(pool.send(get()).await.unwrap()).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            read_request(&mut stream);
            stream.write_all(&answer(b"at last")).unwrap();
        }
    });
    for one in all {
        assert_eq!(one.await.unwrap(), "at last");
    }
}

/// A listener with room for one.
fn socket(path: &std::path::Path) -> UnixListener {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
    let fd = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&fd, &SocketAddrUnix::new(path).unwrap()).unwrap();
    listen(&fd, 1).unwrap();
    UnixListener::from(fd)
}
