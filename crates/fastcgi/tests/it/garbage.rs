//! Bytes that nobody should send, in both directions: the fuzz targets on arbitrary bytes and on mutated streams.

use fastcgi::{
    Params,
    record::{Kind, ProtocolStatus, Role, write_record},
    request,
    response::{self, End},
};
use proptest::prelude::*;

#[path = "../../../../fuzz/src/fastcgi.rs"]
mod target;

/// A stream of records of any kind for few ids: valid framing, wild content.
pub fn records() -> impl Strategy<Value = Vec<u8>> {
    let record = (0_u8..=12, 0_u16..3, proptest::collection::vec(any::<u8>(), 0..20));
    proptest::collection::vec(record, 0..12).prop_map(|records| {
        let mut out = Vec::new();
        for (kind, id, content) in records {
            let at = out.len();
            write_record(&mut out, Kind::Stdout, id, &content);
            out[at + 1] = kind;
        }
        out
    })
}

pub fn good_request() -> Vec<u8> {
    let mut out = Vec::new();
    let params =
        Params::new().push(b"SCRIPT_FILENAME", b"/srv/index.php").push(b"QUERY_STRING", &[b'q'; 200]).clone();
    request::write_begin(&mut out, 1, Role::Responder, true, &params);
    request::write_stdin(&mut out, 1, b"body of the request");
    request::write_stdin_end(&mut out, 1);
    request::write_probe(&mut out);
    out
}

fn good_response() -> Vec<u8> {
    let mut out = Vec::new();
    response::write_stderr(&mut out, 1, b"PHP message");
    response::write_stdout(&mut out, 1, b"Status: 404 Not Found\r\nX-A: b\r\nSet-Cookie: c=d\r\n\r\nbody");
    response::write_end(&mut out, 1, End { app_status: 1, protocol: ProtocolStatus::Complete });
    response::write_values(&mut out, Params::new().push(b"FCGI_MPXS_CONNS", b"0"));
    out
}

/// Changes bytes here and there, and cuts the end off.
pub fn mutate(mut stream: Vec<u8>, changes: &[(u16, u8)], keep: u16) -> Vec<u8> {
    for (at, to) in changes {
        let at = usize::from(*at) % stream.len();
        stream[at] = *to;
    }
    stream.truncate(stream.len().saturating_sub(usize::from(keep % 40)));
    stream
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_whatsoever_upset_a_reader(data: Vec<u8>) {
        target::request(&data);
        target::response(&data);
    }

    #[test]
    fn no_records_whatsoever_upset_a_reader(cut: u8, stream in records()) {
        let data = [&[cut], &stream[..]].concat();
        target::request(&data);
        target::response(&data);
    }

    #[test]
    fn no_mutation_of_a_good_stream_upsets_a_reader(cut: u8, changes: [(u16, u8); 3], keep: u16) {
        target::request(&[&[cut], &mutate(good_request(), &changes, keep)[..]].concat());
        target::response(&[&[cut], &mutate(good_response(), &changes, keep)[..]].concat());
    }
}
