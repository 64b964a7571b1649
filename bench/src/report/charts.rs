//! Charts: how a number grows with the size, one line for each library.

use std::path::Path;

use plotters::prelude::*;

use super::results::Results;
use super::sections;

/// A colour for each library, the same in all charts; ours are the strong ones.
fn colour(library: &str) -> RGBColor {
    match library {
        "rejoin" => RGBColor(200, 30, 60),
        "rejoin-sqlite" => RGBColor(240, 130, 40),
        "rejoin-type" => RGBColor(160, 60, 160),
        "automerge" => RGBColor(120, 120, 120),
        "yrs" => RGBColor(40, 110, 190),
        "loro" => RGBColor(40, 150, 120),
        _ => RGBColor(110, 90, 60),
    }
}

/// Draws all charts for which there are results.
pub fn draw(results: &Results, folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for (file, title, workload, metric, of, libraries) in sections::charts() {
        let Some(sizes) = results.cases.get(workload) else { continue };
        let line = |library: &&'static str| {
            let points = sizes.keys().filter_map(|size| {
                let number = results.number(workload, *size, library, metric.source)?;
                Some((size.max(&1).to_owned() as f64, number.median.max(1e-3)))
            });
            (*library, points.collect::<Vec<_>>())
        };
        let lines: Vec<_> = libraries.iter().map(line).filter(|(_, points)| !points.is_empty()).collect();
        let axes = (of, if metric.unit == super::table::Unit::Ms { "ms" } else { "bytes" });
        if !lines.is_empty() {
            chart(&folder.join(file), &title, axes, &lines).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

fn chart(
    path: &Path,
    title: &str,
    (across, up): (&str, &str),
    lines: &[(&'static str, Vec<(f64, f64)>)],
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let range = |pick: fn(&(f64, f64)) -> f64, room: f64| {
        let least = points().map(pick).fold(f64::INFINITY, f64::min);
        let greatest = points().map(pick).fold(0.0, f64::max);
        least / room..greatest * room
    };
    let root = SVGBackend::new(path, (760, 420)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(
            range(|point| point.0, 1.3).log_scale(),
            range(|point| point.1, 1.6).log_scale(),
        )?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc(across)
        .y_desc(up)
        .x_label_formatter(&|x| label(*x))
        .y_label_formatter(&|y| label(*y))
        .draw()?;
    for (library, points) in lines {
        let style = colour(library).stroke_width(if library.starts_with("rejoin") { 3 } else { 2 });
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style).point_size(3))?
            .label(*library)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(RGBColor(200, 200, 200))
        .draw()?;
    root.present()?;
    Ok(())
}

fn label(number: f64) -> String {
    if number >= 1e6 {
        format!("{}M", number / 1e6)
    } else if number >= 1e3 {
        format!("{}k", number / 1e3)
    } else {
        format!("{number}")
    }
}
