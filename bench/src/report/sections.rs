//! What the page shows of each workload.

use super::results::Source::{self, Allocations, Counted, Figure, Ms, Peak};
use super::table::{Metric, Unit};

/// A section: title, what is done, the numbers, the libraries beside each other.
pub struct Section {
    pub workload: &'static str,
    pub title: &'static str,
    /// What the sizes are sizes of.
    pub of: &'static str,
    pub text: &'static str,
    pub metrics: &'static [Metric],
    pub libraries: &'static [&'static str],
    pub chart: bool,
}

const fn metric(label: &'static str, source: Source, unit: Unit) -> Metric {
    Metric { label, source, unit }
}

const DOCUMENTS: &[&str] = &["rejoin", "automerge", "yrs", "loro", "crdts"];
const WITH_FILES: &[&str] = &["rejoin", "rejoin-sqlite", "automerge", "yrs", "loro", "crdts"];
const TABLES: &[&str] = &["rejoin-sqlite", "plain"];
const OURS: &[&str] = &["rejoin-sqlite"];

/// All sections, in the order of the page.
pub const SECTIONS: &[Section] = &[
    Section {
        workload: "W1",
        title: "W1: documents written",
        of: "documents",
        text: "Documents of five fields (about 100 bytes of values), one transaction each. Then all of it in bytes, as the library stores or sends a whole document, \
            and a new replica of these bytes, of which every field is read. *Deflated* is what is left of the bytes when they are deflated (once more, \
            for a library that does it itself). The heap is counted while the replica is in use, where it keeps its state there.",
        metrics: &[
            metric("write", Ms("write"), Unit::Ms),
            metric("write: allocations", Allocations("write"), Unit::Count),
            metric("heap after", Counted("heap bytes"), Unit::Bytes),
            metric("to bytes", Ms("snapshot"), Unit::Ms),
            metric("bytes", Figure("snapshot bytes"), Unit::Bytes),
            metric("bytes, deflated", Figure("snapshot deflated bytes"), Unit::Bytes),
            metric("from bytes, and every field read", Ms("load and read"), Unit::Ms),
            metric("from bytes, and every field read: heap at most", Peak("load and read"), Unit::Bytes),
        ],
        libraries: WITH_FILES,
        chart: true,
    },
    Section {
        workload: "W2",
        title: "W2: fields overwritten",
        of: "overwrites",
        text: "Titles of 10,000 documents are overwritten with about 20 bytes, one transaction each: alone; and with the message for each transaction, which \
            another replica takes in one by one (up to 10,000 of them). Then a replica that has met gets all of them in one sync. \
            *At last* are the last 1,000 messages, when both sides have names for what they talk about.",
        metrics: &[
            metric("overwrite", Ms("overwrite"), Unit::Ms),
            metric("overwrite: allocations", Allocations("overwrite"), Unit::Count),
            metric("overwrite, and the message of each", Ms("overwrite, with the message of each"), Unit::Ms),
            metric("a message", Figure("message bytes"), Unit::Bytes),
            metric("a message, at last", Figure("message at last bytes"), Unit::Bytes),
            metric("receive one by one", Ms("receive one by one"), Unit::Ms),
            metric("one sync", Ms("one sync"), Unit::Ms),
            metric("one sync: sent", Figure("one sync sent bytes"), Unit::Bytes),
            metric("one sync: heap at most", Peak("one sync"), Unit::Bytes),
            metric("all in bytes, by what it was before", Figure("snapshot growth times"), Unit::Times),
        ],
        libraries: DOCUMENTS,
        chart: true,
    },
    Section {
        workload: "W3",
        title: "W3: both sides offline",
        of: "edits on each side",
        text: "Two replicas of 10,000 documents that have met edit titles offline, each those of its own half. Then they sync.",
        metrics: &[
            metric("sync", Ms("sync"), Unit::Ms),
            metric("sync: allocations", Allocations("sync"), Unit::Count),
            metric("sync: sent, both ways", Figure("sync sent bytes"), Unit::Bytes),
            metric("sync: heap at most", Peak("sync"), Unit::Bytes),
        ],
        libraries: DOCUMENTS,
        chart: true,
    },
    Section {
        workload: "W4",
        title: "W4: two that have never met",
        of: "documents",
        text: "Two replicas got the same documents from a third one and have never met; one field differs. Before the first meeting neither has looked for differences with anybody: \
            Rejoin reads its change order for the first time then. *Met* is one more change and sync.",
        metrics: &[
            metric("never met", Ms("never met"), Unit::Ms),
            metric("never met: sent", Figure("never met sent bytes"), Unit::Bytes),
            metric(
                "never met: after the handshake",
                Figure("never met sent after handshake bytes"),
                Unit::Bytes,
            ),
            metric("never met: heap at most", Peak("never met"), Unit::Bytes),
            metric("met", Ms("met"), Unit::Ms),
            metric("met: sent", Figure("met sent bytes"), Unit::Bytes),
            metric("met: after the handshake", Figure("met sent after handshake bytes"), Unit::Bytes),
        ],
        libraries: DOCUMENTS,
        chart: true,
    },
    Section {
        workload: "W4-history",
        title: "W4, after as many earlier overwrites",
        of: "documents",
        text: "The same; before, as many titles as there are documents were overwritten.",
        metrics: &[
            metric("never met", Ms("never met"), Unit::Ms),
            metric("never met: sent", Figure("never met sent bytes"), Unit::Bytes),
            metric("met", Ms("met"), Unit::Ms),
            metric("met: sent", Figure("met sent bytes"), Unit::Bytes),
        ],
        libraries: DOCUMENTS,
        chart: false,
    },
    Section {
        workload: "W5",
        title: "W5: one change after many writers",
        of: "writers",
        text: "So many replicas have written a document each. Two that have all of it, and have met, sync one change: the first time after they met, and once more.",
        metrics: &[
            metric("first", Ms("first"), Unit::Ms),
            metric("first: sent", Figure("first sent bytes"), Unit::Bytes),
            metric("then", Ms("sync"), Unit::Ms),
            metric("then: sent", Figure("sync sent bytes"), Unit::Bytes),
            metric("then: after the handshake", Figure("sync sent after handshake bytes"), Unit::Bytes),
        ],
        libraries: WITH_FILES,
        chart: true,
    },
    Section {
        workload: "W5-heads",
        title: "W5: many concurrent changes",
        of: "writers",
        text: "So many replicas set a title of the same 50 documents, none having seen another's; a replica takes in their changes one by one.",
        metrics: &[
            metric("merge", Ms("merge"), Unit::Ms),
            metric("merge: allocations", Allocations("merge"), Unit::Count),
            metric("a message", Figure("message bytes"), Unit::Bytes),
        ],
        libraries: DOCUMENTS,
        chart: true,
    },
    Section {
        workload: "W6",
        title: "W6: a counter",
        of: "increments in all",
        text: "Eight replicas count one counter up by one, in transactions of 1,000 where there are transactions; then one of them merges the others, encoding and decoding included. \
            `rejoin-type` is the counter type on its own, in JSON, which compares with `crdts`; `rejoin` is a field of a document, with identity, change order and fingerprints. Yrs has no counter.",
        metrics: &[
            metric("count", Ms("count"), Unit::Ms),
            metric("merge", Ms("merge"), Unit::Ms),
            metric("sent to merge", Figure("sent bytes"), Unit::Bytes),
            metric("the merged counter in bytes", Figure("merged bytes"), Unit::Bytes),
        ],
        libraries: &["rejoin", "rejoin-type", "automerge", "loro", "crdts"],
        chart: true,
    },
    Section {
        workload: "first-sync",
        title: "First sync",
        of: "documents",
        text: "A replica that holds nothing syncs with one that holds the documents of W1.",
        metrics: &[
            metric("sync", Ms("sync"), Unit::Ms),
            metric("sync: sent", Figure("sync sent bytes"), Unit::Bytes),
            metric("sync: heap at most", Peak("sync"), Unit::Bytes),
        ],
        libraries: WITH_FILES,
        chart: true,
    },
    Section {
        workload: "runways",
        title: "A real history: the world's runways",
        of: "edits",
        text: "42,824 records of up to 20 columns, and how people edited them from 2021 to 2026 (OurAirports; see `examples/data`). The records are loaded in transactions of 1,000; every edit is a \
            transaction. A replica that has the records then gets all edits in one sync. `crdts` has no transactions: each field is an op.",
        metrics: &[
            metric("load", Ms("load"), Unit::Ms),
            metric("replay", Ms("replay"), Unit::Ms),
            metric("replay: allocations", Allocations("replay"), Unit::Count),
            metric("heap after", Counted("heap bytes"), Unit::Bytes),
            metric("in bytes, before the edits", Figure("snapshot before bytes"), Unit::Bytes),
            metric("in bytes, after", Figure("snapshot after bytes"), Unit::Bytes),
            metric("all edits in one sync", Ms("sync"), Unit::Ms),
            metric("all edits in one sync: sent", Figure("sync sent bytes"), Unit::Bytes),
            metric("all edits in one sync: heap at most", Peak("sync"), Unit::Bytes),
        ],
        libraries: WITH_FILES,
        chart: false,
    },
    Section {
        workload: "sqlite-batch",
        title: "SQLite: 1,000 rows in a transaction, `synchronous = NORMAL`",
        of: "rows",
        text: "Rejoin's database beside a plain table of the same rows: eight fields of eleven bytes, ids of 16 random bytes. First all rows are inserted, then one field of as many rows is updated, in random order.",
        metrics: SQLITE,
        libraries: TABLES,
        chart: true,
    },
    Section {
        workload: "sqlite-normal",
        title: "SQLite: one row in a transaction, `synchronous = NORMAL`",
        of: "rows",
        text: "The same, one row in a transaction. Neither side waits for the disk.",
        metrics: SQLITE,
        libraries: TABLES,
        chart: true,
    },
    Section {
        workload: "sqlite-full",
        title: "SQLite: one row in a transaction, `synchronous = FULL`",
        of: "rows",
        text: "The same, durable: both sides wait for the disk after each transaction.",
        metrics: SQLITE,
        libraries: TABLES,
        chart: false,
    },
    Section {
        workload: "sqlite-changes",
        title: "SQLite: changes read and applied",
        of: "rows",
        text: "10,000 updated rows, sent to a file that has met this one: reading them (Rejoin only) and taking them in, which ends with a durable commit. Plain is the same updates in one durable transaction, in the order of ids.",
        metrics: &[
            metric("read", Ms("read"), Unit::Ms),
            metric("apply", Ms("apply"), Unit::Ms),
            metric("sent", Figure("changes sent bytes"), Unit::Bytes),
        ],
        libraries: TABLES,
        chart: false,
    },
    Section {
        workload: "reconcile",
        title: "Reconciling a million cells",
        of: "cells that differ",
        text: "Two SQLite files of 1,000,008 cells that have never met; so many cells of one side are not on the other. Bytes after the handshake, without the cells themselves. Beside it negentropy, on the fingerprints \
            of the same cells, its list in memory already. Rejoin's time includes sending and applying what differs, negentropy's does not. `cargo xtask reconcile` measures one of them.",
        metrics: &[
            metric("bytes", Figure("bytes"), Unit::Bytes),
            metric("round trips", Figure("round_trips"), Unit::Count),
            metric("time", Figure("ms"), Unit::Ms),
            metric("heap at most", Figure("peak_bytes"), Unit::Bytes),
        ],
        libraries: &["rejoin-sqlite", "negentropy"],
        chart: true,
    },
    Section {
        workload: "open",
        title: "Opening a large file",
        of: "documents",
        text: "A file of the documents of W1, filled by another process, is opened; then single ones are read and written, one in a transaction (`synchronous = NORMAL`). Resident is what Linux says of the process.",
        metrics: &[
            metric("open", Ms("open"), Unit::Ms),
            metric("resident memory that opening takes", Figure("resident after opening bytes"), Unit::Bytes),
            metric("read 1,000 documents", Ms("read 1,000 documents"), Unit::Ms),
            metric("write 1,000 documents", Ms("write 1,000 documents"), Unit::Ms),
            metric("resident memory at most", Figure("resident at most bytes"), Unit::Bytes),
            metric("file", Figure("file bytes"), Unit::Bytes),
        ],
        libraries: OURS,
        chart: false,
    },
    Section {
        workload: "growth",
        title: "Growth with documents",
        of: "documents",
        text: "Two SQLite files that have met: a commit of one field (`synchronous = NORMAL`), and a commit, then a sync of it (both sides wait for their disks), the median of 101.",
        metrics: GROWTH,
        libraries: OURS,
        chart: false,
    },
    Section {
        workload: "growth-writers",
        title: "Growth with writers",
        of: "writers",
        text: "The same with 1,000 documents, after so many devices have written.",
        metrics: GROWTH,
        libraries: OURS,
        chart: false,
    },
];

const SQLITE: &[Metric] = &[
    metric("insert", Ms("insert"), Unit::Ms),
    metric("update", Ms("update"), Unit::Ms),
    metric("file after inserts", Figure("file after inserts bytes"), Unit::Bytes),
    metric("file after updates", Figure("file after updates bytes"), Unit::Bytes),
];

const GROWTH: &[Metric] = &[
    metric("commit", Figure("commit ms"), Unit::Ms),
    metric("commit and sync of one change", Figure("commit and sync of one change ms"), Unit::Ms),
    metric("sent after the handshake, both ways", Figure("sent after handshake bytes"), Unit::Bytes),
    metric("handshake, both ways", Figure("handshake, both ways bytes"), Unit::Bytes),
];

/// All charts: file, title, workload, what is drawn, libraries.
pub fn charts()
-> impl Iterator<Item = (String, String, &'static str, Metric, &'static str, &'static [&'static str])> {
    let sections = SECTIONS.iter().filter(|section| section.chart);
    sections.map(|section| {
        let metric = section.metrics[0];
        let title = format!("{}: {}", section.title.replace('`', ""), metric.label);
        (format!("{}.svg", section.workload), title, section.workload, metric, section.of, section.libraries)
    })
}
