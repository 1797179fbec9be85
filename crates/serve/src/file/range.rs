//! Range: which bytes of a representation were asked for (RFC 9110, 14).

use http::{HeaderMap, header};

/// The most ranges that are answered one by one; with more the whole file is sent, as RFC 9110, 17.15 advises.
const MOST: usize = 16;

/// A part of a representation: its first byte and the number of bytes, never none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// From the start of the representation.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
}

/// What a `Range` field asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Everything: no range, one that is not to be understood, or too many.
    Whole,
    /// These parts, at least one, in the order asked for; they do not overlap.
    Parts(Vec<Span>),
    /// Nothing that exists: 416.
    Nothing,
}

/// Reads the request's `Range` for a representation of `size` bytes.
pub fn read(headers: &HeaderMap, size: u64) -> Asked {
    let mut values = headers.get_all(header::RANGE).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => parse(value.as_bytes(), size),
        (None, _) | (Some(_), Some(_)) => Asked::Whole,
    }
}

/// The `Content-Range` of a part of `size` bytes.
pub fn content_range(span: Span, size: u64) -> String {
    format!("bytes {}-{}/{size}", span.offset, span.offset + span.len - 1)
}

fn parse(value: &[u8], size: u64) -> Asked {
    let Some(set) = value.split_at_checked(6).filter(|(unit, _)| unit.eq_ignore_ascii_case(b"bytes=")) else {
        return Asked::Whole;
    };
    let (mut parts, mut said) = (Vec::new(), 0);
    for item in set.1.split(|byte| *byte == b',') {
        let item = item.trim_ascii();
        if item.is_empty() {
            // RFC 9110, 5.6.1: empty elements of a list are ignored.
            continue;
        }
        said += 1;
        match spec(item, size) {
            Some(Some(span)) => parts.push(span),
            Some(None) => {}
            None => return Asked::Whole,
        }
        if said > MOST {
            return Asked::Whole;
        }
    }
    match (said, parts.is_empty()) {
        (0, _) => Asked::Whole,
        // A suffix of an empty file is the empty file, which no Content-Range can name.
        (_, true) if size == 0 && has_suffix(set.1) => Asked::Whole,
        (_, true) => Asked::Nothing,
        (_, false) => Asked::Parts(coalesced(parts)),
    }
}

/// One range. `None`: not a range at all; `Some(None)`: it begins behind the end.
#[expect(clippy::option_option, reason = "the two kinds of nothing are answered differently")]
fn spec(item: &[u8], size: u64) -> Option<Option<Span>> {
    let dash = memchr::memchr(b'-', item)?;
    let (first, last) = (item[..dash].trim_ascii(), item[dash + 1..].trim_ascii());
    if first.is_empty() {
        let len = number(last)?.min(size);
        return Some((len > 0).then(|| Span { offset: size - len, len }));
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    let end = last.saturating_add(1).min(size);
    Some((first < size).then(|| Span { offset: first, len: end - first }))
}

/// Digits only (`u64::from_str` takes a plus); what is too large for 64 bits is as good as the largest.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        digits.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))),
    )
}

fn has_suffix(set: &[u8]) -> bool {
    set.split(|byte| *byte == b',').any(|item| {
        let item = item.trim_ascii();
        item.first() == Some(&b'-') && number(&item[1..]).is_some_and(|len| len > 0)
    })
}

/// Joins what overlaps or touches, so that no byte is sent twice. Parts that are apart keep their order.
fn coalesced(parts: Vec<Span>) -> Vec<Span> {
    let mut sorted = parts.clone();
    sorted.sort_by_key(|span| span.offset);
    let mut joined: Vec<Span> = Vec::with_capacity(sorted.len());
    for span in sorted {
        match joined.last_mut() {
            Some(last) if span.offset <= last.offset + last.len => {
                last.len = last.len.max(span.offset + span.len - last.offset);
            }
            Some(_) | None => joined.push(span),
        }
    }
    if joined.len() == parts.len() { parts } else { joined }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spans(list: &[(u64, u64)]) -> Asked {
        Asked::Parts(list.iter().map(|&(offset, len)| Span { offset, len }).collect())
    }

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        for (value, size, wanted) in [
            ("bytes=0-0", 10, spans(&[(0, 1)])),
            ("bytes=0-499", 10, spans(&[(0, 10)])),
            ("bytes=5-", 10, spans(&[(5, 5)])),
            ("bytes=-3", 10, spans(&[(7, 3)])),
            ("bytes=-30", 10, spans(&[(0, 10)])),
            ("bytes=9-9", 10, spans(&[(9, 1)])),
            ("Bytes=1-2", 10, spans(&[(1, 2)])),
            ("bytes=10-", 10, Asked::Nothing),
            ("bytes=10-20, -0", 10, Asked::Nothing),
            ("bytes=-0", 10, Asked::Nothing),
            ("bytes=0-0,-1", 10, spans(&[(0, 1), (9, 1)])),
            ("bytes=-1,0-0", 10, spans(&[(9, 1), (0, 1)])),
            ("bytes=0-1, 20-30", 10, spans(&[(0, 2)])),
            ("bytes=0-5,3-8", 10, spans(&[(0, 9)])),
            ("bytes=0-1,2-3", 10, spans(&[(0, 4)])),
            ("bytes=4-5,0-1,1-2", 10, spans(&[(0, 3), (4, 2)])),
            ("bytes=,0-0,,", 10, spans(&[(0, 1)])),
            ("bytes=0-99999999999999999999999", 10, spans(&[(0, 10)])),
            ("bytes=99999999999999999999999-", 10, Asked::Nothing),
            ("bytes=", 10, Asked::Whole),
            ("bytes=,", 10, Asked::Whole),
            ("bytes", 10, Asked::Whole),
            ("", 10, Asked::Whole),
            ("bytes=5-4", 10, Asked::Whole),
            ("bytes=a-b", 10, Asked::Whole),
            ("bytes=+1-2", 10, Asked::Whole),
            ("bytes=1-2-3", 10, Asked::Whole),
            ("bytes=--1", 10, Asked::Whole),
            ("bytes=-", 10, Asked::Whole),
            ("bytes=1", 10, Asked::Whole),
            ("lines=1-2", 10, Asked::Whole),
            ("bytes=0-0", 0, Asked::Nothing),
            ("bytes=-5", 0, Asked::Whole),
        ] {
            assert_eq!(parse(value.as_bytes(), size), wanted, "{value} of {size}");
        }
    }

    #[test]
    fn many_ranges_get_the_whole_file() {
        let many = |n: u64| {
            format!("bytes={}", (0..n).map(|i| format!("{}-{}", i * 4, i * 4)).collect::<Vec<_>>().join(","))
        };
        assert!(matches!(parse(many(16).as_bytes(), 1000), Asked::Parts(parts) if parts.len() == 16));
        assert_eq!(parse(many(17).as_bytes(), 1000), Asked::Whole);
    }

    #[test]
    fn two_range_fields_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(header::RANGE, "bytes=0-0".parse().unwrap());
        assert_eq!(read(&headers, 10), spans(&[(0, 1)]));
        headers.append(header::RANGE, "bytes=1-1".parse().unwrap());
        assert_eq!(read(&headers, 10), Asked::Whole);
    }

    proptest! {
        #[test]
        fn parts_lie_within_the_file_and_do_not_overlap(
            value in "bytes=([0-9]{0,3}-[0-9]{0,3} ?,? ?){0,18}|\\PC{0,30}", size in 0u64..300,
        ) {
            if let Asked::Parts(parts) = parse(value.as_bytes(), size) {
                prop_assert!(!parts.is_empty() && parts.len() <= MOST);
                prop_assert!(parts.iter().all(|span| span.len > 0 && span.offset + span.len <= size));
                prop_assert!(parts.iter().map(|span| span.len).sum::<u64>() <= size);
            }
        }
    }
}
