//! Sizing: what a running PHP-FPM needs, by its own numbers. Pure.

/// What PHP rounds `opcache.max_accelerated_files` up to (ext/opcache/zend_accelerator_hash.c).
const PRIMES: [u64; 18] = [
    5, 11, 19, 53, 107, 223, 463, 983, 1_979, 3_907, 7_963, 16_229, 32_531, 65_407, 130_987, 262_237,
    524_521, 1_048_793,
];

/// The `opcache.max_accelerated_files` that has room for so many keys; the largest that there is, if none has.
pub fn prime(keys: u64) -> u64 {
    PRIMES.into_iter().find(|prime| *prime >= keys).unwrap_or(1_048_793)
}
