//! Response: what a responder sends; the state machine that reads it and the encoder that writes it.

use crate::record::{self, HEADER_LEN, Header, Kind, Malformed, ProtocolStatus};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The script's exit status.
    pub app_status: u32,
    /// Whether the responder took the request at all.
    pub protocol: ProtocolStatus,
}

/// What stands at the front of the input. The count is how many bytes of the input belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Too little to say: read more and ask again.
    Need,
    /// Framing: drop so many bytes.
    Skip(usize),
    /// So many bytes of output. Take as many of them as you like, drop them, and say how many with [`ResponseReader::took`].
    Stdout(usize),
    /// So many bytes for the log: one whole record. Drop them.
    Stderr(usize),
    /// The response is over. Drop so many bytes.
    End(usize, End),
    /// The answer to FCGI_GET_VALUES: so many bytes of name-value pairs. Drop them.
    Values(usize),
}

/// Reads what one responder sends to one client, without I/O and without copying.
/// It outlives a response: the same reader goes on with the next one on the connection.
#[derive(Clone, Copy, Debug)]
pub struct ResponseReader {
    id: u16,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Between records.
    Header,
    /// In so much output that is still to come, then padding.
    Stdout { left: usize, padding: usize },
    /// In front of a record that is told as one piece.
    Whole { what: Whole, len: usize, padding: usize },
    /// In what tells nothing.
    Skip { left: usize },
}

#[derive(Clone, Copy, Debug)]
enum Whole {
    Stderr,
    End,
    Values,
}

impl ResponseReader {
    /// A reader at the start of a connection, for responses to the request with this id.
    pub fn new(id: u16) -> ResponseReader {
        ResponseReader { id, state: State::Header }
    }

    /// Says what stands at the front of the input, which must be what was not dropped yet. After an error the
    /// connection is of no use.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        loop {
            match self.state {
                State::Header => {
                    let Some(header) = input.first_chunk::<HEADER_LEN>() else {
                        return match input.first() {
                            // Said at once: garbage may be shorter than a header, and then nothing more ever comes.
                            Some(&version) if version != 1 => Err(Malformed::Version(version)),
                            Some(_) | None => Ok(Step::Need),
                        };
                    };
                    self.state = self.enter(Header::parse(header)?)?;
                    return Ok(Step::Skip(HEADER_LEN));
                }
                State::Stdout { left: 0, padding } => self.state = State::Skip { left: padding },
                State::Stdout { left, .. } => {
                    return Ok(match left.min(input.len()) {
                        0 => Step::Need,
                        available => Step::Stdout(available),
                    });
                }
                State::Whole { what, len, padding } => {
                    let Some(content) = input.get(..len) else { return Ok(Step::Need) };
                    self.state = State::Skip { left: padding };
                    return Ok(match what {
                        Whole::Stderr => Step::Stderr(len),
                        Whole::End => Step::End(len, read_end(content)?),
                        Whole::Values => Step::Values(len),
                    });
                }
                State::Skip { left: 0 } => self.state = State::Header,
                State::Skip { left } => {
                    return Ok(match left.min(input.len()) {
                        0 => Step::Need,
                        available => {
                            self.state = State::Skip { left: left - available };
                            Step::Skip(available)
                        }
                    });
                }
            }
        }
    }

    /// So many bytes of a [`Step::Stdout`] were taken and dropped.
    pub fn took(&mut self, bytes: usize) {
        if let State::Stdout { left, .. } = &mut self.state {
            *left = left.saturating_sub(bytes);
        }
    }

    /// If a whole, faultless response stands in the input: how many bytes of output it has. Looks ahead only; a fault
    /// that lies ahead is found when it is reached.
    pub fn whole_len(mut self, mut input: &[u8]) -> Option<usize> {
        let mut output = 0;
        loop {
            let drop = match self.step(input).ok()? {
                Step::Need => return None,
                Step::End(_, end) => return (end.protocol == ProtocolStatus::Complete).then_some(output),
                Step::Stdout(count) => {
                    self.took(count);
                    output += count;
                    count
                }
                Step::Skip(count) | Step::Stderr(count) | Step::Values(count) => count,
            };
            input = input.get(drop..)?;
        }
    }

    fn enter(&self, header: Header) -> Result<State, Malformed> {
        let (len, padding) = (usize::from(header.content), usize::from(header.padding));
        let nothing = State::Skip { left: len + padding };
        let Some(kind) = Kind::from_byte(header.kind) else { return Ok(nothing) };
        match kind {
            // Never taken for ours: it would be somebody else's page.
            Kind::Stdout | Kind::Stderr | Kind::EndRequest if header.id != self.id => {
                Err(Malformed::RequestId(header.id))
            }
            Kind::Stdout => Ok(State::Stdout { left: len, padding }),
            Kind::Stderr if len == 0 => Ok(nothing),
            Kind::Stderr => Ok(State::Whole { what: Whole::Stderr, len, padding }),
            Kind::EndRequest if len < END_LEN => Err(Malformed::Length { kind, len }),
            Kind::EndRequest => Ok(State::Whole { what: Whole::End, len, padding }),
            // A responder that does not know FCGI_GET_VALUES says UNKNOWN_TYPE, and is as free as one that does.
            Kind::GetValuesResult | Kind::UnknownType => {
                Ok(State::Whole { what: Whole::Values, len, padding })
            }
            Kind::BeginRequest
            | Kind::AbortRequest
            | Kind::Params
            | Kind::Stdin
            | Kind::Data
            | Kind::GetValues => Err(Malformed::Unexpected(kind)),
        }
    }
}

const END_LEN: usize = 8;

fn read_end(content: &[u8]) -> Result<End, Malformed> {
    let short = Malformed::Length { kind: Kind::EndRequest, len: content.len() };
    let [a, b, c, d, protocol, ..] = *content.first_chunk::<END_LEN>().ok_or(short)?;
    let protocol = ProtocolStatus::from_byte(protocol).ok_or(Malformed::ProtocolStatus(protocol))?;
    Ok(End { app_status: u32::from_be_bytes([a, b, c, d]), protocol })
}

/// Appends output as STDOUT records; nothing for no output (an empty record would end the stream).
pub fn write_stdout(out: &mut Vec<u8>, id: u16, output: &[u8]) {
    record::write_stream(out, Kind::Stdout, id, output);
}

/// Appends text for the log as STDERR records; nothing for no text.
pub fn write_stderr(out: &mut Vec<u8>, id: u16, text: &[u8]) {
    record::write_stream(out, Kind::Stderr, id, text);
}

/// Appends the end of the STDOUT stream and END_REQUEST.
pub fn write_end(out: &mut Vec<u8>, id: u16, end: End) {
    record::write_stream_end(out, Kind::Stdout, id);
    let [a, b, c, d] = end.app_status.to_be_bytes();
    record::write_record(out, Kind::EndRequest, id, &[a, b, c, d, end.protocol.byte(), 0, 0, 0]);
}

/// Appends the answer to FCGI_GET_VALUES.
pub fn write_values(out: &mut Vec<u8>, values: &crate::Params) {
    record::write_record(out, Kind::GetValuesResult, 0, values.as_bytes());
}

/// Appends the answer to a management record of a kind that is not known.
pub fn write_unknown_type(out: &mut Vec<u8>, kind: u8) {
    record::write_record(out, Kind::UnknownType, 0, &[kind, 0, 0, 0, 0, 0, 0, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Output, log, what ended it, answers to the probe.
    type Told = (Vec<u8>, Vec<u8>, Option<End>, usize);

    /// Reads a stream that comes in pieces of `piece` bytes.
    fn read(stream: &[u8], piece: usize) -> Result<Told, Malformed> {
        let mut reader = ResponseReader::new(1);
        let (mut output, mut log, mut end, mut values, mut seen) =
            (Vec::new(), Vec::new(), None, 0, Vec::new());
        for part in stream.chunks(piece) {
            seen.extend_from_slice(part);
            loop {
                let drop = match reader.step(&seen)? {
                    Step::Need => break,
                    Step::Skip(count) => count,
                    Step::Stdout(count) => {
                        let some = count.div_ceil(2);
                        output.extend_from_slice(&seen[..some]);
                        reader.took(some);
                        some
                    }
                    Step::Stderr(count) => {
                        log.extend_from_slice(&seen[..count]);
                        count
                    }
                    Step::End(count, how) => {
                        end = Some(how);
                        count
                    }
                    Step::Values(count) => {
                        values += 1;
                        count
                    }
                };
                seen.drain(..drop);
            }
        }
        Ok((output, log, end, values))
    }

    fn stream(output: &[u8], log: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_stderr(&mut out, 1, log);
        write_stdout(&mut out, 1, output);
        write_end(&mut out, 1, End { app_status: 3, protocol: ProtocolStatus::Complete });
        write_values(&mut out, crate::Params::new().push(b"FCGI_MPXS_CONNS", b"0"));
        out
    }

    proptest! {
        #[test]
        fn wherever_a_stream_is_cut_it_reads_the_same(output: Vec<u8>, log: Vec<u8>, piece in 1_usize..40) {
            let end = Some(End { app_status: 3, protocol: ProtocolStatus::Complete });
            prop_assert_eq!(read(&stream(&output, &log), piece), Ok((output, log, end, 1)));
        }
    }

    #[test]
    fn looking_ahead_tells_the_length_of_a_whole_response_and_nothing_of_a_partial_one() {
        let whole = stream(&[b'x'; 70_000], b"log");
        assert_eq!(ResponseReader::new(1).whole_len(&whole), Some(70_000));
        assert_eq!(ResponseReader::new(1).whole_len(&whole[..70_000]), None);
        assert_eq!(ResponseReader::new(1).whole_len(b"garbage!"), None);
    }

    #[test]
    fn an_answer_without_values_and_an_unknown_type_are_answers_too() {
        let mut out = Vec::new();
        write_values(&mut out, &crate::Params::new());
        write_unknown_type(&mut out, Kind::GetValues.byte());
        assert_eq!(read(&out, 100), Ok((vec![], vec![], None, 2)));
    }

    #[test]
    fn what_no_responder_may_send_is_refused() {
        let record = |kind: u8, id: u16, content: &[u8]| {
            let header = Header { kind, id, content: content.len() as u16, padding: 0 };
            [&header.bytes()[..], content].concat()
        };
        assert_eq!(read(b"HTTP", 9), Err(Malformed::Version(b'H')));
        assert_eq!(read(&record(6, 2, b"other"), 9), Err(Malformed::RequestId(2)));
        assert_eq!(read(&record(5, 1, b"x"), 9), Err(Malformed::Unexpected(Kind::Stdin)));
        assert_eq!(read(&record(3, 1, b"x"), 9), Err(Malformed::Length { kind: Kind::EndRequest, len: 1 }));
        assert_eq!(read(&record(3, 1, &[0, 0, 0, 0, 9, 0, 0, 0]), 99), Err(Malformed::ProtocolStatus(9)));
        assert_eq!(read(&record(200, 0, b"later versions may know it"), 5), Ok((vec![], vec![], None, 0)));
    }
}
