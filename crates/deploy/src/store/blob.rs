//! BlobName: the name of a blob, which says all that its file has to be.

use std::io::Write;

/// BLAKE3 of a content.
pub type Hash = [u8; 32];

/// What a blob shares with the files of releases beside its content, when they are one inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Traits {
    /// The permission bits.
    pub mode: u32,
    /// Who owns it.
    pub uid: u32,
    /// Which group owns it.
    pub gid: u32,
    /// When it was last written, in nanoseconds since 1970.
    pub mtime_ns: i64,
}

/// The name of a blob: its path below the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BlobName {
    text: [u8; ROOM],
    len: usize,
}

/// 65 of the hash and its slash, four numbers of at most 4, 10, 10 and 20 digits, and what stands between them.
const ROOM: usize = 128;

impl BlobName {
    /// A blob that is hard-linked: it has these traits.
    pub fn linked(hash: &Hash, traits: &Traits) -> BlobName {
        let mut name = BlobName::cloned(hash);
        let Traits { mode, uid, gid, mtime_ns } = traits;
        let mut room = name.text.get_mut(name.len..).unwrap_or_default();
        let before = room.len();
        // Writing into room that is large enough cannot fail.
        write!(room, "-{mode:o}-{uid}-{gid}-{mtime_ns}").unwrap_or(());
        name.len += before - room.len();
        name
    }

    /// A blob that is reflinked: only its content matters.
    pub fn cloned(hash: &Hash) -> BlobName {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let digits = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let digits = digits.map(|digit| HEX.get(usize::from(digit)).copied().unwrap_or(b'0'));
        let mut text = [0; ROOM];
        for (at, digit) in digits.enumerate() {
            let at = if at < 2 { at } else { at + 1 };
            if let Some(place) = text.get_mut(at) {
                *place = digit;
            }
        }
        text[2] = b'/';
        BlobName { text, len: 65 }
    }

    /// Reads a name as it stands in the store: the directory, and the name in it.
    pub fn parse(fan: &[u8], name: &[u8]) -> Option<(Hash, Option<Traits>)> {
        let fan = <&[u8; 2]>::try_from(fan).ok()?;
        let (digits, rest) = name.split_at_checked(62)?;
        let mut hash = [0; 32];
        let mut digits = fan.iter().chain(digits);
        for byte in &mut hash {
            *byte = digit(*digits.next()?)? << 4 | digit(*digits.next()?)?;
        }
        if rest.is_empty() {
            return Some((hash, None));
        }
        let mut parts = std::str::from_utf8(rest).ok()?.strip_prefix('-')?.splitn(4, '-');
        let traits = Traits {
            mode: u32::from_str_radix(parts.next()?, 8).ok()?,
            uid: parts.next()?.parse().ok()?,
            gid: parts.next()?.parse().ok()?,
            mtime_ns: parts.next()?.parse().ok()?,
        };
        Some((hash, Some(traits)))
    }

    /// Its path below the store.
    pub fn path(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }

    /// The directory it stands in, below the store.
    pub fn fan(&self) -> &[u8] {
        self.text.get(..2).unwrap_or_default()
    }
}

impl std::fmt::Debug for BlobName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.path()))
    }
}

fn digit(hex: u8) -> Option<u8> {
    match hex {
        b'0'..=b'9' => Some(hex - b'0'),
        b'a'..=b'f' => Some(hex - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_name_says_what_the_blob_is(hash: [u8; 32], mode in 0u32..0o10000, uid: u32, gid: u32, mtime_ns: i64) {
            let traits = Traits { mode, uid, gid, mtime_ns };
            for (name, traits) in [(BlobName::linked(&hash, &traits), Some(traits)), (BlobName::cloned(&hash), None)] {
                let (fan, rest) = name.path().split_at(3);
                prop_assert_eq!(fan, [name.fan(), b"/"].concat());
                prop_assert_eq!(BlobName::parse(name.fan(), rest), Some((hash, traits)));
            }
        }

        #[test]
        fn what_is_no_blob_is_not_read_as_one(fan in proptest::collection::vec(any::<u8>(), 0..4), name in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Some((hash, None)) = BlobName::parse(&fan, &name) {
                let again = BlobName::cloned(&hash);
                prop_assert_eq!(again.path(), [&fan[..], b"/", &name[..]].concat());
            }
        }
    }
}
