//! Tables: a row for each number and size, a column for each library, and how Rejoin compares with the best of the others.

use std::fmt::Write as _;

use super::results::{Number, Results, Source};

/// A number that a table shows.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// What it is.
    pub label: &'static str,
    /// Where it is found.
    pub source: Source,
    /// How it is written.
    pub unit: Unit,
}

/// How a number is written. Less is better for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Ms,
    /// Bytes.
    Bytes,
    /// A number of something.
    Count,
    /// A ratio.
    Times,
}

/// Ours, in the order in which they are looked for.
const OURS: [&str; 3] = ["rejoin", "rejoin-type", "rejoin-sqlite"];

/// The table of a workload: libraries beside each other.
pub fn beside(results: &Results, workload: &str, metrics: &[Metric], libraries: &[&str], of: &str) -> String {
    let mut table = format!("| what | {of} |");
    for library in libraries {
        let _ = write!(table, " {library} |");
    }
    table.push_str(" Rejoin ÷ best other |\n|---|---|");
    table.push_str(&"---|".repeat(libraries.len() + 1));
    table.push('\n');
    let sizes: Vec<u64> =
        results.cases.get(workload).into_iter().flat_map(|sizes| sizes.keys().copied()).collect();
    for metric in metrics {
        for &size in &sizes {
            let number = |library: &str| results.number(workload, size, library, metric.source);
            if !libraries.iter().any(|library| number(library).is_some()) {
                continue;
            }
            let _ = write!(table, "| {} | {} |", metric.label, grouped(size as f64));
            let best = libraries
                .iter()
                .filter_map(|library| number(library))
                .map(|n| n.median)
                .fold(f64::INFINITY, f64::min);
            for library in libraries {
                let cell = match (number(library), results.outcome(workload, size, library)) {
                    (Some(number), _) if number.median <= best => {
                        format!("**{}**", written(number, metric.unit))
                    }
                    (Some(number), _) => written(number, metric.unit),
                    (None, Some(outcome)) => outcome.failed.clone().unwrap_or_else(|| "–".to_owned()),
                    (None, None) => "–".to_owned(),
                };
                let _ = write!(table, " {cell} |");
            }
            let _ = writeln!(
                table,
                " {} |",
                verdict(compared(results, workload, size, metric.source, libraries))
            );
        }
    }
    table
}

/// The table of what only Rejoin does: sizes beside each other.
pub fn growing(results: &Results, workload: &str, metrics: &[Metric], library: &str) -> String {
    let Some(sizes) = results.cases.get(workload) else { return String::new() };
    let mut table = "| what |".to_owned();
    for size in sizes.keys() {
        let _ = write!(table, " {} |", grouped(*size as f64));
    }
    table.push_str(" last ÷ first |\n|---|");
    table.push_str(&"---|".repeat(sizes.len() + 1));
    table.push('\n');
    for metric in metrics {
        let numbers: Vec<_> =
            sizes.keys().map(|size| results.number(workload, *size, library, metric.source)).collect();
        let _ = write!(table, "| {} |", metric.label);
        for number in &numbers {
            let _ =
                write!(table, " {} |", number.map_or_else(|| "–".to_owned(), |n| written(n, metric.unit)));
        }
        let ends = numbers.iter().flatten().next().zip(numbers.iter().flatten().last());
        let ratio = ends.map_or_else(|| "–".to_owned(), |(first, last)| ratio(last.median / first.median));
        let _ = writeln!(table, " {ratio} |");
    }
    table
}

/// The best of ours by the best of the others; `None` where there are not both.
pub fn compared(
    results: &Results,
    workload: &str,
    size: u64,
    source: Source,
    libraries: &[&str],
) -> Option<f64> {
    let median = |library: &str| results.number(workload, size, library, source).map(|number| number.median);
    let ours = OURS.iter().filter(|ours| libraries.contains(ours)).find_map(|ours| median(ours))?;
    let others =
        libraries.iter().filter(|library| !OURS.contains(library)).filter_map(|library| median(library));
    let best = others.fold(f64::INFINITY, f64::min);
    best.is_finite().then(|| if best == 0.0 { f64::from(ours > 0.0) } else { ours / best })
}

fn verdict(compared: Option<f64>) -> String {
    match compared {
        None => "–".to_owned(),
        Some(times) if times <= 1.0 => format!("{} wins", ratio(times)),
        Some(times) => format!("**{} loses**", ratio(times)),
    }
}

/// `0.53 ×`, `12 ×`.
pub fn ratio(times: f64) -> String {
    if times < 9.95 { format!("{times:.2} ×") } else { format!("{} ×", grouped(times)) }
}

/// With its spread, where the runs were apart.
pub fn written(number: Number, unit: Unit) -> String {
    let plain = in_unit(number.median, unit);
    let (least, greatest) = number.between;
    if unit == Unit::Ms && greatest > least {
        let (least, greatest) = (in_unit(least, unit), in_unit(greatest, unit));
        return format!("{plain} <small>({least} – {greatest})</small>")
            .replace(" ms –", " –")
            .replace(" ms)", ")");
    }
    plain
}

/// A number with its unit.
pub fn in_unit(number: f64, unit: Unit) -> String {
    match unit {
        Unit::Ms if number >= 10_000.0 => format!("{:.1} s", number / 1e3),
        Unit::Ms if number >= 100.0 => format!("{number:.0} ms"),
        Unit::Ms if number >= 1.0 => format!("{number:.1} ms"),
        Unit::Ms => format!("{number:.3} ms"),
        Unit::Bytes if number >= 1e6 => format!("{:.2} MB", number / 1e6),
        Unit::Bytes if number >= 1e4 => format!("{:.1} kB", number / 1e3),
        Unit::Bytes if number.fract() > 0.0 => format!("{number:.1} B"),
        Unit::Bytes => format!("{} B", grouped(number)),
        Unit::Count => grouped(number),
        Unit::Times => ratio(number),
    }
}

/// With a comma every three digits.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_with_their_units() {
        assert_eq!(grouped(1_234_567.0), "1,234,567");
        assert_eq!(in_unit(0.0712, Unit::Ms), "0.071 ms");
        assert_eq!(in_unit(12_345.0, Unit::Ms), "12.3 s");
        assert_eq!(in_unit(449_800.0, Unit::Bytes), "449.8 kB");
        let number = Number { median: 31.0, between: (30.0, 40.0) };
        assert_eq!(written(number, Unit::Ms), "31.0 ms <small>(30.0 – 40.0)</small>");
        assert_eq!(verdict(Some(0.5)), "0.50 × wins");
        assert_eq!(verdict(Some(31.4)), "**31 × loses**");
    }
}
