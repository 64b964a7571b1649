//! [`shrink`]: the same violation with less around it.

use crate::checker::Promise;
use crate::guard::SERVER;
use crate::planted::Bug;
use crate::play::play;
use crate::plot::{Event, Plot, Scene, Weather};

/// How many plots are tried before what is left has to do.
const TRIES: usize = 3_000;

/// Leaves out events, then devices, then faults, for as long as the same promise is broken.
pub fn shrink(plot: Plot, bug: Option<Bug>, promise: Promise) -> Plot {
    let mut shrinker = Shrinker { plot, bug, promise, tries: TRIES };
    loop {
        let events = shrinker.drop_scenes();
        let devices = shrinker.drop_devices();
        let simpler = shrinker.simplify();
        if !(events | devices | simpler) || shrinker.tries == 0 {
            return shrinker.plot;
        }
    }
}

struct Shrinker {
    plot: Plot,
    bug: Option<Bug>,
    promise: Promise,
    tries: usize,
}

impl Shrinker {
    /// Keeps another plot if it breaks the same promise.
    fn adopt(&mut self, plot: Plot) -> bool {
        if self.tries == 0 {
            return false;
        }
        self.tries -= 1;
        let broken = play(&plot, self.bug, false).violation;
        let same = broken.is_some_and(|violation| violation.promise == self.promise);
        if same {
            self.plot = plot;
        }
        same
    }

    fn with(&self, scenes: Vec<Scene>) -> Plot {
        Plot { scenes, ..self.plot.clone() }
    }

    /// Leaves out runs of scenes, long ones first, from the end: what comes after the violation is the first to go.
    fn drop_scenes(&mut self) -> bool {
        let mut any = false;
        let mut length = self.plot.scenes.len().div_ceil(2);
        while length > 0 {
            let mut end = self.plot.scenes.len();
            while end > 0 {
                let start = end.saturating_sub(length);
                let mut scenes = self.plot.scenes.clone();
                scenes.drain(start..end.min(scenes.len()));
                any |= self.adopt(self.with(scenes));
                end = start.min(self.plot.scenes.len());
            }
            length = if length == 1 { 0 } else { length.div_ceil(2) };
        }
        any
    }

    /// Leaves out devices: one that is only to appear later never does.
    fn drop_devices(&mut self) -> bool {
        let mut any = false;
        for at in 0..self.plot.cast.len() {
            // Without the server it would be another story.
            if self.plot.cast[at].clone || (self.plot.guarded && at == SERVER) {
                continue;
            }
            let mut plot = self.plot.clone();
            plot.cast[at].clone = true;
            plot.scenes.retain(|scene| !scene.event.actors().contains(&at));
            any |= self.adopt(plot);
        }
        any
    }

    /// Takes faults and edits away one by one, and real files.
    fn simplify(&mut self) -> bool {
        let mut any = false;
        for at in 0..self.plot.cast.len() {
            if self.plot.cast[at].sqlite {
                let mut plot = self.plot.clone();
                plot.cast[at].sqlite = false;
                any |= self.adopt(plot);
            }
            if self.plot.cast[at].skew_ms != 0 {
                let mut plot = self.plot.clone();
                plot.cast[at].skew_ms = 0;
                any |= self.adopt(plot);
            }
        }
        for at in 0..self.plot.scenes.len() {
            for event in simpler(&self.plot.scenes[at].event) {
                let mut scenes = self.plot.scenes.clone();
                scenes[at].event = event;
                any |= self.adopt(self.with(scenes));
            }
        }
        any
    }
}

/// Events with one thing less.
fn simpler(event: &Event) -> Vec<Event> {
    match event {
        Event::Commit(commit) if commit.edits.len() > 1 => {
            let without = |at| {
                let mut less = commit.clone();
                less.edits.remove(at);
                Event::Commit(less)
            };
            (0..commit.edits.len()).map(without).collect()
        }
        Event::Meet(meet) if meet.weather != Weather::FAIR => {
            let fair = Weather::FAIR;
            let clear = |change: &dyn Fn(&mut Weather)| {
                let mut less = meet.clone();
                change(&mut less.weather);
                less
            };
            let all = [
                clear(&|weather| *weather = Weather::FAIR),
                clear(&|weather| weather.loss = 0),
                clear(&|weather| weather.duplication = 0),
                clear(&|weather| weather.reordering = 0),
                clear(&|weather| weather.corruption = 0),
                clear(&|weather| weather.cut_after = None),
                clear(&|weather| (weather.room, weather.reads_late_ms) = (fair.room, fair.reads_late_ms)),
            ];
            all.into_iter().filter(|less| less.weather != meet.weather).map(Event::Meet).collect()
        }
        _ => Vec::new(),
    }
}
