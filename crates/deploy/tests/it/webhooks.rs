//! Webhooks are told, in the form that each wants; their addresses are shown nowhere.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use deploy::journal::Ending;
use serde_json::Value;

use crate::shop::Shop;

/// Listens on loopback; gives its port, and what it is sent: path and body.
fn listener() -> (u16, Receiver<(String, Value)>) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for stream in socket.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let (mut path, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap() == 0 {
                    break;
                }
                let lower = line.to_ascii_lowercase();
                if let Some(first) = line.strip_prefix("POST ") {
                    path = first.split(' ').next().unwrap().to_owned();
                } else if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                } else if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
            if send.send((path, serde_json::from_slice(&body).unwrap())).is_err() {
                return;
            }
        }
    });
    (port, receive)
}

fn next(from: &Receiver<(String, Value)>) -> (String, Value) {
    from.recv_timeout(Duration::from_secs(30)).unwrap()
}

#[test]
fn each_form_is_told_of_start_success_failure_and_rollback() {
    let (port, told) = listener();
    let shop = Shop::new("");
    let all = "on = ['start', 'success', 'failure', 'rollback']";
    let file = shop.path("teams-url");
    std::fs::write(&file, format!("http://127.0.0.1:{port}/teams-s3cret\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let hooks = format!(
        "[[notify]]\nurl = 'http://127.0.0.1:{port}/json-s3cret'\n{all}\n\
         [[notify]]\nurl = 'http://127.0.0.1:{port}/slack-s3cret'\nformat = 'slack'\non = ['success']\n\
         [[notify]]\nurl = 'http://127.0.0.1:{port}/discord-s3cret'\nformat = 'discord'\non = ['success']\n\
         [[notify]]\nurl_file = '{}'\nformat = 'teams'\non = ['success']\n",
        file.display()
    );
    shop.configure(&hooks);
    let first = shop.deployed("one");
    let (_, start) = next(&told);
    assert_eq!((start["event"].as_str(), start["app"].as_str()), (Some("start"), Some("shop")));
    let (path, success) = next(&told);
    assert_eq!((path.as_str(), success["event"].as_str()), ("/json-s3cret", Some("success")));
    assert_eq!(success["live"].as_str(), Some(first.as_str()));
    let sentence = success["text"].as_str().unwrap();
    assert!(
        sentence.starts_with(&format!("shop: {first} is live, deployed by alice@web1 in ")),
        "{sentence}"
    );
    let (_, slack) = next(&told);
    assert!(slack["text"].as_str().unwrap().contains("is live"), "{slack}");
    let (_, discord) = next(&told);
    assert!(discord["content"].as_str().unwrap().contains("is live"), "{discord}");
    let (_, teams) = next(&told);
    let card = &teams["attachments"][0]["content"]["body"][0]["text"];
    assert!(card.as_str().unwrap().contains("is live"), "{teams}");

    shop.configure(&format!("{hooks}[hooks]\nafter_verify = ['echo /json-s3cret; echo http://127.0.0.1:{port}/json-s3cret; exit 1']\n"));
    shop.page("two");
    let failed = shop.deploy();
    assert_eq!(failed.outcome.ending, Ending::FlippedBack);
    let events: Vec<Value> = (0..3).map(|_| next(&told).1).collect();
    let words: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(words, ["start", "failure", "rollback"]);
    assert_eq!(events[1]["live"].as_str(), Some(first.as_str()));
    // The address is shown nowhere, even where a command prints it.
    let shown = format!("{:?}", failed.events) + &events[1].to_string();
    assert!(!shown.contains(&format!("{port}/json-s3cret")) && shown.contains("***"), "{shown}");
}

#[test]
fn a_webhook_that_cannot_be_told_is_reported_and_its_address_is_not() {
    // Nobody listens there any more.
    let port = crate::port::free();
    let shop = Shop::new("");
    let open = shop.path("open-url");
    std::fs::write(&open, "http://127.0.0.1:1/s3cret").unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    shop.configure(&format!(
        "[[notify]]\nurl = 'http://127.0.0.1:{port}/s3cret'\n[[notify]]\nurl_env = 'NO_SUCH_VARIABLE'\n[[notify]]\nurl_file = '{}'\n",
        open.display()
    ));
    let told = shop.deploy();
    assert_eq!(told.outcome.ending, Ending::Live);
    let problems = told.outcome.problems.join("\n");
    assert!(problems.contains("a webhook was not told: "), "{problems}");
    assert!(problems.contains("NO_SUCH_VARIABLE is not set"), "{problems}");
    assert!(problems.contains("can be read by others; make it 0600"), "{problems}");
    assert!(!problems.contains("s3cret"), "{problems}");
}
