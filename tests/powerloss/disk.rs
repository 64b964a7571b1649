//! What can be on a disk after the power failed: what was synced, and of the rest whatever the disk came to write.
//!
//! A write that was not synced is dropped, kept, or kept in part: sectors of 512 bytes are written whole or not at all, in
//! any order. Names of files come and go in order, as journaling file systems have it, and are certain once the folder was
//! synced.

use std::collections::BTreeMap;

use crate::random::Random;
use crate::record::{FileId, Op};

const SECTOR: u64 = 512;

/// What becomes of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Dropped,
    Kept,
    /// Each write, at random.
    Some,
    /// Each sector of each write, at random.
    Torn,
}

impl Cut {
    pub const ALL: [Self; 4] = [Self::Dropped, Self::Kept, Self::Some, Self::Torn];
}

/// The files of one database, as they are after some of the record.
#[derive(Debug, Default)]
pub struct Disk<'l> {
    files: BTreeMap<FileId, File<'l>>,
    names: BTreeMap<&'l str, FileId>,
    /// Names that came or went and are not certain yet.
    moves: Vec<(&'l str, Option<FileId>)>,
}

#[derive(Debug, Default)]
struct File<'l> {
    synced: Vec<u8>,
    pending: Vec<&'l Op>,
}

/// Files by name.
pub type Image = BTreeMap<String, Vec<u8>>;

impl<'l> Disk<'l> {
    /// Takes the next entry of the record. True when what is certain has changed.
    pub fn take(&mut self, op: &'l Op) -> bool {
        match op {
            Op::Create { file, name } => {
                self.files.insert(*file, File::default());
                self.moves.push((name, Some(*file)));
            }
            Op::Write { file, .. } | Op::Truncate { file, .. } => {
                self.files.entry(*file).or_default().pending.push(op);
            }
            Op::Sync { file, folder } => {
                let file = self.files.entry(*file).or_default();
                for op in file.pending.drain(..) {
                    apply(&mut file.synced, op);
                }
                if *folder {
                    self.settle();
                }
                return true;
            }
            Op::Delete { name, folder } => {
                self.moves.push((name, None));
                if *folder {
                    self.settle();
                    return true;
                }
            }
        }
        false
    }

    fn settle(&mut self) {
        for (name, file) in self.moves.drain(..) {
            rename(&mut self.names, name, file);
        }
    }

    /// True when nothing is uncertain.
    pub fn is_certain(&self) -> bool {
        self.moves.is_empty() && self.files.values().all(|file| file.pending.is_empty())
    }

    /// What might be there after a cut now.
    pub fn image(&self, cut: Cut, random: &mut Random) -> Image {
        let mut names = self.names.clone();
        let moved = match cut {
            Cut::Dropped => 0,
            Cut::Kept => self.moves.len(),
            Cut::Some | Cut::Torn => random.below(self.moves.len() + 1),
        };
        for (name, file) in &self.moves[..moved] {
            rename(&mut names, name, *file);
        }
        // How much gets through differs from image to image: a few sectors, or nearly all.
        let kept_percent = random.below(101);
        let content = |file: &File<'l>, random: &mut Random| {
            let mut bytes = file.synced.clone();
            for op in &file.pending {
                match cut {
                    Cut::Kept => apply(&mut bytes, op),
                    Cut::Torn => tear(&mut bytes, op, kept_percent, random),
                    Cut::Some if random.chance(kept_percent) => apply(&mut bytes, op),
                    Cut::Dropped | Cut::Some => {}
                }
            }
            bytes
        };
        names.iter().map(|(name, file)| ((*name).to_owned(), content(&self.files[file], random))).collect()
    }
}

fn rename<'l>(names: &mut BTreeMap<&'l str, FileId>, name: &'l str, file: Option<FileId>) {
    match file {
        Some(file) => names.insert(name, file),
        None => names.remove(name),
    };
}

fn apply(content: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write { offset, bytes, .. } => put(content, *offset, bytes),
        Op::Truncate { size, .. } => content.resize(index(*size), 0),
        _ => unreachable!("only writes and truncations wait for a sync"),
    }
}

fn tear(content: &mut Vec<u8>, op: &Op, kept_percent: usize, random: &mut Random) {
    let Op::Write { offset, bytes, .. } = op else {
        if random.chance(kept_percent) {
            apply(content, op);
        }
        return;
    };
    let (mut at, mut rest) = (*offset, &bytes[..]);
    while !rest.is_empty() {
        let (sector, after) = rest.split_at(index(SECTOR - at % SECTOR).min(rest.len()));
        if random.chance(kept_percent) {
            put(content, at, sector);
        }
        at += sector.len() as u64;
        rest = after;
    }
}

fn put(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (start, end) = (index(offset), index(offset) + bytes.len());
    if content.len() < end {
        content.resize(end, 0);
    }
    content[start..end].copy_from_slice(bytes);
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("files of a test fit the memory")
}
