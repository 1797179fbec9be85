//! Manifests: what was written is read, and nothing else is.

use super::text::{END, SUM_LEN};
use super::*;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

fn entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![
        (any::<[u8; 32]>(), any::<u64>(), any::<i64>()).prop_map(|(hash, size, mtime_ns)| Kind::File {
            hash,
            size,
            mtime_ns
        }),
        Just(Kind::Dir),
        vec(1u8.., 1..20).prop_map(|target| Kind::Link { target: target.into() }),
    ];
    (kind, 0u32..0o10000).prop_map(|(kind, mode)| Entry { kind, mode })
}

fn entries() -> impl Strategy<Value = Vec<(Vec<u8>, Entry)>> {
    let part = vec(prop_oneof![Just(b'a'), Just(b'\n'), 1u8..], 1..4)
        .prop_filter("ordinary", |part| !part.contains(&b'/') && !matches!(&part[..], b"." | b".."));
    let path = vec(part, 1..4).prop_map(|parts| parts.join(&b'/'));
    btree_map(path, entry(), 0..40).prop_map(|map| map.into_iter().collect())
}

fn id() -> ReleaseId {
    ReleaseId::parse("r1").unwrap()
}

const TREE: TreeId = TreeId { ino: 7, born_ns: -1 };

proptest! {
    #[test]
    fn what_was_written_is_read(entries in entries()) {
        let manifest = Manifest::parse(&write(&id(), TREE, &entries)).unwrap();
        prop_assert_eq!((manifest.id(), manifest.tree(), manifest.len()), (&id(), TREE, entries.len()));
        let read: Vec<_> = manifest.entries().map(|(path, entry)| (path.to_vec(), entry.clone())).collect();
        prop_assert_eq!(&read, &entries);
        for (path, entry) in &entries {
            prop_assert_eq!(manifest.get(path), Some(entry));
            let other = [&path[..], b"/none"].concat();
            prop_assert_eq!(manifest.get(&other), entries.iter().find(|e| e.0 == other).map(|e| &e.1));
        }
    }

    #[test]
    fn any_bytes_give_a_manifest_or_an_error(bytes in vec(any::<u8>(), 0..300), entries in entries(), at: usize) {
        prop_assert!(Manifest::parse(&bytes).is_err());
        // With a right sum the parser proper is reached.
        let mut text = write(&id(), TREE, &entries);
        text.truncate(text.len() - SUM_LEN - END.len());
        let at = at % (text.len() + 1);
        text.splice(at..(at + bytes.len() / 9).min(text.len()), bytes.iter().copied().take(9));
        text.extend_from_slice(END);
        let sum = sum(&text);
        text.extend_from_slice(format!("{sum:016x}\n").as_bytes());
        // Not that it is refused (a changed path may be a fine path), but that it comes back.
        if let Ok(manifest) = Manifest::parse(&text) {
            for (path, entry) in manifest.entries() {
                prop_assert_eq!(manifest.get(path), Some(entry));
            }
        }
    }
}

#[test]
fn a_torn_or_rotten_manifest_is_refused_at_every_byte() {
    let entries = vec![
        (b"".to_vec(), Entry { kind: Kind::Dir, mode: 0o755 }),
        (b"a".to_vec(), Entry { kind: Kind::File { hash: [9; 32], size: 3, mtime_ns: 5 }, mode: 0o644 }),
        (b"b".to_vec(), Entry { kind: Kind::Link { target: (*b"a").into() }, mode: 0o777 }),
    ];
    let text = write(&id(), TREE, &entries);
    assert!(Manifest::parse(&text).is_ok());
    for end in 0..text.len() {
        assert_eq!(Manifest::parse(&text[..end]).err(), Some(ManifestError::Torn), "cut at {end}");
        let mut rotten = text.clone();
        rotten[end] ^= 1;
        assert_eq!(Manifest::parse(&rotten).err(), Some(ManifestError::Torn), "changed at {end}");
    }
}

#[test]
fn paths_that_lead_out_are_refused() {
    for path in ["/etc", "a//b", "../a", "a/../b", "./a", "a/"] {
        let entries = vec![(path.as_bytes().to_vec(), Entry { kind: Kind::Dir, mode: 0o755 })];
        let error = Manifest::parse(&write(&id(), TREE, &entries)).err();
        assert!(matches!(error, Some(ManifestError::Malformed { entry: 0, .. })), "{path}: {error:?}");
    }
}
