//! The main job: two devices hold the same 42,824 records, edit them offline with what people really edited over five
//! years, rejoin, and agree.
//!
//! `cargo run --release --example offline_first`, or `-- --small` for a second's worth of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rejoin::{Collection, Database, DocumentId, Error, FieldType, SyncReport};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
type Record = BTreeMap<String, String>;

fn main() -> Outcome<()> {
    let small = std::env::args().any(|argument| argument == "--small");
    let folder = tempfile::tempdir()?;
    let (path_a, path_b) = (folder.path().join("device-a.db"), folder.path().join("device-b.db"));
    let (a, b) = (open(&path_a)?, open(&path_b)?);

    let records = read_records(if small { 1_000 } else { usize::MAX })?;
    let bar = progress("loading device A", records.len());
    for page in records.chunks(1_000) {
        a.commit(|tx| page.iter().try_for_each(|record| write(tx, record, &record["id"])))?;
        bar.inc(page.len() as u64);
    }
    bar.finish();
    say(&format!("device A holds {} records", records.len()));
    let first = sync(&a, &b, "first sync of device B")?;
    say(&format!("device B holds the same: {}", first.in_sync));

    say("the line is cut; both devices go on for five years");
    let edited = edit_offline(&a, &b, if small { 2_000 } else { usize::MAX })?;
    let both: Vec<_> = edited[0].intersection(&edited[1]).collect();
    say(&format!(
        "{} records edited on A, {} on B, {} of them on both",
        edited[0].len(),
        edited[1].len(),
        both.len()
    ));
    let rejoin = sync(&a, &b, "rejoin")?;
    say(&format!(
        "{} cells travelled to A, {} records were merged field by field",
        rejoin.cells_received,
        both.len()
    ));
    show_conflicts(&a, 3)?;

    let agreed = a.root()? == b.root()?;
    say(&format!("A {}\nB {}", a.root()?, b.root()?));
    drop((a, b));
    let (a, b) = (open(&path_a)?, open(&path_b)?);
    let reopened = a.root()? == b.root()? && a.check()?.is_sound() && b.check()?.is_sound();
    say(&format!("equal roots: {agreed}; also after closing and reopening: {reopened}"));
    if !(agreed && reopened && first.in_sync && rejoin.in_sync) {
        std::process::exit(1);
    }
    Ok(())
}

/// Measurements keep both of two simultaneous edits; everything else is the latest edit's.
fn open(path: &Path) -> Result<Database, Error> {
    let db = Database::open(path)?;
    let measured = ["length_ft", "width_ft", "surface", "le_ident", "he_ident"];
    let runways = Collection::new("runways");
    db.declare(measured.into_iter().fold(runways, |runways, name| runways.field(name, FieldType::Detect)))?;
    Ok(db)
}

fn read_records(limit: usize) -> Outcome<Vec<Record>> {
    let mut csv = csv::Reader::from_reader(packed("runways.base.csv.gz")?);
    Ok(csv.deserialize().take(limit).collect::<Result<_, _>>()?)
}

/// The record's own id names the document, so both devices mean the same one.
fn write(tx: &mut rejoin::Tx<'_, '_>, fields: &Record, id: &str) -> Result<(), Error> {
    let mut runway = tx.create_with_key("runways", id)?;
    fields
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .try_for_each(|(name, value)| runway.set(&**name, value))?;
    Ok(())
}

/// Replays the edit history, the even days on A and the odd ones on B, one transaction a day.
fn edit_offline(a: &Database, b: &Database, limit: usize) -> Outcome<[BTreeSet<String>; 2]> {
    let mut days: BTreeMap<String, Vec<serde_json::Value>> = BTreeMap::new();
    for line in BufReader::new(packed("runways.edits.jsonl.gz")?).lines().take(limit) {
        let edit: serde_json::Value = serde_json::from_str(&line?)?;
        days.entry(edit["day"].as_str().unwrap_or_default().to_owned()).or_default().push(edit);
    }
    let (mut edited, bar) = ([BTreeSet::new(), BTreeSet::new()], progress("editing offline", days.len()));
    for (number, edits) in days.into_values().enumerate() {
        [a, b][number % 2].commit(|tx| {
            for edit in &edits {
                let of = |kind| edit[kind].as_str().map(str::to_owned);
                if let Some(id) = of("delete") {
                    tx.delete("runways", DocumentId::from_key("runways", &id))?;
                } else if let Some(id) = of("insert").or_else(|| of("update")) {
                    let set: Record = serde_json::from_value(edit["set"].clone()).map_err(Error::app)?;
                    write(tx, &set, &id)?;
                    edited[number % 2].insert(id);
                }
            }
            Ok(())
        })?;
        bar.inc(1);
    }
    bar.finish();
    Ok(edited)
}

/// Connects both devices over a TCP socket on this machine.
fn sync(a: &Database, b: &Database, what: &str) -> Outcome<SyncReport> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (address, b, start) = (listener.local_addr()?, b.clone(), Instant::now());
    let server = std::thread::spawn(move || b.serve(&mut listener.accept()?.0));
    let report = a.sync(&mut TcpStream::connect(address)?)?;
    server.join().expect("the other device does not panic")?;
    let (sent, received) = (report.traffic.bytes_sent, report.traffic.bytes_received);
    let (seconds, way) =
        (start.elapsed().as_secs_f64(), report.way.map_or(String::new(), |way| format!("{way:?}")));
    say(&format!("{what}: A sent {sent} bytes, B sent {received} bytes, {seconds:.2} s ({way})"));
    Ok(report)
}

fn show_conflicts(db: &Database, shown: usize) -> Outcome<()> {
    let (mut conflicts, mut fields) = (0, 0);
    for runway in db.list("runways") {
        let (_, runway) = runway?;
        for field in runway.fields().conflicted() {
            fields += 1;
            if fields <= shown {
                let values = runway.conflicts(field);
                let values: Vec<_> =
                    values.iter().map(|s| format!("{:?} by {:?}", s.value.value(), s.by.replica())).collect();
                say(&format!(
                    "  {} {field}: {}",
                    runway.get("airport_ident")?.map_or(String::new(), |v| format!("{v:?}")),
                    values.join(" and ")
                ));
            }
        }
        conflicts += usize::from(runway.fields().conflicted().next().is_some());
    }
    say(&format!("{fields} fields of {conflicts} records hold two values until someone decides"));
    Ok(())
}

fn packed(name: &str) -> std::io::Result<impl Read + use<>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data");
    Ok(GzDecoder::new(std::fs::File::open(folder.join(name))?))
}

/// A bar on a terminal; nothing elsewhere, where only whole lines belong.
fn progress(what: &'static str, length: usize) -> ProgressBar {
    let target = if std::io::stdout().is_terminal() {
        ProgressDrawTarget::stdout()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(length as u64), target).with_message(what);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar.with_style(ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}").expect("a valid template"))
}

fn say(line: &str) {
    println!("{line}");
}
