//! [`Plot`]: everything that is going to happen in a history, as plain data, so that a failing one can be made smaller by
//! leaving things out. What happens *because* of it is the world's.

use std::collections::BTreeSet;
use std::fmt;

use crate::words::{Doc, Edit, START_MS, Schema};

/// A network and what happens to it.
#[derive(Clone, Debug)]
pub struct Plot {
    pub seed: u64,
    /// Every device that ever plays a part; a clone appears when it is made.
    pub cast: Vec<Cast>,
    pub docs: Vec<Doc>,
    /// In the end, a device whose clock was ahead edits something before another one does.
    pub tests_clocks: bool,
    /// The first device judges what the others bring, and they meet nobody else.
    pub guarded: bool,
    /// In the order of time.
    pub scenes: Vec<Scene>,
}

/// A device.
#[derive(Clone, Debug)]
pub struct Cast {
    pub schema: Schema,
    /// Its file is real.
    pub sqlite: bool,
    /// Its clock minus the true time.
    pub skew_ms: i64,
    /// It is a copy of another one and is not there before it is made.
    pub clone: bool,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Since the history began.
    pub at_ms: u64,
    pub event: Event,
}

#[derive(Clone, Debug)]
pub enum Event {
    Commit(Commit),
    Meet(Meet),
    /// Nothing passes between those in `side` (a bit each) and the others.
    Partition {
        side: u32,
        for_ms: u64,
    },
    Crash {
        at: usize,
        down_ms: u64,
    },
    /// The file is copied.
    Copy {
        at: usize,
    },
    /// The file is replaced by its last copy. A copy that is not noticed looks like the file itself.
    Restore {
        at: usize,
        noticed: bool,
    },
    /// The last copy of a device's file becomes a device.
    Clone {
        of: usize,
        to: usize,
        noticed: bool,
    },
    /// A clock jumps by so much.
    Jump {
        at: usize,
        by_ms: i64,
    },
    Freeze {
        at: usize,
        for_ms: u64,
    },
    /// A clock is put right.
    Correct {
        at: usize,
    },
    /// A peer of a newer protocol says hello.
    Stranger {
        at: usize,
    },
    Leave {
        at: usize,
    },
    /// All that is shown is compared with what should be.
    Look {
        at: usize,
    },
}

/// A transaction.
#[derive(Clone, Debug)]
pub struct Commit {
    pub at: usize,
    pub edits: Vec<Edit>,
    /// It is to survive a power failure when it returns.
    pub durable: bool,
    /// The closure fails at its end.
    pub abort: bool,
}

/// Two devices are connected.
#[derive(Clone, Debug)]
pub struct Meet {
    pub ends: [usize; 2],
    pub weather: Weather,
    /// The connection ends by itself after so long.
    pub for_ms: u64,
    /// Of its accidents.
    pub seed: u64,
}

/// What a connection does to messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weather {
    pub latency_ms: u64,
    /// In so many of a hundred cases each.
    pub loss: usize,
    pub duplication: usize,
    pub reordering: usize,
    pub corruption: usize,
    /// It ends after so many messages.
    pub cut_after: Option<u64>,
    /// How many messages may be under way in each direction.
    pub room: usize,
    /// The second end reads so late.
    pub reads_late_ms: u64,
}

impl Weather {
    /// Nothing goes wrong.
    pub const FAIR: Self = Self {
        latency_ms: 10,
        loss: 0,
        duplication: 0,
        reordering: 0,
        corruption: 0,
        cut_after: None,
        room: 64,
        reads_late_ms: 0,
    };
}

impl Event {
    /// Who takes part.
    pub fn actors(&self) -> Vec<usize> {
        match self {
            Self::Commit(commit) => vec![commit.at],
            Self::Meet(meet) => meet.ends.to_vec(),
            Self::Partition { .. } => Vec::new(),
            Self::Clone { of, to, .. } => vec![*of, *to],
            Self::Crash { at, .. }
            | Self::Copy { at }
            | Self::Restore { at, .. }
            | Self::Jump { at, .. }
            | Self::Freeze { at, .. }
            | Self::Correct { at }
            | Self::Stranger { at }
            | Self::Leave { at }
            | Self::Look { at } => vec![*at],
        }
    }
}

/// What devices are called in a story.
#[derive(Clone, Copy)]
pub struct Who(pub usize);

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 12] =
            ["ada", "bob", "cy", "dot", "eve", "flo", "gus", "hal", "ida", "jon", "kim", "lea"];
        f.write_str(NAMES[self.0 % NAMES.len()])
    }
}

/// A span of time as people say it.
pub struct Span(pub i64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ms, size) = (self.0, self.0.unsigned_abs());
        match size {
            0..10_000 => write!(f, "{ms} ms"),
            10_000..600_000 => write!(f, "{} s", ms / 1_000),
            600_000..259_200_000 => write!(f, "{} min", ms / 60_000),
            259_200_000..63_072_000_000 => write!(f, "{} days", ms / 86_400_000),
            _ => write!(f, "{} years", ms / 31_557_600_000),
        }
    }
}

fn span(ms: u64) -> Span {
    Span(ms.cast_signed())
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match (self.abort, self.durable) {
            (true, _) => "begins and aborts",
            (false, true) => "commits durably",
            (false, false) => "commits",
        };
        write!(f, "{} {how}", Who(self.at))?;
        let edits = self.edits.iter().enumerate();
        for (n, edit) in edits {
            let said = edit.to_string();
            // Long texts are only there for their length.
            let shortened =
                if said.len() > 200 { said.chars().take(60).chain(" …".chars()).collect() } else { said };
            write!(f, "{} {shortened}", if n == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} away", span(self.latency_ms))?;
        let accidents = [
            (self.loss, "lost"),
            (self.duplication, "repeated"),
            (self.reordering, "overtaken"),
            (self.corruption, "damaged"),
        ];
        for (percent, what) in accidents.into_iter().filter(|(percent, _)| *percent > 0) {
            write!(f, ", {percent} % {what}")?;
        }
        if let Some(messages) = self.cut_after {
            write!(f, ", cut after {messages} messages")?;
        }
        if self.reads_late_ms > 0 {
            write!(f, ", one reads {} late, {} at a time", span(self.reads_late_ms), self.room)?;
        }
        Ok(())
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = |noticed: &bool| if *noticed { "" } else { ", unnoticed" };
        match self {
            Self::Commit(commit) => commit.fmt(f),
            Self::Meet(Meet { ends: [one, other], weather, for_ms, .. }) => {
                write!(f, "{} meets {} for {}: {weather}", Who(*one), Who(*other), span(*for_ms))
            }
            Self::Partition { side, for_ms } => {
                let names = (0..32).filter(|at| side >> at & 1 == 1).map(|at| Who(at).to_string());
                let names: Vec<String> = names.collect();
                write!(f, "{} are cut off from the others for {}", names.join(", "), span(*for_ms))
            }
            Self::Crash { at, down_ms } => write!(f, "{} crashes, for {}", Who(*at), span(*down_ms)),
            Self::Copy { at } => write!(f, "the file of {} is copied", Who(*at)),
            Self::Restore { at, noticed } => {
                write!(f, "the file of {} is replaced by its copy{}", Who(*at), how(noticed))
            }
            Self::Clone { of, to, noticed } => {
                write!(f, "the copy of {} becomes {}{}", Who(*of), Who(*to), how(noticed))
            }
            Self::Jump { at, by_ms } => write!(f, "the clock of {} jumps by {}", Who(*at), Span(*by_ms)),
            Self::Freeze { at, for_ms } => {
                write!(f, "the clock of {} stands still for {}", Who(*at), span(*for_ms))
            }
            Self::Correct { at } => write!(f, "the clock of {} is put right", Who(*at)),
            Self::Stranger { at } => write!(f, "a peer of a newer protocol says hello to {}", Who(*at)),
            Self::Leave { at } => write!(f, "{} leaves for good", Who(*at)),
            Self::Look { at } => write!(f, "{} looks", Who(*at)),
        }
    }
}

/// The true time at a moment of a history.
pub const fn true_ms(at_ms: u64) -> u64 {
    START_MS + at_ms
}

impl Plot {
    /// Files are copied in it.
    pub fn has_copies(&self) -> bool {
        self.scenes.iter().any(|scene| matches!(scene.event, Event::Restore { .. } | Event::Clone { .. }))
    }

    /// Who takes part in any scene.
    pub fn actors(&self) -> BTreeSet<usize> {
        self.scenes.iter().flat_map(|scene| scene.event.actors()).collect()
    }

    /// The collections and fields that are edited.
    pub fn edits(&self) -> BTreeSet<(&'static str, &'static str)> {
        let commits = self.scenes.iter().filter_map(|scene| match &scene.event {
            Event::Commit(commit) => Some(commit),
            _ => None,
        });
        let edits = commits.flat_map(|commit| &commit.edits);
        edits
            .flat_map(|edit| {
                let names = edit.at.iter().copied().chain(edit.action.field());
                names.map(|name| (edit.doc.collection, name))
            })
            .collect()
    }
}
