//! Workloads, and the images of each: as many as asked, on as many threads.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tempfile::TempDir;

use crate::afterwards::sync_afterwards;
use crate::app::Trouble;
use crate::check::{Awaited, Damage, Fault, Kind, Moment, Place};
use crate::disk::{Cut, Disk};
use crate::random::Random;
use crate::record::{self, Lie, Op};
use crate::world::{Mistake, Side, World};

/// Of so many images, one is synced with a peer; and of those in which something of a sync was cut.
const SYNCED: usize = 24;
const SYNCED_OF_CUT: usize = 5;

/// A fault that is planted, or none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plant {
    pub lie: Lie,
    pub mistake: Mistake,
    pub damage: Option<Damage>,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub images: u64,
    pub synced: u64,
    /// In which batches waited for their checkpoint: of all images, and of those that were synced.
    pub staged: [u64; 2],
    /// In the middle of a first sync.
    pub loading: [u64; 2],
    /// Around the end of one.
    pub loaded: [u64; 2],
    pub faults: Vec<Found>,
}

/// A fault, and where.
#[derive(Clone, Debug)]
pub struct Found {
    pub seed: u64,
    pub place: String,
    pub fault: Fault,
}

impl Outcome {
    pub fn count(&self, kind: Kind) -> usize {
        self.faults.iter().filter(|found| found.fault.kind == kind).count()
    }

    pub fn add(&mut self, other: Self) {
        self.images += other.images;
        self.synced += other.synced;
        for (mine, theirs) in [
            (&mut self.staged, other.staged),
            (&mut self.loading, other.loading),
            (&mut self.loaded, other.loaded),
        ] {
            *mine = [mine[0] + theirs[0], mine[1] + theirs[1]];
        }
        self.faults.extend(other.faults);
    }
}

/// Images of workloads from a seed on, until there are enough of them or too many faults.
pub fn run(images: u64, seed: u64, of_each: usize, jobs: usize) -> Outcome {
    let (next, all) = (AtomicU64::new(seed), Mutex::new(Outcome::default()));
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let one = workload(next.fetch_add(1, Ordering::Relaxed), of_each, Plant::default());
                    let mut all = all.lock().expect("no panic while it is held");
                    all.add(one);
                    if all.images >= images || all.faults.len() > 20 {
                        break;
                    }
                }
            });
        }
    });
    all.into_inner().expect("no panic while it was held")
}

/// A folder in memory, if there is such a thing.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.or_else(|_| tempfile::tempdir()).expect("a temporary folder")
}

/// One workload, and about so many of its images.
pub fn workload(seed: u64, images: usize, plant: Plant) -> Outcome {
    let folder = folder();
    let (world, ops) = match play(folder.path(), seed, plant) {
        Ok(played) => played,
        Err(what) => {
            let fault = Fault::new(Kind::Torn, what);
            let found = Found { seed, place: "while it ran".into(), fault };
            return Outcome { faults: vec![found], ..Outcome::default() };
        }
    };
    let mut inspection = Inspection {
        seed,
        world: &world,
        disks: world.sides.iter().map(|_| Disk::default()).collect(),
        random: Random::new(seed ^ 0x1a9e),
        damage: plant.damage,
        outcome: Outcome::default(),
    };
    // A step has between two and three images.
    let permille = images.saturating_mul(1_000) / (ops.len() * 5 / 2);
    inspection.all(&ops, permille);
    inspection.outcome
}

/// Runs a workload to its end, and gives what it wrote.
fn play(folder: &Path, seed: u64, plant: Plant) -> Result<(World, Vec<Op>), String> {
    record::start(plant.lie);
    let mut world = World::new(folder, seed, plant.mistake);
    let mut random = Random::new(seed ^ 0x57e9);
    let mut played = Ok(());
    for _ in 0..20 + random.below(25) {
        // Now and then the disk is full for a while.
        let room = random.chance(4).then(|| random.below(20) as u64);
        record::set_room(room);
        match world.step() {
            Ok(()) => {}
            Err(Trouble::Full) if room.is_some() => {}
            Err(Trouble::Full) => played = Err("the disk is full, which it is not".to_owned()),
            Err(Trouble::Fault(what)) => played = Err(what),
        }
        record::set_room(None);
    }
    // Closing moves the log into the database: there is power to lose there, too.
    for side in &mut world.sides {
        side.db = None;
    }
    let ops = record::stop();
    played.map(|()| (world, ops))
}

struct Inspection<'w> {
    seed: u64,
    world: &'w World,
    disks: Vec<Disk<'w>>,
    random: Random,
    damage: Option<Damage>,
    outcome: Outcome,
}

impl<'w> Inspection<'w> {
    fn all(&mut self, ops: &'w [Op], permille: usize) {
        // A file belongs to the database whose letter it begins with.
        let side_of = |name: &str| usize::from(name.as_bytes()[0] - b'a');
        let mut files = BTreeMap::new();
        for (index, op) in ops.iter().enumerate() {
            let side = match op {
                Op::Create { file, name } => *files.entry(*file).or_insert(side_of(name)),
                Op::Write { file, .. } | Op::Truncate { file, .. } | Op::Sync { file, .. } => files[file],
                Op::Delete { name, .. } => side_of(name),
            };
            let settled = self.disks[side].take(op);
            let at = index + 1;
            let promised = self.world.sides[side].history.iter().any(|facts| facts.sure && facts.at == at);
            for cut in Cut::ALL {
                // What is certain stays the same between two syncs, so it is not looked at after each write.
                let worth = match cut {
                    Cut::Kept => true,
                    Cut::Dropped => settled || promised || self.random.chance(15),
                    Cut::Some | Cut::Torn => !self.disks[side].is_certain(),
                };
                if worth && self.random.below(1_000) < permille {
                    self.one(at, side, cut);
                }
            }
        }
    }

    fn one(&mut self, at: usize, side: usize, cut: Cut) {
        let place = if self.random.chance(25) { Place::Moved } else { Place::Same };
        let checked = catch_unwind(AssertUnwindSafe(|| self.check(at, side, cut, place)));
        let checked = checked.unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic".into());
            Err(Fault::new(Kind::Corrupt, said))
        });
        self.outcome.images += 1;
        if let Err(fault) = checked {
            let name = self.world.sides[side].name;
            let place = format!("step {at}, database {name}, unsynced {cut:?}, opened in {place:?}");
            self.outcome.faults.push(Found { seed: self.seed, place, fault });
        }
    }

    fn check(&mut self, at: usize, side: usize, cut: Cut, place: Place) -> Result<(), Fault> {
        let moment = |side: usize| Moment { at, side: &self.world.sides[side], left: &self.world.left };
        let image = self.disks[side].image(cut, &mut self.random);
        if self.random.below(8) == 0 {
            moment(side).check_backups(&image)?;
        }
        let opened = moment(side).check(&image, place, self.damage)?;
        let awaited = opened.awaited().map_err(|error| Fault::new(Kind::Corrupt, error))?;
        let cut = [!awaited.staged.is_empty(), opened.loading, moment(side).ends_loading()];
        self.count(cut, 0);
        let one_of = if cut.contains(&true) { SYNCED_OF_CUT } else { SYNCED };
        if self.random.below(one_of) == 0 {
            let other = self.partner(side, &awaited);
            let image = self.disks[other].image(Cut::Kept, &mut self.random);
            let there = moment(other).check(&image, Place::Same, None)?;
            let sides = &self.world.sides;
            sync_afterwards((&sides[side], &opened), (&sides[other], &there))?;
            self.outcome.synced += 1;
            self.count(cut, 1);
        }
        Ok(())
    }

    fn count(&mut self, cut: [bool; 3], which: usize) {
        let Outcome { staged, loading, loaded, .. } = &mut self.outcome;
        for (counts, is_one) in [staged, loading, loaded].into_iter().zip(cut) {
            counts[which] += u64::from(is_one);
        }
    }

    /// Whom to sync with: mostly who has the rest of what was cut.
    fn partner(&mut self, side: usize, awaited: &Awaited) -> usize {
        let has_rest = |other: &Side| other.history.iter().any(|facts| awaited.contains(facts.head.life));
        let rest = self.world.sides.iter().position(has_rest).filter(|other| *other != side);
        match rest {
            Some(other) if self.random.chance(75) => other,
            _ => self.world.partner(side, &mut self.random),
        }
    }
}
