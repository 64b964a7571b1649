//! What the law suite needs to know of each type: its operations (`Subject`), what it shows (`shown`) and what the
//! commits it has seen say that it should show (`meant`), told from causality alone and without any cell.

mod counters;
mod documents;
mod registers;
mod sets;

pub use counters::{Counters, GrowingCounters};
pub use documents::{Documents, DocumentsWhereDeletesWin, Maps};
pub use registers::{LwwRegisters, MvRegisters};
pub use sets::{Flags, GrowingSets, Sets};

use crdt_core::laws::{Subject, Visible};
use quickcheck::Gen;

/// One of a few values, each as likely as the others: conflicts need small domains.
fn one_of<T: Clone>(random: &mut Gen, values: &[T]) -> T {
    random.choose(values).expect("a choice among some").clone()
}

/// True when some visible commit that `takes_away` says yes to had seen this one.
fn is_taken_away<S: Subject>(
    commit: &Visible<'_, S>,
    visible: &[Visible<'_, S>],
    takes_away: impl Fn(&S::Operation) -> bool,
) -> bool {
    visible.iter().any(|later| takes_away(later.operation) && later.saw(commit))
}
