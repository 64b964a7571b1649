//! [`play`]: a plot from beginning to end.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};

use crate::checker::{Promise, Violation};
use crate::ending;
use crate::planted::Bug;
use crate::plot::Plot;
use crate::world::{Tally, World};

/// What became of a history.
pub struct Played {
    pub tally: Tally,
    pub violation: Option<Violation>,
    /// What happened, if somebody wanted to hear it.
    pub tale: Vec<String>,
}

thread_local! {
    /// What a panic said while a history is played on this thread.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static PLAYING: Cell<bool> = const { Cell::new(false) };
}

/// Lets a panic of the library be reported with its history, and not before.
pub fn catch_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if PLAYING.get() {
            PANIC.set(Some(info.to_string()));
        } else {
            usual(info);
        }
    }));
}

/// Plays a plot on the library, with a planted bug or without one.
pub fn play(plot: &Plot, bug: Option<Bug>, listens: bool) -> Played {
    let (mut tally, mut tale) = (Tally::default(), Vec::new());
    let whole = AssertUnwindSafe(|| {
        let mut world = World::new(plot, bug, listens);
        let done = world.run().and_then(|()| ending::end(&mut world));
        tally = world.tally;
        tale = world.tale.take().unwrap_or_default();
        done
    });
    PLAYING.set(true);
    let done = panic::catch_unwind(whole);
    PLAYING.set(false);
    let violation = match done {
        Ok(done) => done.err(),
        Err(_) => Some(Violation::new(Promise::NoPanic, PANIC.take().unwrap_or_default())),
    };
    Played { tally, violation, tale }
}
