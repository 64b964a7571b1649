//! What Rejoin wants to reach, and whether it does.

use std::fmt::Write as _;

use super::results::Results;
use super::results::Source::{self, Counted, Figure, Ms, Peak};
use super::table::{self, Unit};

/// What has to be reached.
enum Aim {
    /// So many times the best of these.
    Best(f64, &'static [&'static str]),
    /// At most so much.
    AtMost(f64, Unit),
    /// At most so many times what it is at this size.
    Flat(f64, u64),
}

/// One goal.
struct Goal {
    what: &'static str,
    workload: &'static str,
    size: u64,
    library: &'static str,
    source: Source,
    aim: Aim,
}

const PEERS: &[&str] = &["automerge", "yrs", "loro", "crdts"];
const PLAIN: &[&str] = &["plain"];

const fn goal(
    what: &'static str,
    (workload, size, library): (&'static str, u64, &'static str),
    source: Source,
    aim: Aim,
) -> Goal {
    Goal { what, workload, size, library, source, aim }
}

const W1: (&str, u64, &str) = ("W1", 10_000, "rejoin");
const W2: (&str, u64, &str) = ("W2", 100_000, "rejoin");
const W3: (&str, u64, &str) = ("W3", 10_000, "rejoin");
const W4: (&str, u64, &str) = ("W4", 100_000, "rejoin");
const OLD: (&str, u64, &str) = ("W4-history", 100_000, "rejoin");
const W5: (&str, u64, &str) = ("W5", 10_000, "rejoin");
const HEADS: (&str, u64, &str) = ("W5-heads", 10_000, "rejoin");
const COUNTER: (&str, u64, &str) = ("W6", 1_000_000, "rejoin-type");
const FIELD: (&str, u64, &str) = ("W6", 1_000_000, "rejoin");
const BATCH: (&str, u64, &str) = ("sqlite-batch", 100_000, "rejoin-sqlite");
const NORMAL: (&str, u64, &str) = ("sqlite-normal", 100_000, "rejoin-sqlite");
const FULL: (&str, u64, &str) = ("sqlite-full", 10_000, "rejoin-sqlite");
const CHANGES: (&str, u64, &str) = ("sqlite-changes", 100_000, "rejoin-sqlite");
const OPEN: (&str, u64, &str) = ("open", 1_000_000, "rejoin-sqlite");
const GROWTH: (&str, u64, &str) = ("growth", 1_000_000, "rejoin-sqlite");
const WRITERS: (&str, u64, &str) = ("growth-writers", 10_000, "rejoin-sqlite");

const MIB: f64 = 1_048_576.0;

const GOALS: &[Goal] = &[
    goal("W1: write", W1, Ms("write"), Aim::Best(0.5, PEERS)),
    goal("W1: heap after", W1, Counted("heap bytes"), Aim::AtMost(8.0 * MIB, Unit::Bytes)),
    goal("W1: bytes", W1, Figure("snapshot bytes"), Aim::AtMost(1.25e6, Unit::Bytes)),
    goal("W1: bytes, deflated", W1, Figure("snapshot deflated bytes"), Aim::AtMost(450e3, Unit::Bytes)),
    goal("W1: from bytes, and every field read", W1, Ms("load and read"), Aim::Best(0.5, PEERS)),
    goal("W2: overwrite", W2, Ms("overwrite"), Aim::Best(0.5, PEERS)),
    goal("W2: a message at last", W2, Figure("message at last bytes"), Aim::AtMost(36.0, Unit::Bytes)),
    goal("W2: receive one by one", W2, Ms("receive one by one"), Aim::Best(0.5, PEERS)),
    goal("W2: one sync", W2, Ms("one sync"), Aim::Best(0.5, PEERS)),
    goal("W2: one sync: sent", W2, Figure("one sync sent bytes"), Aim::AtMost(1.2e6, Unit::Bytes)),
    goal("W2: one sync: heap at most", W2, Peak("one sync"), Aim::AtMost(8.0 * MIB, Unit::Bytes)),
    goal("W2: growth of all in bytes", W2, Figure("snapshot growth times"), Aim::AtMost(1.15, Unit::Times)),
    goal("W3: sync", W3, Ms("sync"), Aim::Best(0.5, PEERS)),
    goal("W3: sent", W3, Figure("sync sent bytes"), Aim::AtMost(400e3, Unit::Bytes)),
    goal(
        "W4: never met, after the handshake",
        W4,
        Figure("never met sent after handshake bytes"),
        Aim::AtMost(600.0, Unit::Bytes),
    ),
    goal("W4: never met", W4, Ms("never met"), Aim::AtMost(5.0, Unit::Ms)),
    goal(
        "W4: met, after the handshake",
        W4,
        Figure("met sent after handshake bytes"),
        Aim::AtMost(300.0, Unit::Bytes),
    ),
    goal("W4: met", W4, Ms("met"), Aim::AtMost(1.0, Unit::Ms)),
    goal("W4 with history: never met", OLD, Ms("never met"), Aim::AtMost(5.0, Unit::Ms)),
    goal(
        "W5: after the handshake",
        W5,
        Figure("sync sent after handshake bytes"),
        Aim::AtMost(300.0, Unit::Bytes),
    ),
    goal("W5: sync", W5, Ms("sync"), Aim::AtMost(1.0, Unit::Ms)),
    goal("W5: concurrent changes", HEADS, Ms("merge"), Aim::Best(1.0, PEERS)),
    goal("W6: count, the type alone", COUNTER, Ms("count"), Aim::Best(1.0, &["crdts"])),
    goal("W6: count, a field", FIELD, Ms("count"), Aim::Best(1.0, &["crdts"])),
    goal("W6: the merged counter in bytes", FIELD, Figure("merged bytes"), Aim::AtMost(400.0, Unit::Bytes)),
    goal("SQLite: insert in batches", BATCH, Ms("insert"), Aim::Best(1.25, PLAIN)),
    goal("SQLite: update in batches", BATCH, Ms("update"), Aim::Best(1.25, PLAIN)),
    goal("SQLite: insert one by one, NORMAL", NORMAL, Ms("insert"), Aim::Best(1.5, PLAIN)),
    goal("SQLite: update one by one, NORMAL", NORMAL, Ms("update"), Aim::Best(1.5, PLAIN)),
    goal("SQLite: insert one by one, FULL", FULL, Ms("insert"), Aim::Best(1.25, PLAIN)),
    goal("SQLite: update one by one, FULL", FULL, Ms("update"), Aim::Best(1.25, PLAIN)),
    goal("SQLite: file after inserts", BATCH, Figure("file after inserts bytes"), Aim::Best(1.3, PLAIN)),
    goal("SQLite: file after updates", BATCH, Figure("file after updates bytes"), Aim::Best(1.3, PLAIN)),
    goal("SQLite: read 10,000 changes", CHANGES, Ms("read"), Aim::AtMost(20.0, Unit::Ms)),
    goal("SQLite: apply 10,000 changes", CHANGES, Ms("apply"), Aim::Best(1.4, PLAIN)),
    goal("1,000,000 documents: open", OPEN, Ms("open"), Aim::AtMost(10.0, Unit::Ms)),
    goal(
        "1,000,000 documents: resident memory",
        OPEN,
        Figure("resident at most bytes"),
        Aim::AtMost(30e6, Unit::Bytes),
    ),
    goal("1,000,000 documents: commit", GROWTH, Figure("commit ms"), Aim::Flat(1.2, 1_000)),
    goal(
        "1,000,000 documents: commit and sync",
        GROWTH,
        Figure("commit and sync of one change ms"),
        Aim::Flat(1.2, 1_000),
    ),
    goal("1,000,000 documents: sent", GROWTH, Figure("sent after handshake bytes"), Aim::Flat(1.2, 1_000)),
    goal("10,000 writers: commit", WRITERS, Figure("commit ms"), Aim::Flat(1.2, 2)),
    goal(
        "10,000 writers: commit and sync",
        WRITERS,
        Figure("commit and sync of one change ms"),
        Aim::Flat(1.2, 2),
    ),
    goal("10,000 writers: sent", WRITERS, Figure("sent after handshake bytes"), Aim::Flat(1.2, 2)),
];

/// The goals, and whether they are met.
pub fn table(results: &Results) -> String {
    let mut table = String::from("## Goals\n\n| what | goal | measured | |\n|---|---|---|---|\n");
    let mut rows = 0;
    for goal in GOALS {
        let Goal { what, workload, size, library, source, aim } = goal;
        let median =
            |library: &str, size: u64| results.number(workload, size, library, *source).map(|n| n.median);
        let Some(ours) = median(library, *size) else { continue };
        let (wanted, measured, part) = match aim {
            Aim::Best(times, of) => {
                let best = of.iter().filter_map(|other| median(other, *size)).fold(f64::INFINITY, f64::min);
                if !best.is_finite() {
                    continue;
                }
                let whose = if of == &PLAIN { "plain" } else { "the best" };
                (
                    format!("≤ {} {whose}", table::ratio(*times)),
                    table::ratio(ours / best),
                    ours / best / times,
                )
            }
            Aim::AtMost(most, unit) => {
                (format!("≤ {}", table::in_unit(*most, *unit)), table::in_unit(ours, *unit), ours / most)
            }
            Aim::Flat(times, from) => {
                let Some(first) = median(library, *from) else { continue };
                (
                    format!("≤ {} {from}", table::ratio(*times)),
                    table::ratio(ours / first),
                    ours / first / times,
                )
            }
        };
        let met =
            if part <= 1.0 { "met".to_owned() } else { format!("**missed by {}**", table::ratio(part)) };
        let _ = writeln!(table, "| {what} | {wanted} | {measured} | {met} |");
        rows += 1;
    }
    table.push('\n');
    if rows > 0 { table } else { String::new() }
}
