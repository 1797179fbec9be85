//! Where a chunked request body ends, followed byte by byte (RFC 9112 section 7.1).

/// The state between two bytes of a chunked body.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Chunks {
    /// At the first digit of a chunk's size.
    #[default]
    Start,
    /// In the digits of the size.
    Size(u64),
    /// In a chunk extension, so many bytes of it.
    Extension(u64, u16),
    /// Behind the CR of the size line.
    SizeLf(u64),
    /// So many bytes of data are to come.
    Data(u64),
    /// Before the CR behind the data.
    DataCr,
    /// Before the LF behind the data.
    DataLf,
    /// At the start of a trailer line; so many bytes of trailers so far.
    Trailer(u16),
    /// Within a trailer line.
    TrailerLine(u16),
    /// Behind the CR of a trailer line.
    TrailerLf(u16),
    /// Behind the CR of the last line.
    EndLf,
    /// The body is over.
    End,
}

/// The framing is broken; the connection cannot be read any further.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken;

const EXTENSION_BYTES: u16 = 1024;
const TRAILER_BYTES: u16 = 8192;

impl Chunks {
    /// Takes `bytes` into account; gives how many of them belong to the body. Fewer than all only at its end.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let mut at = 0;
        while at < bytes.len() && *self != Self::End {
            if let Self::Data(left) = *self {
                let take = left.min((bytes.len() - at) as u64);
                at += usize::try_from(take).map_err(|_too_many| Broken)?;
                *self = if left == take { Self::DataCr } else { Self::Data(left - take) };
                continue;
            }
            *self = self.step(bytes[at])?;
            at += 1;
        }
        Ok(at)
    }

    fn step(self, byte: u8) -> Result<Self, Broken> {
        Ok(match (self, byte) {
            (Self::Start, _) => Self::Size(hex(byte).ok_or(Broken)?),
            (Self::Size(size), b'\r') => Self::SizeLf(size),
            (Self::Size(size), b';') => Self::Extension(size, 0),
            (Self::Size(size), _) if size >> 56 == 0 => Self::Size(size << 4 | hex(byte).ok_or(Broken)?),
            (Self::Extension(size, _), b'\r') => Self::SizeLf(size),
            (Self::Extension(size, long), _) if long < EXTENSION_BYTES && byte != b'\n' => {
                Self::Extension(size, long + 1)
            }
            (Self::SizeLf(0), b'\n') => Self::Trailer(0),
            (Self::SizeLf(size), b'\n') => Self::Data(size),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Start,
            (Self::Trailer(_), b'\r') => Self::EndLf,
            (Self::Trailer(long) | Self::TrailerLine(long), _)
                if byte != b'\r' && byte != b'\n' && long < TRAILER_BYTES =>
            {
                Self::TrailerLine(long + 1)
            }
            (Self::TrailerLine(long), b'\r') => Self::TrailerLf(long),
            (Self::TrailerLf(long), b'\n') => Self::Trailer(long),
            (Self::EndLf, b'\n') => Self::End,
            _anything_else => return Err(Broken),
        })
    }
}

fn hex(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn end_of(bytes: &[u8]) -> Result<(usize, bool), Broken> {
        let mut chunks = Chunks::default();
        let taken = chunks.advance(bytes)?;
        Ok((taken, chunks == Chunks::End))
    }

    #[test]
    fn bodies_end_where_they_end_and_broken_ones_are_refused() {
        type Ends = Result<(usize, bool), Broken>;
        let table: &[(&str, Ends)] = &[
            ("0\r\n\r\nGET", Ok((5, true))),
            ("3\r\nabc\r\n0\r\n\r\nGET", Ok((13, true))),
            ("3;name=value\r\nabc\r\n0\r\n\r\n", Ok((24, true))),
            ("0\r\nTrailer: x\r\n\r\nGET", Ok((17, true))),
            ("A\r\n0123456789\r\n", Ok((15, false))),
            ("3\nabc\r\n0\r\n\r\n", Err(Broken)),
            ("3\r\nabcd\r\n0\r\n\r\n", Err(Broken)),
            ("3 \r\nabc\r\n0\r\n\r\n", Err(Broken)),
            ("-1\r\n", Err(Broken)),
            ("0x3\r\n", Err(Broken)),
            ("\r\n", Err(Broken)),
            ("11111111111111111\r\n", Err(Broken)),
            ("0\r\n\n", Err(Broken)),
        ];
        for (bytes, expected) in table {
            assert_eq!(end_of(bytes.as_bytes()), *expected, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_cut_makes_no_difference(cut in 0usize..30, bytes in "[0-9a-f]{1,2}\r\n[a-z]{0,9}\r\n0\r\n\r\nGET") {
            let whole = end_of(bytes.as_bytes());
            let cut = cut.min(bytes.len());
            let mut chunks = Chunks::default();
            let pieces = chunks.advance(&bytes.as_bytes()[..cut]).and_then(|first| {
                let rest = &bytes.as_bytes()[first..];
                Ok((first + chunks.advance(rest)?, chunks == Chunks::End))
            });
            prop_assert_eq!(whole, pieces);
        }
    }
}
