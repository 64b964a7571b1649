//! The law suite of maps and whole documents. Each type on its own has its suite in its own file, in `src/types`.

mod subjects;

mod map {
    crdt_core::law_suite!(crate::subjects::Maps);
}

mod document {
    crdt_core::law_suite!(crate::subjects::Documents);
}

mod document_in_which_deletes_win {
    crdt_core::law_suite!(crate::subjects::DocumentsWhereDeletesWin);
}
