//! kill -9 of a real process while it commits and syncs: nothing acknowledged is lost, nothing is half stored.
//!
//! A program of its own: it starts itself as the process that is killed. `-- --rounds 1000 --seed 7` for more of it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use rejoin::core::Durability;
use rejoin::{Collection, Database, DocumentId, Error, FieldType};

const PAIRS: u64 = 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    if let (Some(folder), Some(work)) = (value("--folder"), value("--child")) {
        child(Path::new(&folder), &work).expect("the child only ends when it is killed");
        return ExitCode::SUCCESS;
    }
    let number =
        |name: &str, default: u64| value(name).map_or(default, |text| text.parse().expect("a number"));
    let (rounds, seed) = (number("--rounds", 50), number("--seed", 1));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut acknowledged, mut random) = (Acknowledged::default(), seed);
    for round in 0..rounds {
        let work =
            ["commit", "visible", "sync", "together"][usize::try_from(round % 4).expect("less than 4")];
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after_ms = 5 + (random >> 33) % 60;
        if work == "together" {
            // Two processes on one file, and both die at about the same time.
            let others = [spawn(folder.path(), work), spawn(folder.path(), work)];
            acknowledged.increments +=
                others.map(|child| kill_after(child, after_ms).unwrap_or(0)).iter().sum::<u64>();
        } else {
            let last = kill_after(spawn(folder.path(), work), after_ms);
            acknowledged.number = last.unwrap_or(0).max(acknowledged.number);
        }
        if let Err(fault) = inspect(folder.path(), &acknowledged) {
            eprintln!("round {round} ({work}): {fault}");
            eprintln!("again with: cargo xtask kill --rounds {rounds} --seed {seed}");
            println!("{round} passed, 1 failed");
            return ExitCode::FAILURE;
        }
    }
    let transactions = acknowledged.number + acknowledged.increments;
    println!(
        "{transactions} transactions acknowledged by processes that were killed: none lost, none in half"
    );
    println!("{rounds} passed, 0 failed");
    ExitCode::SUCCESS
}

/// What the processes that were killed said that they had committed.
#[derive(Default)]
struct Acknowledged {
    /// The last transaction of those that count up.
    number: u64,
    /// All increments of those that work together.
    increments: u64,
}

fn spawn(folder: &Path, work: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("a path of its own"));
    command.args(["--child", work, "--folder"]).arg(folder).stdout(Stdio::piped());
    command.spawn().expect("the child starts")
}

/// Kills a child some time after its first sign of life, and tells the last number that it acknowledged.
fn kill_after(mut child: Child, ms: u64) -> Option<u64> {
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let first = lines.next();
    std::thread::sleep(Duration::from_millis(ms));
    child.kill().expect("the child can be killed");
    child.wait().expect("the child ends");
    first.into_iter().chain(lines).filter_map(|line| line.ok()?.parse().ok()).last()
}

/// What the killed process does: transactions over two documents, each acknowledged by its number on stdout.
fn child(folder: &Path, work: &str) -> Result<(), Error> {
    if work == "together" {
        return count_together(folder);
    }
    let (a, b) = (open(folder, "a.db")?, open(folder, "b.db")?);
    let mut number = highest(&a)?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{number}")?;
    loop {
        number += 1;
        let durability = if work == "visible" { Durability::Visible } else { Durability::Durable };
        a.commit_with(durability, |tx| {
            for side in ["left", "right"] {
                let mut document = tx.open(side, DocumentId::from_u64(number % PAIRS))?;
                document.set("number", i64::try_from(number).expect("small"))?;
                document.increment("writes", 1)?;
            }
            Ok(())
        })?;
        writeln!(stdout, "{number}")?;
        if work == "sync" {
            b.commit(|tx| {
                tx.open("notes", DocumentId::from_u64(number))?.set("text", "from the other side")?;
                Ok(())
            })?;
            sync(&a, &b)?;
        }
    }
}

/// Counts up in a file that another process counts up in, too.
fn count_together(folder: &Path) -> Result<(), Error> {
    let a = open(folder, "a.db")?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "0")?;
    for count in 1u64.. {
        a.commit(|tx| Ok(tx.open("counts", DocumentId::from_u64(0))?.increment("writes", 1)?))?;
        writeln!(stdout, "{count}")?;
    }
    Ok(())
}

/// Opens both files as they are after the kill, and looks.
fn inspect(folder: &Path, acknowledged: &Acknowledged) -> Result<(), String> {
    let text = |error: Error| error.to_string();
    let (a, b) = (open(folder, "a.db").map_err(text)?, open(folder, "b.db").map_err(text)?);
    let found = highest(&a).map_err(text)?;
    if found < acknowledged.number {
        return Err(format!("{} was acknowledged, {found} is the last that is there", acknowledged.number));
    }
    let counts = a.get("counts", DocumentId::from_u64(0)).map_err(text)?;
    let counted = counts.map_or(0, |counts| counts.counter("writes"));
    if counted < i128::from(acknowledged.increments) {
        return Err(format!("{} increments were acknowledged, {counted} are there", acknowledged.increments));
    }
    for db in [&a, &b] {
        let report = db.check().map_err(text)?;
        if !report.is_sound() {
            return Err(format!("the file is damaged: {report:?}"));
        }
        whole(db)?;
    }
    sync(&a, &b).map_err(text)?;
    if a.root().map_err(text)? != b.root().map_err(text)? {
        return Err("the two files differ after a sync".into());
    }
    Ok(())
}

/// Every transaction wrote the same into a left and a right document.
fn whole(db: &Database) -> Result<(), String> {
    for id in (0..PAIRS).map(DocumentId::from_u64) {
        let side = |side: &str| {
            let view = db.get(side, id).map_err(|error| error.to_string())?;
            Ok::<_, String>(view.map(|view| (view.to_value(), view.counter("writes"))))
        };
        let (left, right) = (side("left")?, side("right")?);
        if left != right {
            return Err(format!("half a transaction in pair {id}: {left:?} and {right:?}"));
        }
    }
    Ok(())
}

fn highest(db: &Database) -> Result<u64, Error> {
    let mut highest = 0;
    for document in db.list("left") {
        let number = document?.1.get("number")?.and_then(|number| number.as_i64()).unwrap_or(0);
        highest = highest.max(u64::try_from(number).unwrap_or(0));
    }
    Ok(highest)
}

fn open(folder: &Path, name: &str) -> Result<Database, Error> {
    let db = Database::open(folder.join(name))?;
    for side in ["left", "right", "counts"] {
        db.declare(Collection::new(side).field("writes", FieldType::Counter))?;
    }
    Ok(db)
}

/// Over a socket pair, as two devices would.
fn sync(a: &Database, b: &Database) -> Result<(), Error> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let (address, b) = (listener.local_addr()?, b.clone());
    let server = std::thread::spawn(move || b.serve(&mut listener.accept()?.0));
    a.sync(&mut std::net::TcpStream::connect(address)?)?;
    server.join().expect("the other side does not panic")?;
    Ok(())
}
