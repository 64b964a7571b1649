//! The disk is full at every write of a workload: each call fails with the typed error, changes nothing, and works once
//! there is room.

use crate::app::Trouble;
use crate::campaign::folder;
use crate::facts::Look;
use crate::record::{self, Lie};
use crate::world::{Mistake, World};

/// Plays a workload, and each of its steps again and again: with room for no write, for one, for two, until it gets
/// through. Returns how many writes failed.
pub fn every_write(seed: u64, steps: usize) -> Result<u64, String> {
    let folder = folder();
    record::start(Lie::None);
    let played = play(World::new(folder.path(), seed, Mistake::None), steps);
    record::set_room(None);
    let refused = record::refused();
    record::stop();
    played.map(|()| refused).map_err(|what| format!("{what} (write {refused} that failed)"))
}

fn play(mut world: World, steps: usize) -> Result<(), String> {
    for step in 0..steps {
        let chances = world.chances();
        for room in 0.. {
            world.set_chances(chances.clone());
            let before = states(&world)?;
            record::set_room(Some(room));
            let result = world.step();
            match result {
                Ok(()) => break,
                Err(Trouble::Full) => {}
                Err(Trouble::Fault(what)) => {
                    return Err(format!("step {step}, room for {room} writes: {what}"));
                }
            }
            // Still without room: what there was can be read, and nothing is half done.
            nothing_lost(&world, &before).map_err(|what| format!("step {step}, room for {room}: {what}"))?;
            record::set_room(None);
            sound(&world).map_err(|what| format!("step {step}, room for {room}: {what}"))?;
        }
        record::set_room(None);
        sound(&world).map_err(|what| format!("after step {step}: {what}"))?;
    }
    Ok(())
}

/// How many commits each database has acknowledged, and how far it is.
type States = Vec<Option<(u64, rejoin::core::Head)>>;

fn states(world: &World) -> Result<States, String> {
    let state = |side: &crate::world::Side| {
        let Some(db) = &side.db else { return Ok(None) };
        let Look { head, .. } = Look::at(db).map_err(|error| error.to_string())?;
        Ok(Some((side.history.last().map_or(0, |facts| facts.commits), head)))
    };
    world.sides.iter().map(state).collect()
}

/// A call that failed has changed nothing: a commit no document, a sync at most what it had taken over before.
fn nothing_lost(world: &World, before: &States) -> Result<(), String> {
    for ((side, now), before) in world.sides.iter().zip(states(world)?).zip(before) {
        let (Some((commits, now)), Some((commits_before, before))) = (now, before) else { continue };
        if commits != *commits_before || now.counter < before.counter || now.sequence < before.sequence {
            return Err(format!("{}: {now:?} after a failure, {before:?} before", side.name));
        }
        // The last that was seen of it is what it still is: nothing came in unseen.
        if let Some(last) = side.history.last()
            && (last.head.counter, last.head.sequence, last.head.root)
                != (now.counter, now.sequence, now.root)
        {
            return Err(format!("{}: {now:?} after a failure, {:?} was seen", side.name, last.head));
        }
        if let Some(db) = &side.db {
            side.books.compare(db, commits)?;
        }
    }
    Ok(())
}

fn sound(world: &World) -> Result<(), String> {
    for side in &world.sides {
        let Some(db) = &side.db else { continue };
        let report = db.check().map_err(|error| error.to_string())?;
        if !report.is_sound() {
            return Err(format!("{}: {:?}", side.name, report.problems));
        }
        side.books.compare(db, side.history.last().map_or(0, |facts| facts.commits))?;
    }
    Ok(())
}
