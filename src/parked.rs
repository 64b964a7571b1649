//! What is kept and not shown, and whose clock is to blame.

use crdt_core::{Change, ClockStatus, Committed, ParkedChange, Repair, Replica};

use crate::database::now_ms;
use crate::{Database, Error};

impl Database {
    /// The changes that are kept, passed on and not shown, because the clock of the device that made them was ahead: those
    /// after a change that was listed before, the soonest to be shown first, so many at most. Empty unless a clock is wrong.
    ///
    /// Each is shown when its [time](crdt_core::ParkReason) has come. Nobody has to wait for that: an edit of the fields
    /// wins over it, and [`Database::repair`] decides about it. What of a document is hidden,
    /// [`DocumentView::withheld`](crate::DocumentView::withheld) tells.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn parked(&self, after: Option<&ParkedChange>, limit: usize) -> Result<Vec<ParkedChange>, Error> {
        self.with(|replica| replica.parked(after.map(|parked| &parked.change), limit))
    }

    /// Decides about parked changes for everybody: either what they wrote is shown from now on, or what is shown stays. It
    /// is a commit like any other, and gives the number of cells that it wrote.
    ///
    /// ```
    /// # use rejoin::{Database, Repair};
    /// # fn example(db: &Database) -> Result<(), rejoin::Error> {
    /// let parked = db.parked(None, 100)?;
    /// for change in &parked {
    ///     println!("{:?} set its clock to {} ms", change.change.replica(), change.change.stamp.hlc.ms());
    /// }
    /// db.repair(&parked, Repair::TakeOver)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] and [`Error::Clock`]; nothing was changed.
    pub fn repair(&self, parked: &[ParkedChange], repair: Repair) -> Result<Committed<u64>, Error> {
        let changes: Vec<Change> = parked.iter().map(|parked| parked.change).collect();
        self.with(|replica| replica.repair(&changes, repair, now_ms(), self.durability()))
    }

    /// What is known of this device's clock: whether most peers agree that it is wrong, and by how much it is corrected.
    /// The clock of the computer stays as it is; if it can be set right, do that.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn clock(&self) -> Result<ClockStatus, Error> {
        self.with(Replica::clock_status)
    }
}
