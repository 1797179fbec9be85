//! What is live and who uses it: the on-disk layout, the flip, the pin, the lease, the seal.
