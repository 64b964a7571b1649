//! Faults planted on purpose: each has to be found, or the rest of this program proves nothing.

use std::path::Path;

use crate::campaign::{Plant, workload};
use crate::check::Kind;
use crate::record::Lie;
use crate::world::Mistake;

/// A fault, and what it has to be found as: any one of these.
struct Planted {
    name: &'static str,
    plant: Plant,
    found_as: &'static [Kind],
}

fn all() -> Vec<Planted> {
    let none = Plant::default();
    vec![
        Planted {
            name: "a durable commit at synchronous=NORMAL is lost",
            plant: Plant { lie: Lie::StaysNormal, ..none },
            found_as: &[Kind::LostAcknowledged],
        },
        Planted {
            name: "a change leaves at synchronous=NORMAL, and its name is used again",
            plant: Plant { lie: Lie::StaysNormal, ..none },
            found_as: &[Kind::Reused],
        },
        Planted {
            name: "the disk does not sync",
            plant: Plant { lie: Lie::NoSync, ..none },
            found_as: &[Kind::Corrupt],
        },
        Planted {
            name: "a finished backup is undone by its journal",
            plant: Plant { lie: Lie::ForgetsExtra, ..none },
            found_as: &[Kind::Torn],
        },
        Planted {
            name: "a commit is acknowledged when it begins",
            plant: Plant { mistake: Mistake::AcknowledgesEarly, ..none },
            found_as: &[Kind::LostAcknowledged],
        },
        Planted {
            name: "a transaction is committed in halves",
            plant: Plant { mistake: Mistake::CommitsHalves, ..none },
            found_as: &[Kind::Torn],
        },
        Planted {
            name: "a cursor moves without its data",
            plant: Plant {
                damage: Some(|file| alter(file, "UPDATE rejoin_peer SET cursor = cursor + 1")),
                ..none
            },
            found_as: &[Kind::Torn],
        },
        Planted {
            name: "offered is forgotten",
            plant: Plant { damage: Some(|file| alter(file, "UPDATE rejoin_head SET offered = 0")), ..none },
            found_as: &[Kind::Reused],
        },
        Planted {
            name: "a document is gone",
            plant: Plant {
                damage: Some(|file| alter(file, "DELETE FROM rejoin_document WHERE row = 1")),
                ..none
            },
            found_as: &[Kind::Corrupt],
        },
        Planted {
            name: "batches that wait for their checkpoint are forgotten, and the checkpoint counts",
            plant: Plant { mistake: Mistake::ForgetsStaged, ..none },
            found_as: &[Kind::Torn],
        },
        Planted {
            name: "a first sync has come further than its cells",
            plant: Plant { damage: Some(ahead_of_its_cells), ..none },
            found_as: &[Kind::Torn],
        },
        Planted {
            name: "a first sync has ended without its checkpoint",
            plant: Plant { damage: Some(|file| alter(file, FORGET_LOADING)), ..none },
            found_as: &[Kind::Torn],
        },
    ]
}

const FORGET_LOADING: &str = "DELETE FROM rejoin_note WHERE key = CAST('loading' AS BLOB)";

/// Says of a first sync that was cut that all documents of the peer were looked at.
fn ahead_of_its_cells(file: &Path) {
    const PROGRESS: &str = "SELECT key, note FROM rejoin_note \
                            WHERE substr(key, 1, 8) = CAST('loading' || char(0) AS BLOB)";
    let done = rusqlite::Connection::open(file).and_then(|connection| {
        let mut select = connection.prepare(PROGRESS)?;
        let notes = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let notes: Vec<(Vec<u8>, Vec<u8>)> = notes.collect::<Result<_, _>>()?;
        for (key, mut note) in notes {
            // The number of the scope, the position, and then what was looked at.
            let position = note[8..].iter().position(|byte| byte & 0x80 == 0).map_or(0, |last| last + 1);
            note.truncate(8 + position);
            note.push(2);
            connection.execute("UPDATE rejoin_note SET note = ? WHERE key = ?", (note, key))?;
        }
        Ok(())
    });
    drop(done);
}

/// Changes a file behind the library's back, if its tables are there.
fn alter(file: &Path, sql: &str) {
    let done = rusqlite::Connection::open(file).and_then(|connection| connection.execute(sql, []));
    drop(done);
}

/// Every fault is found within a few workloads. Returns how many were, and those that were not.
pub fn find_all(seed: u64, images: usize) -> (u64, Vec<&'static str>) {
    const WORKLOADS: u64 = 20;
    let (mut found, mut missed) = (0, Vec::new());
    for Planted { name, plant, found_as } in all() {
        let is_found = |seed| found_as.iter().all(|kind| workload(seed, images, plant).count(*kind) > 0);
        if (seed..seed + WORKLOADS).any(is_found) {
            found += 1;
        } else {
            missed.push(name);
        }
    }
    (found, missed)
}
