//! The page: the machine, where Rejoin stands, a section for each workload.

use std::fmt::Write as _;

use super::goals;
use super::results::Results;
use super::sections::SECTIONS;
use super::table::{self, Unit};

/// The whole page.
pub fn write(results: &Results) -> String {
    let mut page = String::from(HEAD);
    let about = |name: &str| results.machine.get(name).cloned().unwrap_or_default();
    let _ = writeln!(
        page,
        "Measured on {} cores ({}), {} of memory, {}, {}, load {} when the last part of it began; up to {} timed runs of each. Rejoin {} beside automerge {}, yrs {}, loro {}, crdts {}, \
         negentropy {}, and plain SQLite {} through rusqlite {}, the one that Rejoin has inside.\n",
        about("cores"),
        about("processor"),
        about("memory"),
        about("kernel"),
        about("compiler"),
        about("load when it began"),
        results.rounds(),
        about("rejoin"),
        about("automerge"),
        about("yrs"),
        about("loro"),
        about("crdts"),
        about("negentropy"),
        about("SQLite"),
        about("rusqlite"),
    );
    page.push_str(&standing(results));
    page.push_str(&goals::table(results));
    for section in SECTIONS.iter().filter(|section| results.cases.contains_key(section.workload)) {
        let _ = writeln!(page, "## {}\n\n{}\n", section.title, section.text);
        if section.libraries.len() > 1 {
            page.push_str(&table::beside(
                results,
                section.workload,
                section.metrics,
                section.libraries,
                section.of,
            ));
        } else {
            page.push_str(&table::growing(results, section.workload, section.metrics, section.libraries[0]));
        }
        page.push('\n');
        if section.chart {
            let _ = writeln!(
                page,
                "![{}](benchmarks/{}.svg)\n",
                section.title.replace('`', ""),
                section.workload
            );
        }
    }
    page.push_str(TAIL);
    page
}

/// How many rows are won and lost, and which are lost by most.
fn standing(results: &Results) -> String {
    let (mut won, mut lost) = (0, Vec::new());
    for section in SECTIONS.iter().filter(|section| section.libraries.len() > 1) {
        for size in results.cases.get(section.workload).into_iter().flat_map(|sizes| sizes.keys()) {
            for metric in section.metrics {
                match table::compared(results, section.workload, *size, metric.source, section.libraries) {
                    Some(times) if times > 1.0 => lost.push((times, section, *size, metric)),
                    Some(_) => won += 1,
                    None => {}
                }
            }
        }
    }
    lost.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
    let mut text = format!(
        "## Where Rejoin stands\n\nOf {} rows in which there is something to compare with, Rejoin is the best in {won} and not in {}. It loses by most in:\n\n",
        won + lost.len(),
        lost.len(),
    );
    for (times, section, size, metric) in lost.iter().take(12) {
        let _ = writeln!(
            text,
            "- {} ({} {}), {}: {} the best other",
            section.title,
            table::in_unit(*size as f64, Unit::Count),
            section.of,
            metric.label,
            table::ratio(*times),
        );
    }
    text.push('\n');
    text
}

const HEAD: &str = "\
# Benchmarks

Rejoin beside what else there is: the same work with each, from the same seeds, each measurement in a process of its own, the libraries in turn, the median of the runs (and the least and the greatest). In the end all have to \
hold the same, or the report fails. Heap and allocations are counted in a run of their own, which is not timed. On another machine only the ratios carry over; on a machine that does something else, not even all of these.

`cargo run --release -p bench -- report`, in `bench/`, measures all of it (about half an hour) and writes this page; `--short` sees in a minute or two whether everything works; `--only W1,W2` measures a part anew. How the same records \
become the structure of each library is said at the head of its file in `bench/src/library`; Rejoin's `rejoin` is a replica in memory, `rejoin-sqlite` the same over a file. Keys are 16 random bytes, in 22 characters where a library's keys are text; replicas have ids \
as long as the library draws them.

**Bold** is the best of a row; the last column says whether Rejoin wins or loses against the best of the others. A library that is *not finished* took more than 90 seconds for a run. What takes more than 15 is measured twice. cr-sqlite is not here: its extension is published only as a \
download, not in a package registry.

";

const TAIL: &str = "\
## What is not compared

Text and lists that merge by position, which the others have and Rejoin does not. Undo, history, branches. Rejoin's documents know their conflicts, their types and who wrote what when; none of these are used here but by their cost.
";
