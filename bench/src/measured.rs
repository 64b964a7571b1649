//! [`Measured`]: what one process has measured, and how it is told to the report.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::heap;

/// What one process has measured: a line of JSON on its standard output.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// The workload, the library and the size, as on the command line.
    pub workload: String,
    /// See above.
    pub library: String,
    /// See above.
    pub size: u64,
    /// Whether the heap was counted; the times of such a run are not used.
    pub counted: bool,
    /// What was done, and what it took.
    pub phases: BTreeMap<String, Phase>,
    /// Sizes and other numbers, by name; the unit is the name's last word.
    pub figures: BTreeMap<String, f64>,
    /// Of what there is in the end: the same for every library, or somebody lost something.
    pub digest: Option<String>,
}

/// One phase of a workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Milliseconds.
    pub ms: f64,
    /// Allocations of the heap; 0 if they were not counted.
    pub allocations: usize,
    /// The most that was in use beyond what was when the phase began; 0 if it was not counted.
    pub peak_bytes: usize,
}

impl Measured {
    /// Nothing yet.
    pub fn new(workload: &str, library: &str, size: u64, counted: bool) -> Self {
        let (workload, library) = (workload.to_owned(), library.to_owned());
        Self { workload, library, size, counted, ..Self::default() }
    }

    /// Does something and measures it.
    pub fn phase<T>(&mut self, name: &str, work: impl FnOnce() -> T) -> T {
        let (in_use, allocations) = (heap::reset(), heap::allocations());
        let began = Instant::now();
        let done = work();
        let ms = began.elapsed().as_secs_f64() * 1e3;
        let mut phase = Phase { ms, ..Phase::default() };
        if self.counted {
            phase.allocations = heap::allocations() - allocations;
            phase.peak_bytes = heap::peak().saturating_sub(in_use);
        }
        self.phases.insert(name.to_owned(), phase);
        done
    }

    /// Notes a number.
    pub fn figure(&mut self, name: &str, value: f64) {
        self.figures.insert(name.to_owned(), value);
    }

    /// Notes a number of bytes.
    pub fn bytes(&mut self, name: &str, bytes: usize) {
        self.figure(&format!("{name} bytes"), bytes as f64);
    }
}
