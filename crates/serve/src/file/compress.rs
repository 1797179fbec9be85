//! Compress: packs the bytes of one file, once, for all who will ask.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::file::encoding::Encoding;

/// Below this a packed form saves no packet.
pub const LEAST_BYTES: u64 = 512;

/// The work is done once per content and the result kept, so levels above the usual ones for live streams.
const BROTLI_QUALITY: i32 = 6;
const ZSTD_LEVEL: i32 = 9;
const GZIP_LEVEL: u32 = 6;

/// The bytes in this encoding; `None` if that saves less than a twentieth, or cannot be done.
pub fn pack(encoding: Encoding, plain: &[u8]) -> Option<Vec<u8>> {
    let packed = match encoding {
        Encoding::Identity => return None,
        Encoding::Gzip => gzip(plain),
        Encoding::Brotli => brotli(plain),
        Encoding::Zstd => zstd::bulk::compress(plain, ZSTD_LEVEL).ok(),
    }?;
    (packed.len() < plain.len() - plain.len() / 20).then_some(packed)
}

fn gzip(plain: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 3), Compression::new(GZIP_LEVEL));
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}

fn brotli(plain: &[u8]) -> Option<Vec<u8>> {
    let mut packed = Vec::with_capacity(plain.len() / 3);
    let params = brotli::enc::BrotliEncoderParams {
        quality: BROTLI_QUALITY,
        size_hint: plain.len(),
        ..Default::default()
    };
    brotli::BrotliCompress(&mut &*plain, &mut packed, &params).ok()?;
    Some(packed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_is_packed_can_be_unpacked() {
        let plain = "one request, one release; ".repeat(200).into_bytes();
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(&*pack(Encoding::Gzip, &plain).unwrap()).read_to_end(&mut back).unwrap();
        assert_eq!(back, plain);
        let mut back = Vec::new();
        brotli::BrotliDecompress(&mut &*pack(Encoding::Brotli, &plain).unwrap(), &mut back).unwrap();
        assert_eq!(back, plain);
        assert_eq!(
            zstd::bulk::decompress(&pack(Encoding::Zstd, &plain).unwrap(), plain.len()).unwrap(),
            plain
        );
    }

    #[test]
    fn packing_is_the_same_every_time_so_tags_are_too() {
        let plain = "abcd".repeat(1000).into_bytes();
        for encoding in Encoding::CODED {
            assert_eq!(pack(encoding, &plain), pack(encoding, &plain));
        }
    }

    #[test]
    fn what_does_not_shrink_is_left_alone() {
        let noise: Vec<u8> = (0..200u32).flat_map(|i| *blake3::hash(&i.to_le_bytes()).as_bytes()).collect();
        for encoding in Encoding::CODED {
            assert_eq!(pack(encoding, &noise), None);
        }
        assert_eq!(pack(Encoding::Gzip, b""), None);
    }
}
