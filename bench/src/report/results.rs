//! [`Results`]: everything that was measured, as it is kept beside the page.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::plan::Case;
use crate::measured::Measured;

/// Everything that was measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// Where.
    pub machine: BTreeMap<String, String>,
    /// By workload, then size, then library.
    pub cases: BTreeMap<String, BTreeMap<u64, BTreeMap<String, Outcome>>>,
}

/// What came of one library in one case.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// The runs that were timed.
    pub timed: Vec<Measured>,
    /// The run in which the heap was counted.
    pub counted: Option<Measured>,
    /// Why there are no more.
    pub failed: Option<String>,
    /// A run takes many seconds.
    pub is_long: bool,
}

/// Where a number is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The median time of a phase.
    Ms(&'static str),
    /// The most that a phase had in use on the heap.
    Peak(&'static str),
    /// How often a phase allocated.
    Allocations(&'static str),
    /// A figure of timed runs.
    Figure(&'static str),
    /// A figure of the counted run.
    Counted(&'static str),
}

/// A number and how far its runs were apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    /// The median.
    pub median: f64,
    /// Least and greatest.
    pub between: (f64, f64),
}

impl Outcome {
    /// Whether there should be another round.
    pub fn goes_on(&self, round: usize) -> bool {
        self.failed.is_none() && !(self.is_long && round >= 2)
    }

    /// What a program has measured of another library beside its own, whose name its figures begin with.
    fn take_apart(&mut self, library: &str) -> Option<(String, Self)> {
        let mut other = Self { timed: self.timed.clone(), ..Self::default() };
        for (run, theirs) in self.timed.iter_mut().zip(&mut other.timed) {
            let prefix = format!("{library} ");
            let (of_other, own) =
                std::mem::take(&mut run.figures).into_iter().partition(|(name, _)| name.starts_with(&prefix));
            run.figures = own;
            theirs.figures = std::collections::BTreeMap::into_iter(of_other)
                .map(|(name, value)| (name[prefix.len()..].to_owned(), value))
                .collect();
        }
        let found = other.timed.iter().any(|run| !run.figures.is_empty());
        found.then(|| (library.to_owned(), other))
    }

    /// A number of this outcome.
    pub fn number(&self, source: Source) -> Option<Number> {
        let mut numbers: Vec<f64> = match source {
            Source::Ms(phase) => {
                self.timed.iter().filter_map(|run| Some(run.phases.get(phase)?.ms)).collect()
            }
            Source::Figure(name) => {
                self.timed.iter().filter_map(|run| run.figures.get(name).copied()).collect()
            }
            Source::Peak(phase) => {
                self.counted.iter().filter_map(|run| Some(run.phases.get(phase)?.peak_bytes as f64)).collect()
            }
            Source::Allocations(phase) => self
                .counted
                .iter()
                .filter_map(|run| Some(run.phases.get(phase)?.allocations as f64))
                .collect(),
            Source::Counted(name) => {
                self.counted.iter().filter_map(|run| run.figures.get(name).copied()).collect()
            }
        };
        numbers.sort_by(f64::total_cmp);
        let (least, greatest) = (*numbers.first()?, *numbers.last()?);
        let (below, above) = (numbers[(numbers.len() - 1) / 2], numbers[numbers.len() / 2]);
        Some(Number { median: f64::midpoint(below, above), between: (least, greatest) })
    }
}

impl Results {
    /// Reads the results of an earlier report; none if there is none.
    ///
    /// # Errors
    /// When there are some that cannot be read.
    pub fn read(path: &Path) -> Result<Self, String> {
        match std::fs::read(path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))
            }
            Err(_) => Ok(Self::default()),
        }
    }

    /// Keeps the results.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        std::fs::create_dir_all(path.parent().expect("it is in a folder")).map_err(failed)?;
        let text = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        std::fs::write(path, text).map_err(failed)
    }

    /// Puts the outcomes of a case in place of earlier ones.
    pub fn replace(&mut self, case: &Case, mut outcomes: Vec<(String, Outcome)>) {
        let apart: Vec<_> =
            outcomes.iter_mut().filter_map(|(_, outcome)| outcome.take_apart("negentropy")).collect();
        outcomes.extend(apart);
        let sizes = self.cases.entry(case.workload.to_owned()).or_default();
        sizes.insert(case.size, outcomes.into_iter().collect());
    }

    /// The libraries that did not finish this workload at a smaller size.
    pub fn too_slow(&self, case: &Case) -> Vec<String> {
        let smaller = self.cases.get(case.workload).into_iter().flat_map(|sizes| sizes.range(..case.size));
        let outcomes = smaller.flat_map(|(_, outcomes)| outcomes);
        let unfinished = |outcome: &Outcome| {
            outcome.failed.as_ref().is_some_and(|failed| failed.starts_with("not finished"))
        };
        outcomes.filter(|(_, outcome)| unfinished(outcome)).map(|(library, _)| library.clone()).collect()
    }

    /// The most timed runs of a case.
    pub fn rounds(&self) -> usize {
        let outcomes = self.cases.values().flat_map(BTreeMap::values).flat_map(BTreeMap::values);
        outcomes.map(|outcome| outcome.timed.len()).max().unwrap_or(0)
    }

    /// What one library came to.
    pub fn outcome(&self, workload: &str, size: u64, library: &str) -> Option<&Outcome> {
        self.cases.get(workload)?.get(&size)?.get(library)
    }

    /// A number.
    pub fn number(&self, workload: &str, size: u64, library: &str, source: Source) -> Option<Number> {
        self.outcome(workload, size, library)?.number(source)
    }

    /// Cases in which the libraries did not come to the same in the end, or something failed other than by taking too long.
    pub fn disagreements(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (workload, sizes) in &self.cases {
            for (size, outcomes) in sizes {
                let runs = outcomes.values().flat_map(|outcome| &outcome.timed);
                let digests: BTreeSet<_> = runs.filter_map(|run| run.digest.as_ref()).collect();
                if digests.len() > 1 {
                    wrong.push(format!("{workload} {size}: the libraries do not hold the same in the end"));
                }
                for (library, outcome) in outcomes {
                    if let Some(failed) =
                        outcome.failed.as_ref().filter(|failed| failed.starts_with("failed"))
                    {
                        wrong.push(format!("{workload} {size} {library}: {failed}"));
                    }
                }
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: Case = Case { workload: "W1", size: 10, libraries: &["rejoin", "yrs"], at_most_rounds: 5 };

    fn outcome(times: &[f64], digest: &str) -> Outcome {
        let run = |ms: &f64| {
            let mut run = Measured::new("W1", "rejoin", 10, false);
            run.phases.insert("write".to_owned(), crate::measured::Phase { ms: *ms, ..Default::default() });
            run.digest = Some(digest.to_owned());
            run
        };
        Outcome { timed: times.iter().map(run).collect(), ..Outcome::default() }
    }

    #[test]
    fn the_median_and_the_spread() {
        let number = outcome(&[3.0, 1.0, 9.0], "x").number(Source::Ms("write"));
        assert_eq!(number, Some(Number { median: 3.0, between: (1.0, 9.0) }));
        let number = outcome(&[1.0, 9.0], "x").number(Source::Ms("write"));
        assert_eq!(number.map(|number| number.median), Some(5.0));
        assert_eq!(outcome(&[1.0], "x").number(Source::Ms("read")), None);
    }

    #[test]
    fn libraries_that_do_not_hold_the_same_are_found() {
        let mut results = Results::default();
        let both = |digest: &str| {
            vec![("rejoin".to_owned(), outcome(&[1.0], "x")), ("yrs".to_owned(), outcome(&[1.0], digest))]
        };
        results.replace(&CASE, both("x"));
        assert!(results.disagreements().is_empty());
        results.replace(&CASE, both("y"));
        assert_eq!(results.disagreements().len(), 1);
        let failed = Outcome { failed: Some("failed: panicked".to_owned()), ..Outcome::default() };
        results.replace(&CASE, vec![("rejoin".to_owned(), failed)]);
        assert_eq!(results.disagreements().len(), 1);
    }

    #[test]
    fn what_did_not_finish_with_less_is_not_tried() {
        let mut results = Results::default();
        let slow = Outcome { failed: Some("not finished after 90 s".to_owned()), ..Outcome::default() };
        results.replace(&CASE, vec![("rejoin".to_owned(), outcome(&[1.0], "x")), ("yrs".to_owned(), slow)]);
        assert_eq!(results.too_slow(&Case { size: 100, ..CASE }), ["yrs"]);
        assert!(results.too_slow(&CASE).is_empty(), "it is tried again at the same size");
    }

    #[test]
    fn figures_of_another_library_are_taken_apart() {
        let mut run = outcome(&[1.0], "x");
        run.timed[0].figure("bytes", 1.0);
        run.timed[0].figure("negentropy bytes", 2.0);
        let mut results = Results::default();
        results.replace(&CASE, vec![("rejoin".to_owned(), run)]);
        let bytes = |library| results.number("W1", 10, library, Source::Figure("bytes")).map(|n| n.median);
        assert_eq!((bytes("rejoin"), bytes("negentropy")), (Some(1.0), Some(2.0)));
    }
}
