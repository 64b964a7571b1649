//! The power fails after every write, and the disk is full at every write: nothing acknowledged is lost, nothing is half
//! there, and no name of a change is used twice.
//!
//! ```text
//! cargo test -p rejoin --test powerloss              a short run, a full disk, and every planted fault
//! cargo xtask powerloss --images 1000000             a long one
//! cargo xtask powerloss --workload 7                 all images of one workload
//! ```
//!
//! Databases run a random workload over a VFS that writes down what SQLite does to its files. From the record, files are
//! made as they could be if the power failed at that point: with what was not synced dropped, kept, kept in part, torn
//! at sectors of 512 bytes. Each is opened as the app would open it, once in a while in another place, and compared with
//! what had been promised by then. Ids and times are new in every run, so a workload's files are alike from run to run,
//! not the same to the byte.
//!
//! | file | subject |
//! |---|---|
//! | `vfs.rs`, `record.rs` | what SQLite does, written down |
//! | `disk.rs` | what can be on a disk after the power failed |
//! | `world.rs`, `facts.rs` | the databases, what is done with them, and what was promised |
//! | `talk.rs` | two of them sync, or begin to |
//! | `app.rs` | how the app opens a database and syncs it |
//! | `check.rs` | an image against the promises |
//! | `afterwards.rs` | a database that lost power goes on |
//! | `campaign.rs` | many images |
//! | `full.rs` | the disk is full |
//! | `plants.rs` | faults that have to be found |

mod afterwards;
mod app;
mod arguments;
mod campaign;
mod check;
mod disk;
mod facts;
mod full;
mod plants;
#[path = "../histories/random.rs"]
mod random;
mod record;
mod talk;
mod vfs;
mod world;

use std::process::ExitCode;
use std::time::Instant;

use arguments::{Arguments, Wish};
use campaign::{Outcome, Plant};
use check::Kind;

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(Wish::Run(arguments)) => arguments,
        Ok(Wish::Nothing(say)) => {
            println!("{say}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("{wrong}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    vfs::install();
    // Those of a check are caught and told with the rest.
    std::panic::set_hook(Box::new(|_| {}));
    let Arguments { images, seed, workload, of_each, jobs, full, plants, json } = arguments;
    let began = Instant::now();
    let outcome = match workload {
        Some(seed) => campaign::workload(seed, usize::MAX, Plant::default()),
        None => campaign::run(images, seed, of_each, jobs),
    };
    let seconds = began.elapsed().as_secs_f64();
    tell(&outcome);
    let mut failed = !outcome.faults.is_empty();
    let mut points = 0;
    for seed in seed..seed + full {
        match full::every_write(seed, 25) {
            Ok(refused) => points += refused,
            Err(what) => {
                eprintln!("\nFAILED: the disk is full, seed {seed}: {what}");
                eprintln!("  replay: cargo xtask powerloss --images 1 --full 1 --seed {seed}");
                failed = true;
            }
        }
    }
    if plants {
        let (found, missed) = plants::find_all(seed, 400);
        println!("{found} planted faults found, not found: {missed:?}");
        failed |= !missed.is_empty();
    }
    if json {
        println!("{}", line(&outcome, seconds, points));
    } else {
        let Outcome { images, synced, staged, loading, loaded, .. } = &outcome;
        println!("{images} images in {seconds:.1} s, of which {synced} were synced with a peer");
        for ([images, synced], what) in
            [(staged, "with staged batches"), (loading, "in a first sync"), (loaded, "around its end")]
        {
            println!("  {images} {what}, of which {synced} were synced");
        }
        println!("{points} writes met a full disk");
        println!("{} faults", outcome.faults.len());
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Prints the first faults, and how to see them again.
fn tell(outcome: &Outcome) {
    for found in outcome.faults.iter().take(5) {
        let campaign::Found { seed, place, fault } = found;
        eprintln!("\nFAILED: {:?}, seed {seed}, {place}\n  {}", fault.kind, fault.what);
        eprintln!("  replay: cargo xtask powerloss --workload {seed}");
    }
}

fn line(outcome: &Outcome, seconds: f64, points: u64) -> String {
    serde_json::json!({
        "images": outcome.images,
        "seconds": (seconds * 10.0).round() / 10.0,
        "synced_afterwards": outcome.synced,
        "with_staged": outcome.staged[0],
        "with_staged_synced": outcome.staged[1],
        "in_first_sync": outcome.loading[0],
        "in_first_sync_synced": outcome.loading[1],
        "around_its_end": outcome.loaded[0],
        "around_its_end_synced": outcome.loaded[1],
        "lost_acknowledged": outcome.count(Kind::LostAcknowledged),
        "torn": outcome.count(Kind::Torn),
        "reused": outcome.count(Kind::Reused),
        "renewed_needlessly": outcome.count(Kind::Renewed),
        "corrupt": outcome.count(Kind::Corrupt),
        "disk_full_points": points,
    })
    .to_string()
}
