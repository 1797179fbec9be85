//! Cuts: the trees that a power cut may leave, of so many that some have to do.

use super::disk::Disk;
use super::tree::{Kept, Tree};
use std::collections::HashMap;

/// Those of a power cut at this moment: the extremes, each change alone lost, each alone kept, and some at random.
pub fn at(disk: &mut Disk, moment: usize, random: &mut Random) -> Vec<Tree> {
    let pending = disk.pending(moment);
    let disk = &*disk;
    let is_name = |number: usize| disk.ops[number].change.is_name();
    let mut trees = vec![disk.after(moment, |_| Kept::Nothing), disk.after(moment, |_| Kept::All)];
    // Names outlive bytes: files of no length, and files of zeros.
    trees.push(disk.after(moment, |op| if is_name(op) { Kept::All } else { Kept::Nothing }));
    trees.push(disk.after(moment, |op| if is_name(op) { Kept::All } else { Kept::Zeros }));
    for one in &pending {
        trees.push(disk.after(moment, |op| if op == *one { Kept::Nothing } else { Kept::All }));
        trees.push(disk.after(moment, |op| if op == *one { Kept::All } else { Kept::Nothing }));
    }
    for _ in 0..4 {
        trees.push(disk.after(moment, |_| random.any()));
        // In the order they were made: of each inode the changes up to some one.
        let mut until = HashMap::new();
        for op in &pending {
            let [ino, _] = disk.ops[*op].change.of();
            if random.below(4) == 0 {
                until.entry(ino).or_insert(*op);
            }
        }
        trees.push(disk.after(moment, |op| {
            let [ino, _] = disk.ops[op].change.of();
            if until.get(&ino).is_some_and(|until| op >= *until) { Kept::Nothing } else { Kept::All }
        }));
    }
    trees
}

/// xorshift64*: the same cuts in every run.
pub struct Random(u64);

impl Random {
    pub fn new() -> Random {
        Random(0x9e37_79b9_7f4a_7c15)
    }

    pub fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % count
    }

    fn any(&mut self) -> Kept {
        match self.below(8) {
            0..4 => Kept::All,
            4 => Kept::Zeros,
            5 => Kept::Torn(self.below(64)),
            _ => Kept::Nothing,
        }
    }
}
