//! [`Forks`]: what is known of histories that forked: of files that went back, or were copied, and nobody noticed.

use std::collections::{BTreeMap, BTreeSet};

use crdt_core::ReplicaId;

use super::{Checked, Name, Promise, Transaction, broken};
use crate::plot::Who;
use crate::words::Doc;

/// Transactions with the names under which somebody has them.
type Names<'n> = &'n [(usize, Name)];

/// Files that went back, or were copied, and nobody noticed.
#[derive(Default)]
pub struct Forks {
    pub any: bool,
    /// Under which ids two histories may be written, until all have met.
    pub ids: BTreeSet<ReplicaId>,
    /// What was edited under one of them: there, a value may have been issued again, and be there twice.
    pub docs: BTreeSet<Doc>,
    /// What a transaction deleted that was issued again: if it had left before, the deletion is there twice, and who takes it
    /// back takes back one.
    deleted: BTreeSet<Doc>,
    /// Who ever had what under which name.
    named: BTreeSet<(Name, usize)>,
    /// Pairs of transactions that somebody got under one name, before a handshake could tell.
    twins: BTreeSet<(ReplicaId, [usize; 2])>,
    /// What both branches edited under the id that they share, if there are such twins: the cells of a writer are ordered by
    /// its counter, so a cell of one branch takes the place of the other's, and what replaces the one replaces the other.
    both: BTreeSet<Doc>,
}

impl Forks {
    /// A value in the document may be lost: it is not compared. That all have the same in the end is.
    pub fn may_lose(&self, doc: Doc) -> bool {
        self.deleted.contains(&doc) || self.both.contains(&doc)
    }

    /// Under which dots a device has what it has, and had it before. What it has issued again may be there twice: where it is
    /// not known when the history forked, also what was written before.
    ///
    /// What takes something away names it as it was called when it was seen: so of two that had one name `before` one of them
    /// was written again, because a clock had been wrong, one may be lost.
    pub fn take_names(
        &mut self,
        at: usize,
        (was, names): (Names<'_>, Names<'_>),
        before: Names<'_>,
        transactions: &[Transaction],
    ) -> Checked {
        let mut new = false;
        for (number, name) in names {
            if was.iter().any(|(other, _)| other == number) && !was.contains(&(*number, *name)) {
                self.docs.extend(&transactions[*number].docs);
                self.deleted.extend(&transactions[*number].deletes);
            }
        }
        let mut named: BTreeMap<Name, usize> = BTreeMap::new();
        for (number, name) in names.iter().chain(before) {
            new |= self.any && self.named.insert((*name, *number));
            let Some(twin) = named.insert(*name, *number).filter(|twin| twin != number) else { continue };
            if !self.any {
                let what = format!("{} has transactions {twin} and {number} as {name:?}", Who(at));
                return broken(Promise::Identity, what);
            }
            new |= self.twins.insert((name.0, [twin.min(*number), twin.max(*number)]));
            for one in [twin, *number] {
                self.docs.extend(&transactions[one].docs);
            }
        }
        if new {
            for (replica, twins) in &self.twins {
                let [one, other] = twins.map(|twin| self.branch(*replica, twin, transactions));
                self.both.extend(one.intersection(&other));
            }
        }
        Ok(())
    }

    /// What was edited under an id by a transaction and by those that had seen it.
    fn branch(&self, replica: ReplicaId, first: usize, transactions: &[Transaction]) -> BTreeSet<Doc> {
        let under = self.named.iter().filter(|((other, _), _)| *other == replica);
        let after = under.map(|(_, number)| *number);
        let after = after.filter(|number| *number == first || transactions[*number].past.contains(first));
        after.flat_map(|number| transactions[number].docs.iter().copied()).collect()
    }
}
