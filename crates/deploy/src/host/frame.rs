//! Frame: the pieces in which messages and streams go over the wire: a length, a kind, that many bytes.
//!
//! ```text
//! length u32, little-endian, of the bytes   kind u8   bytes
//! ```

use std::io::{ErrorKind, Read, Write};

/// The most bytes of one frame. Who is told of more is talking to something else.
pub const LONGEST: usize = 1 << 20;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message: JSON.
    Say,
    /// A piece of the stream that lists a tree; empty: its end.
    Tree,
    /// A piece of the stream that says which contents are wanted; empty: its end.
    Want,
    /// A piece of the stream of contents; empty: its end.
    Data,
    /// Nothing, but that the sender is still there.
    Ping,
    /// The deploy is to stop, if it still can. Heeded at once, whatever else waits to be read.
    Stop,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it holds.
    pub kind: Kind,
    /// At most [`LONGEST`] of them.
    pub bytes: Vec<u8>,
}

/// Why there is no next frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side ended in the middle of one.
    #[error("the connection was cut in the middle of a message")]
    Cut,
    /// It cannot be one of ours.
    #[error("what came is no message of ours (it would be {length} bytes long)")]
    TooLong {
        /// What its length would be.
        length: u32,
    },
    /// It is of a kind that is not known.
    #[error("what came is no message of ours (kind {0})")]
    Unknown(u8),
    /// It could not be read.
    #[error("cannot read from the connection: {0}")]
    Unreadable(#[from] std::io::Error),
}

impl Kind {
    const ALL: [Kind; 6] = [Kind::Say, Kind::Tree, Kind::Want, Kind::Data, Kind::Ping, Kind::Stop];

    const fn byte(self) -> u8 {
        match self {
            Kind::Say => b'S',
            Kind::Tree => b'T',
            Kind::Want => b'W',
            Kind::Data => b'D',
            Kind::Ping => b'P',
            Kind::Stop => b'X',
        }
    }
}

impl Frame {
    /// Writes it.
    pub fn write(&self, mut to: impl Write) -> std::io::Result<()> {
        let length = u32::try_from(self.bytes.len()).ok().filter(|length| *length as usize <= LONGEST);
        let length =
            length.ok_or_else(|| std::io::Error::new(ErrorKind::InvalidInput, "a frame too long"))?;
        let [a, b, c, d] = length.to_le_bytes();
        to.write_all(&[a, b, c, d, self.kind.byte()])?;
        to.write_all(&self.bytes)
    }

    /// Reads the next one; `None`: the other side ended between two. Gives memory only for what came.
    pub fn read(mut from: impl Read) -> Result<Option<Frame>, FrameError> {
        let mut head = [0; 5];
        let mut got = 0;
        while got < head.len() {
            match from.read(head.get_mut(got..).unwrap_or_default()) {
                Ok(0) if got == 0 => return Ok(None),
                Ok(0) => return Err(FrameError::Cut),
                Ok(n) => got += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let [a, b, c, d, byte] = head;
        let length = u32::from_le_bytes([a, b, c, d]);
        let kind = Kind::ALL.into_iter().find(|kind| kind.byte() == byte).ok_or(FrameError::Unknown(byte))?;
        if length as usize > LONGEST {
            return Err(FrameError::TooLong { length });
        }
        let mut bytes = Vec::new();
        from.take(u64::from(length)).read_to_end(&mut bytes)?;
        match bytes.len() == length as usize {
            true => Ok(Some(Frame { kind, bytes })),
            false => Err(FrameError::Cut),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kind() -> impl Strategy<Value = Kind> {
        proptest::sample::select(Kind::ALL.to_vec())
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_cut_anywhere_it_is_noticed(kind in kind(), bytes: Vec<u8>, at: usize) {
            let frame = Frame { kind, bytes };
            let mut wire = Vec::new();
            frame.write(&mut wire).unwrap();
            prop_assert_eq!(Frame::read(&wire[..]).unwrap(), Some(frame));
            let at = at % wire.len();
            match Frame::read(&wire[..at]) {
                Ok(None) => prop_assert_eq!(at, 0),
                Err(FrameError::Cut) => prop_assert!(at > 0),
                other => prop_assert!(false, "{:?}", other),
            }
        }

        #[test]
        fn rubbish_is_refused_and_never_more_is_held_than_came(bytes: Vec<u8>) {
            let mut rest = &bytes[..];
            while let Ok(Some(frame)) = Frame::read(&mut rest) {
                prop_assert!(frame.bytes.len() <= bytes.len());
            }
        }
    }

    #[test]
    fn a_frame_that_claims_too_much_is_refused_before_it_is_read() {
        let wire = [255, 255, 255, 255, b'S'];
        assert!(matches!(Frame::read(&wire[..]), Err(FrameError::TooLong { .. })));
        let long = Frame { kind: Kind::Data, bytes: vec![0; LONGEST + 1] };
        assert!(long.write(std::io::sink()).is_err());
    }
}
