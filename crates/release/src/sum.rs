//! Sum: the checksum of our own small files. It finds what is torn or rotten, not what is forged.

/// A 64-bit sum, eight bytes a step; part of the on-disk formats, so it must never change.
///
/// Each step is one-to-one in the word it takes in, so any change within one word always changes the sum.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut sum = STEP ^ (bytes.len() as u64);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        sum = (sum ^ u64::from_le_bytes(*word)).wrapping_mul(STEP).rotate_left(29);
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    sum = (sum ^ u64::from_le_bytes(last)).wrapping_mul(STEP);
    // The finish of splitmix64: without it the high bits of the last words would not reach the low ones.
    sum = (sum ^ (sum >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    sum = (sum ^ (sum >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    sum ^ (sum >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_sum_is_part_of_the_formats_and_never_changes() {
        assert_eq!(sum(b""), 0x5196_65bf_9141_6c4d);
        assert_eq!(sum(b"current"), sum(b"current"));
        assert_ne!(sum(b"a\0"), sum(b"a"));
    }

    proptest! {
        #[test]
        fn one_changed_byte_changes_the_sum(mut bytes in proptest::collection::vec(any::<u8>(), 1..100), at: usize, by in 1u8..) {
            let before = sum(&bytes);
            let at = at % bytes.len();
            bytes[at] ^= by;
            prop_assert_ne!(before, sum(&bytes));
        }
    }
}
