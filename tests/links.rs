//! The links between the pages lead somewhere: every relative link of every Markdown file names a file that is there, and
//! every `#anchor` a heading.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// The pages of the repository, by path.
fn pages(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if path.is_dir() {
            if !name.starts_with('.') && !["target", "node_modules"].contains(&name.as_str()) {
                pages(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.insert(path.clone(), std::fs::read_to_string(path).unwrap());
        }
    }
}

/// The lines that are text, with their numbers: code is no place for links and headings.
fn prose(page: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    (1..).zip(page.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// What stands in the parentheses of `](…)`.
fn links(line: &str) -> Vec<&str> {
    let opened = line.split("](").skip(1);
    opened.filter_map(|rest| rest.split_once(')')).map(|(link, _)| link).collect()
}

/// The anchor that a heading gets where Markdown is shown: lower case, words joined by hyphens, no punctuation.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    text.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
}

fn anchors(page: &str) -> Vec<String> {
    prose(page).filter(|(_, line)| line.starts_with('#')).map(|(_, line)| anchor(line)).collect()
}

/// The path without `.` and `..`.
fn resolved(folder: &Path, link: &str) -> PathBuf {
    let mut path = folder.to_owned();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path
}

#[test]
fn every_link_leads_somewhere() {
    let mut all = BTreeMap::new();
    pages(Path::new(env!("CARGO_MANIFEST_DIR")), &mut all);
    let mut checked = 0;
    let mut broken = Vec::new();
    for (path, page) in &all {
        for (number, line) in prose(page) {
            for link in
                links(line).into_iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:"))
            {
                checked += 1;
                let (file, fragment) =
                    link.split_once('#').map_or((link, None), |(file, at)| (file, Some(at)));
                let target =
                    if file.is_empty() { path.clone() } else { resolved(path.parent().unwrap(), file) };
                let found = target.exists()
                    && fragment.is_none_or(|at| {
                        all.get(&target).is_some_and(|page| anchors(page).iter().any(|anchor| anchor == at))
                    });
                if !found {
                    broken.push(format!("{}:{number}: {link}", path.display()));
                }
            }
        }
    }
    assert!(checked > 10, "the pages were not found");
    assert!(broken.is_empty(), "these lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn the_ways_to_write_a_link_and_a_heading_are_known() {
    assert_eq!(links("see [a](b.md) and ![c](d.svg), [e](#f)"), ["b.md", "d.svg", "#f"]);
    assert_eq!(anchor("## What `conflicts()` returns"), "what-conflicts-returns");
    assert_eq!(anchor("# Deleted here, edited there"), "deleted-here-edited-there");
    let page = "# A\n```\n# no heading, [no](link)\n```\n## B";
    assert_eq!(anchors(page), ["a", "b"]);
    assert_eq!(prose(page).count(), 2);
}
