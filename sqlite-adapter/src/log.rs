//! The change order. A step goes to the end of `tail` in the head row, which every transaction writes anyway; a tail that
//! has grown becomes a row of `rejoin_log`, which is only appended to.

use crdt_core::codec::{Reader, put_unsigned};
use crdt_core::{Address, Dot, LogRecord};
use rusqlite::Connection;

use crate::dictionary::Numbers;
use crate::documents::{Documents, saturated};
use crate::error::{Failure, corrupt};

/// A tail is moved when it exceeds this: the head row stays within its page, and of log rows two fit one page of 4,096
/// bytes.
const TAIL_BYTES: usize = 2000;

/// The end of the change order, as the open transaction has it.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    /// `bytes` is what this transaction sees.
    read: bool,
    /// The head row does not have it yet.
    changed: bool,
}

impl Tail {
    /// Starts a transaction. `known` says that what an earlier one saw is what this one would read.
    pub(crate) fn begin(&mut self, known: bool) {
        (self.read, self.changed) = (self.read && known, false);
    }

    /// Takes over what was read along with the head, unless there is something newer.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        if !self.read {
            self.bytes.clear();
            self.bytes.extend_from_slice(bytes);
            self.read = true;
        }
    }

    /// What has to be written along with the head.
    pub(crate) fn changed(&self) -> Option<&[u8]> {
        self.changed.then_some(&*self.bytes)
    }

    /// It was written.
    pub(crate) fn written(&mut self) {
        self.changed = false;
    }

    fn load(&mut self, connection: &Connection) -> Result<(), Failure> {
        if self.read {
            return Ok(());
        }
        let mut select = connection.prepare_cached("SELECT tail FROM rejoin_head WHERE one = 1")?;
        let mut rows = select.query([])?;
        let head = rows.next()?.ok_or_else(|| corrupt("the head is missing"))?;
        self.take(head.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
        Ok(())
    }

    pub(crate) fn append(
        &mut self,
        connection: &Connection,
        numbers: &mut Numbers,
        documents: &mut Documents,
        record: &LogRecord,
    ) -> Result<(), Failure> {
        self.load(connection)?;
        let mut step = Vec::with_capacity(16 + 2 * record.documents.len());
        put_unsigned(&mut step, record.sequence);
        put_unsigned(&mut step, record.dots.len() as u64);
        for dot in &record.dots {
            put_unsigned(&mut step, numbers.replica(connection, dot.replica)?);
            put_unsigned(&mut step, dot.counter);
        }
        let rows: Result<Vec<i64>, Failure> =
            record.documents.iter().map(|address| documents.row_of(connection, numbers, address)).collect();
        let mut rows = rows?;
        rows.sort_unstable();
        let mut last = 0;
        for row in rows {
            put_unsigned(&mut step, (row - last).cast_unsigned());
            last = row;
        }
        put_unsigned(&mut self.bytes, step.len() as u64);
        self.bytes.extend_from_slice(&step);
        self.changed = true;
        if self.bytes.len() > TAIL_BYTES {
            let mut insert =
                connection.prepare_cached("INSERT INTO rejoin_log (last, steps) VALUES (?, ?)")?;
            insert.execute((saturated(record.sequence), &self.bytes))?;
            self.bytes.clear();
        }
        Ok(())
    }

    /// The next steps after a position.
    pub(crate) fn after(
        &mut self,
        connection: &Connection,
        numbers: &mut Numbers,
        documents: &mut Documents,
        sequence: u64,
        limit: usize,
    ) -> Result<Vec<LogRecord>, Failure> {
        self.load(connection)?;
        let mut found = Vec::new();
        let mut take = |steps: &[u8]| -> Result<bool, Failure> {
            for step in Steps::new(steps) {
                if found.len() == limit {
                    return Ok(true);
                }
                let step = step?;
                if Step::sequence_of(step)? > sequence {
                    found.push(Step::read(step)?.record(connection, numbers, documents)?);
                }
            }
            Ok(found.len() == limit)
        };
        // Most readers are nearly at the end.
        if !self.reaches_back_to(sequence)? {
            let mut select =
                connection.prepare_cached("SELECT steps FROM rejoin_log WHERE last > ? ORDER BY last")?;
            let mut rows = select.query([saturated(sequence)])?;
            while let Some(row) = rows.next()? {
                if take(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)? {
                    return Ok(found);
                }
            }
        }
        take(&self.bytes)?;
        Ok(found)
    }

    /// Whether all steps after a position are here, and none in a row of the log.
    fn reaches_back_to(&self, sequence: u64) -> Result<bool, Failure> {
        let first = Steps::new(&self.bytes).next().transpose()?;
        let first = first.map(Step::sequence_of).transpose()?;
        Ok(first.is_some_and(|first| first <= sequence.saturating_add(1)))
    }

    /// Calls `visit` for every step there is, or for what is damaged among them, with the row it is in (0: the tail).
    pub(crate) fn visit(
        &mut self,
        connection: &Connection,
        visit: &mut dyn FnMut(i64, Result<Step, Failure>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.load(connection)?;
        let mut select = connection.prepare("SELECT last, steps FROM rejoin_log ORDER BY last")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (last, steps) = (row.get(0)?, row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?);
            Steps::new(steps).try_for_each(|step| visit(last, step.and_then(Step::read)))?;
        }
        Steps::new(&self.bytes).try_for_each(|step| visit(0, step.and_then(Step::read)))
    }
}

/// A step as it is stored.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) sequence: u64,
    /// The numbers of their replicas, and the counters.
    pub(crate) dots: Vec<(u64, u64)>,
    pub(crate) rows: Vec<i64>,
}

impl Step {
    /// The position alone, with which a step begins.
    fn sequence_of(bytes: &[u8]) -> Result<u64, Failure> {
        Ok(Reader::new(bytes).unsigned("the position of a step")?)
    }

    fn read(bytes: &[u8]) -> Result<Self, Failure> {
        let mut reader = Reader::new(bytes);
        let sequence = reader.unsigned("the position of a step")?;
        let mut dots = Vec::new();
        for _ in 0..reader.count("the dots of a step")? {
            dots.push((reader.unsigned("a dot")?, reader.unsigned("a dot")?));
        }
        let (mut rows, mut last) = (Vec::new(), 0i64);
        while reader.remaining() > 0 {
            let difference = reader.unsigned("a row")?.cast_signed();
            last = last.checked_add(difference).ok_or_else(|| corrupt("a row number beyond 63 bits"))?;
            rows.push(last);
        }
        Ok(Self { sequence, dots, rows })
    }

    fn record(
        self,
        connection: &Connection,
        numbers: &mut Numbers,
        documents: &mut Documents,
    ) -> Result<LogRecord, Failure> {
        let Self { sequence, dots, rows } = self;
        let dots = dots
            .into_iter()
            .map(|(number, counter)| Ok(Dot::new(numbers.replica_numbered(connection, number)?, counter)));
        let dots: Result<_, Failure> = dots.collect();
        let mut addresses: Vec<Address> = Vec::with_capacity(rows.len());
        for row in rows {
            // One that was evicted since is not there.
            addresses.extend(documents.address_of(connection, numbers, row)?);
        }
        // Rows are in the order in which the documents came into being.
        addresses.sort();
        Ok(LogRecord { sequence, dots: dots?, documents: addresses })
    }
}

/// Takes a tail, or a row of the log, apart.
struct Steps<'b> {
    reader: Reader<'b>,
}

impl<'b> Steps<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        Self { reader: Reader::new(bytes) }
    }
}

impl<'b> Iterator for Steps<'b> {
    type Item = Result<&'b [u8], Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.remaining() == 0 {
            return None;
        }
        let step = self.reader.bytes("a step", usize::MAX);
        if step.is_err() {
            // What follows cannot be found.
            self.reader = Reader::new(&[]);
        }
        Some(step.map_err(Failure::from))
    }
}
