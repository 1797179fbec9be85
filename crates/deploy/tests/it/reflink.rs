//! Reflinks, on real file systems that have them: unchanged files share their blocks and nothing else.

use std::fs;
use std::path::Path;

use config::host::LinkMode;
use deploy::fsck::{self, How};
use deploy::stage::Rules;

use crate::apart;
use crate::staging::{Yard, age, ino, tree};

/// Content that no file system makes smaller.
fn noise(bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().finalize_xof().fill(&mut out);
    out
}

/// Bytes in use, when all is written.
fn used(dir: &Path) -> u64 {
    rustix::fs::syncfs(fs::File::open(dir).unwrap()).unwrap();
    let stat = rustix::fs::statvfs(dir).unwrap();
    (stat.f_blocks - stat.f_bfree) * stat.f_frsize
}

fn releases_share_blocks_and_nothing_else(top: &Path) {
    const BIG: usize = 40 << 20;
    let mut yard = Yard::new();
    yard.rules = Rules { link_mode: LinkMode::Auto, ..Rules::plain() };
    let big = yard.write("big", "");
    fs::write(&big, noise(BIG)).unwrap();
    age(&big, 60);
    for n in 0..200 {
        yard.write(&format!("d{}/f{n}", n % 9), &format!("small {n}"));
    }
    yard.make("r1");
    let before = used(top);
    let staged = yard.make("r2");
    let cost = used(top) - before;
    assert_eq!(staged.bytes_copied, 0, "auto takes reflinks here");
    // Inodes, directories, the manifest and the index; and what the file system does by itself.
    assert!(cost < BIG as u64 / 10, "a further release took {cost} bytes");
    println!("a further release of 201 files and {BIG} bytes took {cost} bytes on disk");
    assert_ne!(ino(yard.release("r1").join("big")), ino(yard.release("r2").join("big")));
    // Whoever writes into one release changes that one.
    fs::write(yard.release("r2").join("d1/f1"), "by the pool").unwrap();
    assert!(tree(&yard.release("r1")) == tree(&yard.source()));
    let report = fsck::fsck(&yard.app, &[], &[], How::Look, &mut |_| {}).unwrap();
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    yard.write("d1/f1", "new");
    assert_eq!(yard.make("r3").bytes_copied, 3);
}

#[test]
fn on_xfs_a_further_release_takes_hardly_any_room() {
    let mount = apart::image("xfs", "mkfs.xfs -q -m reflink=1");
    apart::on(
        "reflink::on_xfs_a_further_release_takes_hardly_any_room",
        &mount,
        releases_share_blocks_and_nothing_else,
    );
}

#[test]
fn on_btrfs_a_further_release_takes_hardly_any_room() {
    let mount = apart::image("btrfs", "mkfs.btrfs -q");
    apart::on(
        "reflink::on_btrfs_a_further_release_takes_hardly_any_room",
        &mount,
        releases_share_blocks_and_nothing_else,
    );
}
