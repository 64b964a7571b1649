//! The law suite: every replicated type is a lattice, and shows what its causal history means.

mod subjects;

use crdt_core::laws;
use subjects::{
    Counters, Documents, DocumentsWhereDeletesWin, Flags, GrowingCounters, GrowingSets, LwwRegisters, Maps,
    MvRegisters, Sets,
};

/// One line per type: the laws, the laws under a forked replica id and, where the line says so, the meaning.
macro_rules! law_suite {
    ($($module:ident: $subject:ty $(, $meaning:ident)?;)*) => {$(
        mod $module {
            use super::*;

            #[test]
            fn laws_hold() {
                laws::check::<$subject>();
            }

            #[test]
            fn forked_writers_converge() {
                laws::check_forked::<$subject>();
            }

            $(
                #[test]
                fn $meaning() {
                    laws::check_meaning::<$subject, _>(<$subject>::shown, <$subject>::meant);
                }
            )?
        }
    )*};
}

law_suite! {
    g_counter: GrowingCounters, meaning;
    pn_counter: Counters, meaning;
    g_set: GrowingSets, meaning;
    or_set: Sets, meaning;
    flag: Flags, meaning;
    lww_register: LwwRegisters, meaning;
    mv_register: MvRegisters, meaning;
    map: Maps;
    document: Documents;
    document_in_which_deletes_win: DocumentsWhereDeletesWin;
}
