//! What is measured: workloads, sizes, libraries.

/// Libraries of documents.
const DOCUMENTS: &[&str] = &["rejoin", "automerge", "yrs", "loro", "crdts"];
const WITH_FILES: &[&str] = &["rejoin", "rejoin-sqlite", "automerge", "yrs", "loro", "crdts"];
const COUNTERS: &[&str] = &["rejoin", "rejoin-type", "automerge", "loro", "crdts"];
const TABLES: &[&str] = &["rejoin-sqlite", "plain"];
const OURS: &[&str] = &["rejoin-sqlite"];

/// One workload at one size.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// As on the command line.
    pub workload: &'static str,
    /// See above.
    pub size: u64,
    /// See above.
    pub libraries: &'static [&'static str],
    /// It is not timed oftener.
    pub at_most_rounds: usize,
}

/// Workload, libraries, the sizes, the sizes of a short run, rounds at most.
type Row = (&'static str, &'static [&'static str], &'static [u64], &'static [u64], usize);

const ROWS: &[Row] = &[
    ("W1", WITH_FILES, &[1_000, 10_000, 100_000], &[200], 5),
    ("W2", DOCUMENTS, &[1_000, 10_000, 100_000], &[200], 5),
    ("W3", DOCUMENTS, &[100, 1_000, 10_000], &[100], 5),
    ("W4", DOCUMENTS, &[1_000, 10_000, 100_000], &[200], 5),
    ("W4-history", DOCUMENTS, &[1_000, 10_000, 100_000], &[200], 5),
    ("W5", WITH_FILES, &[2, 100, 10_000], &[2, 20], 5),
    ("W5-heads", DOCUMENTS, &[100, 1_000, 10_000], &[50], 5),
    ("W6", COUNTERS, &[10_000, 100_000, 1_000_000], &[1_000], 5),
    ("first-sync", WITH_FILES, &[1_000, 10_000, 100_000], &[200], 5),
    ("runways", WITH_FILES, &[34_643], &[100], 3),
    ("sqlite-batch", TABLES, &[1_000, 10_000, 100_000], &[1_000], 5),
    ("sqlite-normal", TABLES, &[1_000, 10_000, 100_000], &[200], 5),
    ("sqlite-full", TABLES, &[100, 1_000, 10_000], &[50], 5),
    ("sqlite-changes", TABLES, &[10_000, 100_000], &[10_000], 5),
    ("open", OURS, &[1_000, 10_000, 100_000, 1_000_000], &[1_000], 3),
    ("growth", OURS, &[1_000, 10_000, 100_000, 1_000_000], &[1_000], 3),
    ("growth-writers", OURS, &[2, 100, 10_000], &[2], 3),
    // Always a million cells: not in a short run.
    ("reconcile", OURS, &[0, 1, 100, 10_000], &[], 3),
];

/// All cases, in the order of the report.
pub fn cases(short: bool) -> Vec<Case> {
    let of_row = |&(workload, libraries, sizes, short_sizes, at_most_rounds): &Row| {
        let sizes = if short { short_sizes } else { sizes };
        sizes.iter().map(move |&size| Case { workload, size, libraries, at_most_rounds })
    };
    ROWS.iter().flat_map(of_row).collect()
}
