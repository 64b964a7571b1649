//! What only mutants do to a whole replica.

use std::collections::BTreeSet;

use super::cells::{Key, Redot as _, Slot};
use super::{Model, Sent};
use crate::machine::{Dot, Identity};
use crate::words::{Doc, Vector};

impl Model {
    /// Takes everything away that a peer has seen and did not send, of the documents that it sent: the wrong turn of
    /// removal by absence.
    pub fn drop_absent(&mut self, sent: &Sent, context: &[Dot]) {
        let context: Vector = context.iter().copied().collect();
        let named: BTreeSet<Doc> = sent.iter().map(|(doc, _, _)| *doc).collect();
        let sent: BTreeSet<(Doc, Key)> = sent.iter().map(|(doc, key, _)| (*doc, key.clone())).collect();
        for doc in named {
            self.docs.entry(doc).or_default().retain(|key, cell| {
                let (replica, counter) = cell.by.dot();
                let seen = context.get(&replica).is_some_and(|last| counter <= *last);
                let kept =
                    !matches!(key.slot, Slot::Element(..)) || !seen || sent.contains(&(doc, key.clone()));
                if !kept {
                    self.arrived.remove(&(doc, key.clone()));
                }
                kept
            });
        }
    }

    /// Gives new dots to what seems not to have left yet: the wrong turn after a restore.
    pub fn redot(&mut self, identity: Identity) {
        let (old, offered) = (self.identity.replica, self.offered);
        for (doc, cells) in &mut self.docs {
            for (key, cell) in std::mem::take(cells) {
                let moved = (key.clone(), cell.clone()).redotted(old, identity.replica, offered);
                if moved.0 != key {
                    self.arrived.remove(&(*doc, key));
                }
                self.arrived.insert((*doc, moved.0.clone()), self.sequence + 1);
                cells.insert(moved.0, moved.1);
            }
        }
        self.context.insert(old, (offered, self.sequence + 1));
        self.counter -= offered;
        self.sequence += 1;
    }
}
