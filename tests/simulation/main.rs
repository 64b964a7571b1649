//! A whole network under virtual time, from one seed: devices that commit, meet over bad connections, crash, are copied
//! and restored, with clocks that are wrong; and a checker that stands apart from it.
//!
//! ```text
//! cargo test -p rejoin --test simulation                       a short run, and all planted bugs
//! cargo xtask simulate --histories 1000000                     a long one
//! cargo xtask simulate --histories 1 --seed 7 --tell           one history, told
//! ```
//!
//! | file | subject |
//! |---|---|
//! | `faults.rs` | the classes of faults, by name, and what is not promised yet |
//! | `plot.rs`, `draw.rs` | what is going to happen, as plain data; from a seed |
//! | `world.rs` | plays a plot: the order of time, commits, crashes, files |
//! | `sessions.rs` | drives sessions as an app does |
//! | `link.rs` | a connection, and what it does to messages |
//! | `device.rs`, `disk.rs`, `../histories/folder.rs` | a replica with its clock and its disk, and what a crash leaves of it |
//! | `guard.rs` | a server that refuses transactions |
//! | `ending.rs` | the faults stop, and everybody meets until all is quiet |
//! | `checker/` | whether what was seen is what was promised |
//! | `planted.rs` | the bugs that have to be caught |
//! | `kept.rs` | histories that once were told as violations |
//! | `play.rs`, `shrink.rs`, `campaign.rs` | one history, the smallest story of a violation, many histories |

mod arguments;
mod campaign;
mod checker;
mod device;
mod disk;
mod draw;
mod ending;
mod faults;
mod guard;
mod kept;
mod link;
mod planted;
mod play;
mod plot;
mod sessions;
mod shrink;
mod world;

// What is shared with `tests/convergence`.
#[expect(dead_code, reason = "the checker has promises of its own")]
#[path = "../histories/failure.rs"]
mod failure;
#[path = "../histories/folder.rs"]
mod folder;
#[expect(dead_code, reason = "the other reader of this uses more of it")]
#[path = "../histories/oracle/mod.rs"]
mod oracle;
#[path = "../histories/random.rs"]
mod random;
#[path = "../histories/schemas.rs"]
mod schemas;
#[expect(dead_code, reason = "the other reader of this uses more of it")]
#[path = "../histories/translate.rs"]
mod translate;
#[path = "../histories/words.rs"]
mod words;

use std::process::ExitCode;
use std::time::Instant;

use arguments::{Arguments, Wish};

/// In a short run, so many histories are played twice.
const AGAIN: u64 = 8;

fn main() -> ExitCode {
    let wish = match Arguments::read(std::env::args().skip(1)) {
        Ok(Wish::Run(wish)) => wish,
        Ok(Wish::Nothing(say)) => {
            println!("{say}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("{wrong}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    play::catch_panics();
    let began = Instant::now();
    if wish.tell {
        let plot = plot::Plot::draw(wish.seed, wish.taste);
        campaign::story(&plot, &play::play(&plot, wish.bug, true).tale);
    }
    let sum = campaign::histories(&wish);
    if wish.json {
        println!("{}", sum.json(&wish, began.elapsed().as_secs_f64()));
    } else {
        sum.say();
    }
    sum.tell(&wish);
    let again = wish.planted.is_none() || campaign::happens_again(&wish, AGAIN);
    let kept = wish.planted.is_none() || kept::all_pass();
    let caught = wish.planted.is_none_or(|histories| campaign::catch_all(histories, wish.taste));
    if !wish.json {
        println!("\nin {:.1} s", began.elapsed().as_secs_f64());
    }
    if sum.violations == 0 && caught && again && kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
