//! The change order: one row per transaction, appended and never changed.

use crdt_core::codec::{Reader, put_unsigned};
use crdt_core::{Address, Dot, LogRecord};
use rusqlite::Connection;

use crate::dictionary::Numbers;
use crate::documents::{Documents, saturated};
use crate::error::{Failure, corrupt};

pub(crate) fn append(
    connection: &Connection,
    numbers: &mut Numbers,
    documents: &mut Documents,
    record: &LogRecord,
) -> Result<(), Failure> {
    let mut step = Vec::with_capacity(8 + 2 * record.documents.len());
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
    let mut insert = connection.prepare_cached("INSERT INTO rejoin_log (sequence, step) VALUES (?, ?)")?;
    insert.execute((saturated(record.sequence), step))?;
    Ok(())
}

/// The next steps after a position.
pub(crate) fn after(
    connection: &Connection,
    numbers: &Numbers,
    documents: &mut Documents,
    sequence: u64,
    limit: usize,
) -> Result<Vec<LogRecord>, Failure> {
    let sql = "SELECT sequence, step FROM rejoin_log WHERE sequence > ? ORDER BY sequence LIMIT ?";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query((saturated(sequence), saturated(limit)))?;
    let mut steps = Vec::new();
    while let Some(row) = rows.next()? {
        let sequence = row.get::<_, i64>(0)?.cast_unsigned();
        let (dots, touched) = read_step(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?;
        let dots = dots
            .into_iter()
            .map(|(number, counter)| Ok(Dot::new(numbers.replica_numbered(number)?, counter)));
        let dots: Result<_, Failure> = dots.collect();
        let mut addresses: Vec<Address> = Vec::with_capacity(touched.len());
        for row in touched {
            let address = documents.address_of(connection, numbers, row)?;
            addresses
                .push(address.ok_or_else(|| corrupt(format_args!("step {sequence} touches no document")))?);
        }
        // Rows are in the order in which the documents came into being.
        addresses.sort();
        steps.push(LogRecord { sequence, dots: dots?, documents: addresses });
    }
    Ok(steps)
}

/// A step as it is stored: dots with their replicas' numbers, and rows.
type Step = (Vec<(u64, u64)>, Vec<i64>);

pub(crate) fn read_step(step: &[u8]) -> Result<Step, Failure> {
    let mut reader = Reader::new(step);
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
    Ok((dots, rows))
}
