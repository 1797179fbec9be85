//! The server on a connection: good streams however they are cut, and bytes that nobody should send.

use fastcgi::Params;
use fastcgi::record::{Kind, ProtocolStatus, Role, write_record};
use fastcgi::request::{write_abort, write_begin, write_stdin, write_stdin_end};
use fastcgi::response::{ResponseReader, Step};
use proptest::prelude::*;

use crate::garbage::{good_request, mutate, records};

#[path = "../../../../fuzz/src/server.rs"]
mod target;

/// The outputs of the answers, in order, and how each ended.
fn answers(mut out: &[u8]) -> Vec<(Vec<u8>, ProtocolStatus)> {
    let (mut reader, mut answers, mut output) = (ResponseReader::new(1), Vec::new(), Vec::new());
    loop {
        let drop = match reader.step(out).expect("an answer") {
            Step::Need => break,
            Step::Stdout(count) => {
                output.extend_from_slice(&out[..count]);
                reader.took(count);
                count
            }
            Step::End(count, end) => {
                answers.push((std::mem::take(&mut output), end.protocol));
                count
            }
            Step::Skip(count) | Step::Stderr(count) | Step::Values(count) => count,
        };
        out = &out[drop..];
    }
    assert!(out.is_empty() && output.is_empty());
    answers
}

fn request(out: &mut Vec<u8>, keep: bool, body: &[u8]) {
    write_begin(out, 1, Role::Responder, keep, Params::new().push(b"REQUEST_METHOD", b"POST"));
    write_stdin(out, 1, body);
    write_stdin_end(out, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn arbitrary_bytes_do_no_harm(data: Vec<u8>) {
        target::server(&data);
    }

    #[test]
    fn arbitrary_records_do_no_harm(cut: u8, records in records()) {
        target::server(&[&[cut][..], &records].concat());
    }

    #[test]
    fn damaged_requests_do_no_harm(cut: u8, changes: Vec<(u16, u8)>, keep: u16) {
        let twice = [good_request(), good_request()].concat();
        target::server(&[&[cut][..], &mutate(twice, &changes, keep)].concat());
    }

    #[test]
    fn wherever_a_body_is_cut_it_arrives_whole(body: Vec<u8>, piece in 1_usize..60) {
        let mut stream = Vec::new();
        request(&mut stream, true, &body);
        let complete = ProtocolStatus::Complete;
        prop_assert_eq!(answers(&target::echo(&stream, piece)), [(body, complete)]);
    }
}

#[test]
fn long_bodies_go_through_whatever_the_pieces() {
    let body: Vec<u8> = (0..700_000_u32).map(|n| n as u8).collect();
    let mut stream = Vec::new();
    request(&mut stream, false, &body);
    for piece in [900, 65_536, 700_000, 800_000] {
        let told = answers(&target::echo(&stream, piece));
        assert!(told == [(body.clone(), ProtocolStatus::Complete)], "pieces of {piece}");
    }
}

#[test]
fn a_connection_that_is_not_kept_ends_with_its_answer_and_an_abort_ends_a_request() {
    let mut stream = Vec::new();
    request(&mut stream, false, b"one");
    request(&mut stream, false, b"two");
    assert_eq!(answers(&target::echo(&stream, 30)), [(b"one".to_vec(), ProtocolStatus::Complete)]);

    let mut stream = Vec::new();
    write_begin(&mut stream, 1, Role::Responder, true, &Params::new());
    write_stdin(&mut stream, 1, b"half");
    write_abort(&mut stream, 1);
    write_stdin_end(&mut stream, 1);
    request(&mut stream, true, b"next");
    let told = answers(&target::echo(&stream, 8));
    assert_eq!(told.last(), Some(&(b"next".to_vec(), ProtocolStatus::Complete)));
    assert_eq!(told.len(), 2);
}

#[test]
fn other_roles_are_refused() {
    let mut stream = Vec::new();
    write_begin(&mut stream, 1, Role::Filter, true, &Params::new());
    write_record(&mut stream, Kind::Data, 1, b"a file");
    request(&mut stream, true, b"next");
    let told = answers(&target::echo(&stream, 1_000));
    assert_eq!(told, [(vec![], ProtocolStatus::UnknownRole), (b"next".to_vec(), ProtocolStatus::Complete)]);
}
