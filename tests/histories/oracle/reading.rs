//! What a reader of the causal history sees: per type, the definition and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crdt_core::{Hlc, ReplicaId, Stamp, Value};

use super::{Fact, Seen, Taken, Transaction, What};
use crate::words::{
    Declared, Field, Leaf, Path, Reading, Shown, ShownField, Type, fields_of, path_of, prefix,
};

/// For a transaction that is only tried out: later than all that its author saw, as a commit's stamp has to be.
pub const LAST_STAMP: Stamp =
    Stamp { epoch: u32::MAX, hlc: Hlc::from_bits(u64::MAX), replica: ReplicaId::from_bytes([0xff; 16]) };

/// One document, as someone knows it who has seen some of the transactions.
#[derive(Clone, Copy)]
pub struct Reader<'o> {
    pub facts: &'o [Fact],
    pub transactions: &'o [Transaction],
    pub seen: &'o Seen,
}

impl<'o> Reader<'o> {
    /// True when nothing that the reader knows took a put after seeing it.
    fn stands(&self, put: usize) -> bool {
        let (before, after) = self.facts.split_at(put + 1);
        let put = &before[put];
        !after.iter().any(|take| match &take.what {
            What::Took(taken) => {
                self.seen.contains(take.transaction) && self.saw(take, put) && taken.includes(&put.what)
            }
            _ => false,
        })
    }

    /// True when the later of two facts was made with the earlier one in sight.
    fn saw(&self, later: &Fact, earlier: &Fact) -> bool {
        later.transaction == earlier.transaction
            || self.transactions[later.transaction].past.contains(earlier.transaction)
    }

    /// The known puts of a kind, with their number.
    fn known<T>(&self, kind: impl Fn(&'o What) -> Option<T>) -> impl Iterator<Item = (usize, T)> {
        let seen = self.seen;
        let known = self.facts.iter().enumerate().filter(|(_, fact)| seen.contains(fact.transaction));
        known.filter_map(move |(index, fact)| Some((index, kind(&fact.what)?)))
    }

    /// The known puts of a kind that stand.
    fn standing<T>(&self, kind: impl Fn(&'o What) -> Option<T> + 'o) -> impl Iterator<Item = (usize, T)> {
        let this = *self;
        self.known(kind).filter(move |(index, _)| this.stands(*index))
    }

    fn stamp(&self, fact: usize) -> Stamp {
        self.transactions[self.facts[fact].transaction].stamp
    }

    /// The concurrent values of a register with their stamps, the latest last; of equal ones the latest.
    pub fn register(&self, leaf: Leaf) -> Vec<(Option<&'o Value>, Stamp)> {
        let written = |kept: bool| {
            move |what: &'o What| match what {
                What::Wrote { leaf: at, keeps, value } if *at == leaf && *keeps == kept => {
                    Some(value.as_ref())
                }
                _ => None,
            }
        };
        // Facts are in the order in which they were committed, so of one transaction's writes the last counts.
        let last = self.known(written(false)).max_by_key(|(index, _)| (self.stamp(*index), *index));
        let last = last.filter(|(index, _)| self.stands(*index));
        let mut values: Vec<(Option<&Value>, Stamp)> = Vec::new();
        for (index, value) in self.standing(written(true)).chain(last) {
            let stamp = self.stamp(index);
            match values.iter_mut().find(|(present, _)| *present == value) {
                Some((_, latest)) => *latest = stamp.max(*latest),
                None => values.push((value, stamp)),
            }
        }
        values.sort_by_key(|(_, stamp)| *stamp);
        values
    }

    /// True when a write is kept as a sibling that nothing took.
    pub fn has_siblings(&self, leaf: Leaf) -> bool {
        let kept = move |what: &'o What| match what {
            What::Wrote { leaf: at, keeps: true, .. } if *at == leaf => Some(()),
            _ => None,
        };
        self.standing(kept).next().is_some()
    }

    /// The steps that count.
    pub fn steps(&self, leaf: Leaf) -> Vec<i64> {
        let counted = move |what: &'o What| match what {
            What::Counted { leaf: at, step } if *at == leaf => Some(*step),
            _ => None,
        };
        self.standing(counted).map(|(_, step)| step).collect()
    }

    pub fn elements(&self, leaf: Leaf) -> BTreeSet<&'o Value> {
        let added = move |what: &'o What| match what {
            What::Added { leaf: at, element } if *at == leaf => Some(element),
            _ => None,
        };
        self.standing(added).map(|(_, element)| element).collect()
    }

    pub fn is_on(&self, leaf: Leaf) -> bool {
        let on = move |what: &'o What| match what {
            What::SwitchedOn { leaf: at } if *at == leaf => Some(()),
            _ => None,
        };
        self.standing(on).next().is_some()
    }

    /// True when a touch of the container stands, whatever is around it.
    pub fn is_present(&self, path: Path) -> bool {
        self.standing(touch_of(path)).next().is_some()
    }

    /// True when the container was ever touched.
    pub fn was_touched(&self, path: Path) -> bool {
        self.known(touch_of(path)).next().is_some()
    }

    pub fn is_condemned(&self) -> bool {
        self.standing(|what| matches!(what, What::Condemned).then_some(())).next().is_some()
    }

    /// How many names lead to the outermost container on the way that is not there.
    pub fn outermost_dead(&self, declared: &Declared, path: Path) -> Option<usize> {
        let alive = if declared.delete_wins {
            self.was_touched(&[]) && !self.is_condemned()
        } else {
            self.is_present(&[])
        };
        if !alive {
            return Some(0);
        }
        (1..=path.len()).find(|depth| !self.is_present(prefix(path, *depth)))
    }

    /// True when taking everything beneath a container would take anything that shows, or would if it were not hidden.
    pub fn anything_beneath(&self, path: Path) -> bool {
        let all = Taken::Beneath(path);
        let included = self.facts.iter().enumerate();
        let mut included =
            included.filter(|(_, fact)| self.seen.contains(fact.transaction) && all.includes(&fact.what));
        // A write that lost by its stamp is nothing, taken or not.
        included.any(|(index, fact)| match &fact.what {
            What::Wrote { leaf, .. } => !self.register(*leaf).is_empty(),
            _ => self.stands(index),
        })
    }

    /// Everything that is shown of a container.
    pub fn shown(&self, declared: &Declared, path: Path) -> Shown {
        if self.outermost_dead(declared, path).is_some() {
            return None;
        }
        let fields = fields_of(path).iter().map(|field| (*field, self.shown_field(declared, (path, field))));
        Some(fields.collect::<BTreeMap<Field, ShownField>>())
    }

    fn shown_field(&self, declared: &Declared, leaf: Leaf) -> ShownField {
        let values = self.register(leaf);
        let owned = |value: Option<&Value>| value.cloned();
        let latest =
            || values.last().and_then(|(value, _)| *value).cloned().map_or(Reading::Absent, Reading::Value);
        let reading = match declared.type_of(leaf) {
            Some(Type::Manual) if values.len() > 1 => {
                Reading::Conflict(values.iter().map(|(value, _)| owned(*value)).collect())
            }
            Some(Type::Custom) if values.len() > 1 => {
                let all = values.iter().map(|(value, _)| owned(*value).unwrap_or(Value::Null));
                Reading::Value(Value::Array(all.collect()))
            }
            _ => latest(),
        };
        let several = values.iter().filter(|_| values.len() > 1);
        ShownField {
            reading,
            conflicts: several.map(|(value, stamp)| (owned(*value), *stamp)).collect(),
            counter: self.steps(leaf).into_iter().map(i128::from).sum(),
            elements: self.elements(leaf).into_iter().cloned().collect(),
            on: self.is_on(leaf),
            map: path_of(leaf).and_then(|path| self.shown(declared, path)),
        }
    }
}

fn touch_of<'o>(path: Path) -> impl Fn(&'o What) -> Option<()> + 'o {
    move |what| matches!(what, What::Touched(at) if *at == path).then_some(())
}
