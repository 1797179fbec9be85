//! Each way in which a server can fail a request is seen, by a fake server that does just that.

use prove::Target;
use prove::client::{Client, Fault};
use prove::clock::Clock;
use prove::page::Ask;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// A server that gives the n-th connection the n-th script: one text per request, then it closes.
fn fake(scripts: &'static [&'static [&'static str]], patience: Duration) -> (TempDir, Client) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fake.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        for script in scripts {
            let (mut stream, _) = listener.accept().await.unwrap();
            for text in *script {
                let mut request = [0; 4096];
                assert!(stream.read(&mut request).await.unwrap() > 0);
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        }
        // Keep the listener: a client that comes once more waits, it is not refused.
        std::future::pending::<()>().await;
    });
    (dir, Client::new(Target::unix(path), Clock::start(), patience))
}

async fn fault(script: &'static [&'static [&'static str]]) -> Fault {
    let (_dir, mut client) = fake(script, LONG);
    let exchange = client.ask(&Ask::get("/"), true).await;
    exchange.answer.unwrap_err()
}

#[tokio::test]
async fn a_short_answer_is_cut_short() {
    let fault = fault(&[&["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"]]).await;
    assert!(matches!(fault, Fault::CutShort { .. }), "{fault}");
}

#[tokio::test]
async fn chunks_without_their_end_are_cut_short() {
    let fault = fault(&[&["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]]).await;
    assert!(matches!(fault, Fault::CutShort { .. }), "{fault}");
}

#[tokio::test]
async fn a_closed_connection_is_no_answer() {
    let fault = fault(&[&[""]]).await;
    assert!(matches!(fault, Fault::Unanswered(_)), "{fault}");
}

#[tokio::test]
async fn more_than_was_announced_is_bad_framing() {
    let fault = fault(&[&["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc"]]).await;
    assert!(matches!(fault, Fault::Trailing(1)), "{fault}");
}

#[tokio::test]
async fn garbage_is_bad_framing() {
    let fault = fault(&[&["hello\r\n\r\n"]]).await;
    assert!(matches!(fault, Fault::Framing(_)), "{fault}");
}

#[tokio::test]
async fn silence_is_too_long() {
    let (_dir, mut client) = fake(&[], Duration::from_millis(300));
    let fault = client.ask(&Ask::get("/"), true).await.answer.unwrap_err();
    assert!(matches!(fault, Fault::TooLong(_)), "{fault}");
}

#[tokio::test]
async fn nobody_there_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::unix(dir.path().join("nobody.sock"));
    let mut client = Client::new(target, Clock::start(), LONG);
    let exchange = client.ask(&Ask::get("/"), true).await;
    assert!(matches!(exchange.answer, Err(Fault::Refused(_))));
}

#[tokio::test]
async fn a_kept_connection_is_used_again_and_its_announced_end_is_no_fault() {
    let (_dir, mut client) = fake(
        &[
            &[
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\n",
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nc",
            ],
            &["HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nd"],
        ],
        LONG,
    );
    for expected in ["a", "b", "c", "d"] {
        let exchange = client.ask(&Ask::get("/"), true).await;
        assert_eq!(exchange.answer.unwrap().body, expected.as_bytes());
    }
    assert_eq!(client.reconnects(), 0);
}

#[tokio::test]
async fn an_idle_connection_that_the_server_closed_is_opened_again_and_counted() {
    let (_dir, mut client) = fake(
        &[
            &["HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"],
            &["HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"],
        ],
        LONG,
    );
    client.ask(&Ask::get("/"), true).await.answer.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let exchange = client.ask(&Ask::get("/"), true).await;
    assert_eq!(exchange.answer.unwrap().body, b"b");
    assert_eq!(client.reconnects(), 1);
}
