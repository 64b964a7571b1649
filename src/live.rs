//! Sync in async programs.

use sync_protocol::drive::{Messages, Until, Wake, converse};

use crate::database::now_ms;
use crate::sync::{Heard, Shared};
use crate::{Database, Error, SyncOptions, SyncReport};

impl Database {
    /// Syncs over an async transport, until both sides have everything, or for as long as it stands: what is committed on
    /// either side is then pushed to the other at once. The other end does the same, with whichever [`Until`] it likes; a
    /// blocking [`Database::sync`] cannot be at the other end, because it takes turns.
    ///
    /// `line` is a byte stream that was [`framed`](sync_protocol::drive::framed), with the feature `websocket` a web
    /// socket, or an own implementation of [`Messages`]. [`Wake::end`] ends it from outside; to drop the future cuts the
    /// connection, and the next sync resumes.
    ///
    /// The steps with the database block the task for the time of a small transaction each, and of one large transaction
    /// at the end of a large sync that is not the first. If other tasks cannot wait for that, give it a thread of its own.
    ///
    /// ```no_run
    /// # use rejoin::Database;
    /// use rejoin::SyncOptions;
    /// use rejoin::protocol::drive::{Until, Wake, framed};
    ///
    /// # async fn example(db: Database) -> Result<(), rejoin::Error> {
    /// let stream = tokio::net::TcpStream::connect("hub.local:7045").await?;
    /// let mut line = framed(stream);
    /// let report = db.converse(&mut line, &SyncOptions::new(), Until::Settled, &Wake::new()).await?;
    /// println!("{} cells changed here", report.cells_received);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Sync`]; what was applied before stays.
    pub async fn converse(
        &self,
        line: &mut impl Messages,
        options: &SyncOptions,
        until: Until,
        wake: &Wake,
    ) -> Result<SyncReport, Error> {
        let (mut session, mut heard) = (self.session(options)?, Heard::default());
        // Commits of this process ring, wherever they are made, and so does what other conversations bring.
        let bell = wake.clone();
        let _watch = self.watch(move |_| bell.ring());
        converse(&mut session, &mut Shared(self), line, until, wake, now_ms(), |event| heard.event(event))
            .await?;
        self.report(&session, heard)
    }
}
