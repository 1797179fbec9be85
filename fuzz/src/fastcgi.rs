//! Both directions of the wire: whatever comes, nothing panics, all input is accounted for, and where it is cut changes
//! nothing.

use fastcgi::{
    head::{HeadProgress, HeadReader},
    params,
    request::{Event, RequestLimits, RequestReader},
    response::{ResponseReader, Step},
};

/// What a responder might send. The first byte says how the rest is cut.
pub fn response(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else { return };
    let whole = read_response(stream, stream.len().max(1));
    let cut = read_response(stream, usize::from(cut) + 1);
    assert_eq!(whole, cut, "where it is cut changes what it says");
}

/// What a client might send. The first byte says how the rest is cut.
pub fn request(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else { return };
    let whole = read_request(stream, stream.len().max(1));
    let cut = read_request(stream, usize::from(cut) + 1);
    assert_eq!(whole, cut, "where it is cut changes what it says");
    params::pairs(stream).for_each(drop);
}

/// Output, log, marks of what else came, and the fault that ended it, if one did.
type Told = (Vec<u8>, Vec<u8>, Vec<String>, Option<String>);

fn read_response(stream: &[u8], piece: usize) -> Told {
    let (mut reader, mut seen, mut told) = (ResponseReader::new(1), Vec::new(), Told::default());
    'pieces: for part in stream.chunks(piece) {
        seen.extend_from_slice(part);
        if let Some(len) = reader.whole_len(&seen) {
            assert!(len <= seen.len());
        }
        loop {
            let drop = match reader.step(&seen) {
                Ok(Step::Need) => continue 'pieces,
                Ok(Step::Stdout(count)) => {
                    assert!(count > 0);
                    told.0.extend_from_slice(&seen[..count]);
                    reader.took(count);
                    count
                }
                Ok(Step::Stderr(count)) => {
                    told.1.extend_from_slice(&seen[..count]);
                    count
                }
                Ok(Step::End(count, end)) => {
                    told.2.push(format!("{end:?}"));
                    count
                }
                Ok(Step::Values(count)) => {
                    params::pairs(&seen[..count]).for_each(drop);
                    told.2.push(String::from("values"));
                    count
                }
                Ok(Step::Skip(count)) => {
                    assert!(count > 0);
                    count
                }
                Err(why) => {
                    told.3 = Some(format!("{why:?}"));
                    break 'pieces;
                }
            };
            seen.drain(..drop);
        }
    }
    assert_eq!(read_head(&told.0, usize::MAX), read_head(&told.0, piece));
    told
}

/// Status, count of fields and length of a head, or why it is none.
fn read_head(output: &[u8], piece: usize) -> Result<Option<(u16, usize, usize)>, fastcgi::head::HeadError> {
    let (mut reader, mut at) = (HeadReader::new(10_000), 0);
    for part in output.chunks(piece.min(output.len()).max(1)) {
        if let HeadProgress::Done { head, used } = reader.feed(part)? {
            for (name, value) in head.fields() {
                assert!(!name.is_empty() && !value.contains(&b'\n') && !value.contains(&b'\r'));
            }
            assert!((100..1_000).contains(&head.status));
            return Ok(Some((head.status, head.fields().count(), at + used)));
        }
        at += part.len();
    }
    Ok(None)
}

fn read_request(stream: &[u8], piece: usize) -> Told {
    let limits = RequestLimits { requests: 4, params_len: 10_000 };
    let (mut reader, mut seen, mut told) = (RequestReader::new(limits), Vec::new(), Told::default());
    'pieces: for part in stream.chunks(piece) {
        seen.extend_from_slice(part);
        loop {
            let found = match reader.step(&seen) {
                Ok(Some(found)) => found,
                Ok(None) => continue 'pieces,
                Err(why) => {
                    told.3 = Some(format!("{why:?}"));
                    break 'pieces;
                }
            };
            let used = found.used;
            let mut ended = None;
            match found.event {
                Some(Event::Begin(begin)) => {
                    assert!(params::pairs(&begin.params).all(|pair| pair.is_ok()));
                    told.2.push(format!(
                        "begin {} {:?} {} {}",
                        begin.id,
                        begin.role,
                        begin.keep,
                        begin.params.len()
                    ));
                }
                Some(Event::Stdin { piece, .. }) => told.0.extend_from_slice(piece),
                Some(Event::StdinEnd { id }) => {
                    told.2.push(format!("end {id}"));
                    ended = Some(id);
                }
                Some(Event::GetValues(names)) => told.2.push(format!("values {}", names.count())),
                Some(other @ (Event::Abort { .. } | Event::Refused { .. } | Event::UnknownType(_))) => {
                    told.2.push(format!("{other:?}"));
                }
                None => {}
            }
            if let Some(id) = ended {
                reader.ended(id);
            }
            assert!(reader.under_way() <= 4);
            seen.drain(..used);
        }
    }
    told
}
