//! [`Fault`]: what can go wrong in a simulated network, by name.

use std::fmt;

/// A class of faults. Each can be left out of a campaign by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nothing passes between two groups of devices for a while.
    Partition,
    /// A message vanishes.
    Loss,
    /// A message arrives twice.
    Duplication,
    /// A message overtakes another one.
    Reordering,
    /// A bit of a message flips, or its end is missing.
    Corruption,
    /// A connection ends in the middle.
    Cut,
    /// A process ends; what was not durable is lost with it.
    Crash,
    /// A copy of a file goes on living beside the original, which its next opening notices.
    Clone,
    /// An old copy replaces a file, which its next opening notices.
    Restore,
    /// Clones and restores that nothing but a handshake can notice: a machine went back to its snapshot.
    Rollback,
    /// A clock is wrong from the start, by up to ten years.
    Skew,
    /// A clock jumps.
    Jump,
    /// A clock stands still.
    Freeze,
    /// A clock that was wrong is put right, and others edit what its device edits.
    Correction,
    /// Devices declare different schemas; a peer speaks a newer protocol.
    Versions,
    /// A peer reads little at a time, and late.
    Slow,
    /// A device leaves for good.
    Leave,
    /// The first device judges what the others bring, and refuses some.
    Guard,
}

impl Fault {
    pub const ALL: [Self; 18] = [
        Self::Partition,
        Self::Loss,
        Self::Duplication,
        Self::Reordering,
        Self::Corruption,
        Self::Cut,
        Self::Crash,
        Self::Clone,
        Self::Restore,
        Self::Rollback,
        Self::Skew,
        Self::Jump,
        Self::Freeze,
        Self::Correction,
        Self::Versions,
        Self::Slow,
        Self::Leave,
        Self::Guard,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Partition => "partition",
            Self::Loss => "loss",
            Self::Duplication => "duplication",
            Self::Reordering => "reordering",
            Self::Corruption => "corruption",
            Self::Cut => "cut",
            Self::Crash => "crash",
            Self::Clone => "clone",
            Self::Restore => "restore",
            Self::Rollback => "rollback",
            Self::Skew => "skew",
            Self::Jump => "jump",
            Self::Freeze => "freeze",
            Self::Correction => "correction",
            Self::Versions => "versions",
            Self::Slow => "slow",
            Self::Leave => "leave",
            Self::Guard => "guard",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What the library does not promise yet, and why. These are left out unless they are asked for by name.
pub const NOT_YET: [(Fault, &str); 0] = [];

/// Some of the classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults(u32);

impl Faults {
    pub const NONE: Self = Self(0);

    /// All that the library is to stand now.
    pub fn promised() -> Self {
        let mut all = Self::NONE;
        for fault in Fault::ALL {
            all.insert(fault);
        }
        for (fault, _) in NOT_YET {
            all.remove(fault);
        }
        all
    }

    pub const fn has(self, fault: Fault) -> bool {
        self.0 >> fault as u32 & 1 == 1
    }

    pub fn insert(&mut self, fault: Fault) {
        self.0 |= 1 << fault as u32;
    }

    pub fn remove(&mut self, fault: Fault) {
        self.0 &= !(1 << fault as u32);
    }
}

/// How often each class struck.
#[derive(Clone, Copy, Debug, Default)]
pub struct Strikes([u64; Fault::ALL.len()]);

impl Strikes {
    pub fn count(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
    }

    pub fn iter(&self) -> impl Iterator<Item = (Fault, u64)> + '_ {
        Fault::ALL.into_iter().map(|fault| (fault, self.0[fault as usize]))
    }
}
