//! How many instructions a handful of hot paths take: `cargo xtask instructions`.
//!
//! Instructions are counted by callgrind, so a busy machine makes no difference, and a change of a percent is seen. Each path is
//! run in processes of their own, once with so many steps and once with twice as many; the difference, by the number of steps, is what a step
//! takes, without what went before. `benches/instructions.txt` has what they took when somebody last looked; the check fails
//! when one differs by more than the tolerance, also when it takes less: then the file is to be brought up to date. Another
//! compiler makes other instructions: the file says which one it was.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use rejoin::core::{
    DocumentId, Durability, Head, Life, MemoryStore, Namespace, Replica, ReplicaId, Store, TransactionError,
};
use rejoin::protocol::drive::exchange_in_memory;
use rejoin::sqlite::{OpenOptions, SqliteStore};

type Failed = Box<dyn Error>;

/// By how much a path may differ from the file: hash maps with random seeds differ from run to run.
const TOLERANCE_THOUSANDTHS: u64 = 30;
const START_MS: u64 = 1_790_000_000_000;

/// A path: what it is called, and how many steps are run.
const PATHS: [(&str, u64); 7] = [
    ("commit of a new document of five fields", 500),
    ("commit of one field", 1_000),
    ("read of a document and a field", 1_000),
    ("one change pushed and taken in", 500),
    ("a document in a first sync, both sides", 500),
    ("SQLite: a new document in a commit of 100", 500),
    ("SQLite: commit of one field", 300),
];

fn main() -> ExitCode {
    // cargo says that this is a benchmark.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let done = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => check(false),
        ["--update"] => check(true),
        ["step", path, steps] => steps.parse().map_err(Failed::from).and_then(|steps| play(path, steps)),
        _ => Err("cargo xtask instructions [--update]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("instructions: {failed}");
            ExitCode::FAILURE
        }
    }
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt")
}

/// Counts all paths, and compares them with the file or writes it.
fn check(update: bool) -> Result<(), Failed> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Err(
            "valgrind is needed: `apt-get install valgrind`, or your system's package of that name".into()
        );
    }
    let compiler = Command::new("rustc").arg("--version").output()?;
    let compiler = String::from_utf8(compiler.stdout)?.trim().to_owned();
    let known = known(&std::fs::read_to_string(file()).unwrap_or_default());
    let (mut text, mut wrong) = (format!("# {compiler}\n"), Vec::new());
    for (path, steps) in PATHS {
        let per_step = (count(path, 2 * steps)? - count(path, steps)?) / steps;
        writeln!(text, "{per_step:>9}  {path}")?;
        let Some(&before) = known.get(path) else {
            println!("{per_step:>9}  {path}: not in the file");
            wrong.push(path);
            continue;
        };
        // In thousandths, which is exact enough and needs no floats.
        let apart = per_step.abs_diff(before) * 1000 / before.max(1);
        let sign = if per_step < before { '-' } else { '+' };
        println!("{per_step:>9}  {path} ({sign}{}.{} %)", apart / 10, apart % 10);
        if apart > TOLERANCE_THOUSANDTHS {
            wrong.push(path);
        }
    }
    if update {
        std::fs::write(file(), text)?;
        println!("{} is written", file().display());
    } else if !wrong.is_empty() {
        let was = std::fs::read_to_string(file()).unwrap_or_default();
        let with = was.lines().next().unwrap_or_default().trim_start_matches("# ").to_owned();
        return Err(format!(
            "these differ by more than {} % from benches/instructions.txt ({with}; now {compiler}): {}. \
             If that is as it should be, `cargo xtask instructions --update`",
            TOLERANCE_THOUSANDTHS / 10,
            wrong.join("; ")
        )
        .into());
    }
    Ok(())
}

/// The lines of the file: a number, then the name of a path.
fn known(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter_map(|line| line.trim().split_once("  "));
    lines.filter_map(|(number, path)| Some((path.to_owned(), number.parse().ok()?))).collect()
}

/// How many instructions a process takes that runs so many steps of a path.
fn count(path: &str, steps: u64) -> Result<u64, Failed> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(std::env::current_exe()?);
    let output = command.args(["step", path, &steps.to_string()]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    match collected {
        Some((_, number)) if output.status.success() => Ok(number.trim().parse()?),
        _ => Err(format!("{path}: {said}").into()),
    }
}

/// Runs so many steps of a path; what has to be there before is there whatever the number.
fn play(path: &str, steps: u64) -> Result<(), Failed> {
    const BEFORE: u64 = 200;
    match path {
        "commit of a new document of five fields" => insert(&mut in_memory(1), 0..steps, 1),
        "commit of one field" => {
            let mut replica = in_memory(1);
            insert(&mut replica, 0..BEFORE, 1)?;
            (0..steps).try_for_each(|step| retitle(&mut replica, step, BEFORE))
        }
        "read of a document and a field" => {
            let mut replica = in_memory(1);
            insert(&mut replica, 0..BEFORE, 1)?;
            for step in 0..steps {
                let document = replica.read("notes", DocumentId::from_u64(step % BEFORE))?;
                document.get("title")?.ok_or("the title is there")?;
            }
            Ok(())
        }
        "one change pushed and taken in" => {
            let (mut a, mut b) = (in_memory(1), in_memory(2));
            insert(&mut a, 0..BEFORE, 1)?;
            let (mut at_a, mut at_b) = exchange_in_memory(&mut a, &mut b, START_MS)?;
            for step in 0..steps {
                retitle(&mut a, step, BEFORE)?;
                let message = at_a.transmit(&mut a, START_MS)?.ok_or("there is something to say")?;
                at_b.receive(&mut b, &message, START_MS)?;
                while let Some(message) = at_b.transmit(&mut b, START_MS)? {
                    at_a.receive(&mut a, &message, START_MS)?;
                }
            }
            Ok(())
        }
        "a document in a first sync, both sides" => {
            let (mut a, mut b) = (in_memory(1), in_memory(2));
            insert(&mut a, 0..steps, 100)?;
            exchange_in_memory(&mut a, &mut b, START_MS)?;
            Ok(())
        }
        "SQLite: a new document in a commit of 100" => with_file(|file| insert(file, 0..steps, 100)),
        "SQLite: commit of one field" => with_file(|file| {
            insert(file, 0..BEFORE, 100)?;
            (0..steps).try_for_each(|step| retitle(file, step, BEFORE))
        }),
        _ => Err("there is no such path".into()),
    }
}

fn namespace() -> Namespace {
    Namespace::from_secret("instructions")
}

fn in_memory(number: u64) -> Replica<MemoryStore> {
    Replica::new(MemoryStore::new(Head::new(namespace(), ReplicaId::from_u64(number), Life(number))))
}

fn with_file(work: impl FnOnce(&mut Replica<SqliteStore>) -> Result<(), Failed>) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let opened = SqliteStore::open(folder.path().join("notes.db"), &OpenOptions::new(namespace()))?;
    work(&mut Replica::new(opened.store))
}

/// Documents of five fields, so many in a transaction.
fn insert<S: Store>(
    replica: &mut Replica<S>,
    numbers: std::ops::Range<u64>,
    at_once: usize,
) -> Result<(), Failed> {
    for from in numbers.clone().step_by(at_once) {
        replica.commit(START_MS + from, Durability::Visible, |tx| {
            for number in from..numbers.end.min(from + at_once as u64) {
                let mut document = tx.document("notes", DocumentId::from_u64(number))?;
                document.set("author", format!("person {}", number % 50))?;
                document
                    .set("body", format!("the body of {number}, which is somewhat longer than its title"))?;
                document.set("done", number.is_multiple_of(3))?;
                document.set("rank", number.cast_signed())?;
                document.set("title", format!("title number {number}"))?;
            }
            Ok::<_, TransactionError>(())
        })?;
    }
    Ok(())
}

fn retitle<S: Store>(replica: &mut Replica<S>, step: u64, of: u64) -> Result<(), Failed> {
    replica.commit(START_MS * 2 + step, Durability::Visible, |tx| {
        let mut document = tx.document("notes", DocumentId::from_u64(step % of))?;
        document.set("title", format!("another title, {step:06}"))?;
        Ok::<_, TransactionError>(())
    })?;
    Ok(())
}
