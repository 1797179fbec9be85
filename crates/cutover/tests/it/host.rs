//! The far end of a connection, by itself.

use std::io::Write;
use std::process::{Command, Stdio};

use deploy::host::frame::Frame;
use deploy::host::message::{Far, PROTOCOL};

#[test]
fn the_far_end_says_hello_and_ends_with_its_connection() {
    let mut far = Command::new(env!("CARGO_BIN_EXE_cutover"))
        .arg("host")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let frame = Frame::read(far.stdout.as_mut().unwrap()).unwrap().unwrap();
    let Far::Hello { protocol, program, .. } = serde_json::from_slice(&frame.bytes).unwrap() else {
        panic!("{frame:?}")
    };
    let own = deploy::host::program::at(std::path::Path::new(env!("CARGO_BIN_EXE_cutover"))).unwrap();
    assert_eq!((protocol, program), (PROTOCOL, own.hash()));
    drop(far.stdin.take());
    assert!(!far.wait_with_output().unwrap().status.success());
}

#[test]
fn rubbish_at_the_far_end_is_refused() {
    for rubbish in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[255; 100], &[0; 10]] {
        let mut far = Command::new(env!("CARGO_BIN_EXE_cutover"))
            .arg("host")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        far.stdin.as_mut().unwrap().write_all(rubbish).unwrap();
        drop(far.stdin.take());
        let out = far.wait_with_output().unwrap();
        assert_eq!(out.status.code(), Some(1), "{rubbish:?}");
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(said.contains("the near end"), "{said}");
    }
}
