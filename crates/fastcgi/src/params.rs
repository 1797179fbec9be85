//! Params: name-value pairs as FastCGI packs them (specification, section 3.4).
//!
//! ```text
//! | name length (1, or 4 with the top bit set) | value length (likewise) | name | value |
//! ```

use crate::record::Malformed;

/// Name-value pairs, packed as they are added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    packed: Vec<u8>,
}

impl Params {
    /// No pairs.
    pub fn new() -> Params {
        Params::default()
    }

    /// No pairs, room for so many bytes of them.
    pub fn with_capacity(bytes: usize) -> Params {
        Params { packed: Vec::with_capacity(bytes) }
    }

    /// Adds a pair. A name or a value of 2 GiB and more, which the format cannot tell, is cut to what it can.
    pub fn push(&mut self, name: &[u8], value: &[u8]) -> &mut Params {
        let (name, value) = (&name[..name.len().min(MAX_LEN)], &value[..value.len().min(MAX_LEN)]);
        self.packed.reserve(8 + name.len() + value.len());
        write_len(&mut self.packed, name.len());
        write_len(&mut self.packed, value.len());
        self.packed.extend_from_slice(name);
        self.packed.extend_from_slice(value);
        self
    }

    /// The packed pairs: the content of the PARAMS stream.
    pub fn as_bytes(&self) -> &[u8] {
        &self.packed
    }

    /// The pairs in the order they were added.
    pub fn pairs(&self) -> Pairs<'_> {
        pairs(&self.packed)
    }
}

/// Reads packed pairs. Each item borrows a name and a value; after an error there are no more.
pub fn pairs(packed: &[u8]) -> Pairs<'_> {
    Pairs { rest: packed }
}

/// The pairs of a packed stream, see [`pairs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairs<'a> {
    rest: &'a [u8],
}

impl Pairs<'_> {
    /// How many bytes are not read yet.
    pub(crate) fn rest_len(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((name, value, rest)) = split_pair(self.rest) else {
            self.rest = &[];
            return Some(Err(Malformed::Pairs));
        };
        self.rest = rest;
        Some(Ok((name, value)))
    }
}

const MAX_LEN: usize = 0x7fff_ffff;

fn write_len(out: &mut Vec<u8>, len: usize) {
    match u8::try_from(len) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let long = u32::try_from(len).unwrap_or(0x7fff_ffff) | 0x8000_0000;
            out.extend_from_slice(&long.to_be_bytes());
        }
    }
}

fn split_pair(packed: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name_len, rest) = split_len(packed)?;
    let (value_len, rest) = split_len(rest)?;
    let (name, rest) = rest.split_at_checked(name_len)?;
    let (value, rest) = rest.split_at_checked(value_len)?;
    Some((name, value, rest))
}

fn split_len(packed: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = packed.split_first()?;
    if first < 0x80 {
        return Some((first.into(), rest));
    }
    let (long, rest) = packed.split_first_chunk::<4>()?;
    Some(((u32::from_be_bytes(*long) & 0x7fff_ffff) as usize, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_and_long_lengths_are_packed_as_the_specification_draws_them() {
        let mut params = Params::new();
        params.push(b"A", b"bc").push(b"L", &[b'x'; 128]);
        assert_eq!(&params.as_bytes()[..5], b"\x01\x02Abc");
        assert_eq!(&params.as_bytes()[5..11], b"\x01\x80\x00\x00\x80L");
    }

    #[test]
    fn pairs_that_are_cut_short_are_an_error_and_the_end() {
        for cut in [&b"\x01"[..], b"\x01\x02Ab", b"\x80\x00\x00", b"\xff\xff\xff\xff\x00x"] {
            let mut read = pairs(cut);
            assert_eq!(read.next(), Some(Err(Malformed::Pairs)), "{cut:?}");
            assert_eq!(read.next(), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_is_what_is_read(all: Vec<(Vec<u8>, Vec<u8>)>, long in 0_usize..300) {
            let mut params = Params::new();
            for (name, value) in &all {
                params.push(name, value);
            }
            params.push(&vec![b'n'; long], &vec![b'v'; long]);
            let read: Vec<_> = params.pairs().map(|pair| pair.unwrap()).collect();
            prop_assert_eq!(read.len(), all.len() + 1);
            for (index, (name, value)) in all.iter().enumerate() {
                prop_assert_eq!(read[index], (&name[..], &value[..]));
            }
        }
    }
}
