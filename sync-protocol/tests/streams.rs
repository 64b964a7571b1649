//! The framing of streams, and what does not belong there.
#![allow(missing_docs)]

mod support;

use std::io::{Cursor, Read, Write};

use support::{START_MS, assert_equal, or_under_miri, replica, set};
use sync_protocol::drive::{StreamError, exchange, read_message, write_message};
use sync_protocol::{Config, Session};

#[test]
fn messages_round_trip_up_to_the_limit_and_not_one_past_it() {
    for len in [1, 127, 128, 16_383, 16_384, 100_000] {
        let message = vec![7; len];
        let mut framed = Vec::new();
        write_message(&mut framed, &message).unwrap();
        let back = read_message(&mut Cursor::new(&framed), len).unwrap();
        assert_eq!(back, Some(message));
        assert!(matches!(read_message(&mut Cursor::new(&framed), len - 1), Err(StreamError::Framing)));
        for cut in [0, 1, framed.len() / 2, framed.len() - 1] {
            assert!(matches!(read_message(&mut Cursor::new(&framed[..cut]), len), Err(StreamError::Io(_))));
        }
    }
    let endless = [0xff; 5];
    assert!(matches!(read_message(&mut Cursor::new(&endless), usize::MAX), Err(StreamError::Framing)));
}

/// What somebody else says, while what we say goes nowhere.
struct Stranger(Cursor<Vec<u8>>);

impl Read for Stranger {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Stranger {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stranger_on_the_line_is_an_error_and_changes_nothing() {
    let mut a = replica(1);
    set(&mut a, 1, 0, "title", "mine");
    let before = a.canonical_bytes().unwrap();
    let sayings: [&[u8]; 6] = [
        b"",
        b"GET / HTTP/1.1\r\nHost: example\r\n\r\n",
        &[0, 7],
        &[0, 1],
        &[0xff; 100],
        &[3, 1, 2, 3, 0, 0],
    ];
    for (saying, first) in sayings.into_iter().flat_map(|saying| [(saying, true), (saying, false)]) {
        let mut session = Session::new(Config::new(1), START_MS);
        let mut line = Stranger(Cursor::new(saying.to_vec()));
        let ended = exchange(&mut session, &mut a, &mut line, first, || START_MS);
        assert!(ended.is_err(), "{saying:?}");
        assert_eq!(a.canonical_bytes().unwrap(), before);
    }
}

/// One end of a pipe in memory.
struct Pipe {
    to: std::sync::mpsc::Sender<Vec<u8>>,
    from: std::sync::mpsc::Receiver<Vec<u8>>,
    rest: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.rest.is_empty() {
            self.rest = self.from.recv().unwrap_or_default();
        }
        // A byte at a time now and then: a stream owes nobody whole messages.
        let len = buffer.len().min(self.rest.len()).min(if self.rest.len().is_multiple_of(3) {
            1
        } else {
            1 << 16
        });
        buffer[..len].copy_from_slice(&self.rest[..len]);
        self.rest.drain(..len);
        Ok(len)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.to.send(bytes.to_vec()).map_err(|_| std::io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn both_ends_of_a_stream_come_to_the_same_end() {
    for documents in [0, 1, or_under_miri(700, 15)] {
        let (mut a, mut b) = (replica(1), replica(2));
        for n in 0..documents {
            set(&mut a, n, n, "title", &"from a ".repeat(or_under_miri(600, 60)));
            set(&mut b, n + documents / 2, n, "notes", "from b");
        }
        let ((to_b, at_b), (to_a, at_a)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
        let mut here = Pipe { to: to_b, from: at_a, rest: Vec::new() };
        let mut there = Pipe { to: to_a, from: at_b, rest: Vec::new() };
        let other = std::thread::spawn(move || {
            let mut session = Session::new(Config::new(2), START_MS);
            exchange(&mut session, &mut b, &mut there, false, || START_MS).unwrap();
            assert!(session.is_settled());
            b
        });
        let mut session = Session::new(Config::new(1), START_MS);
        exchange(&mut session, &mut a, &mut here, true, || START_MS).unwrap();
        assert!(session.is_settled());
        let mut b = other.join().unwrap();
        assert_equal(&mut a, &mut b);
        assert_eq!(session.status().peer_root, Some(a.head().unwrap().root));
    }
}

/// Every length has one form: two that both read a stream cannot understand it differently.
#[test]
fn a_length_in_a_longer_form_is_no_length() {
    for framed in [&[0x81, 0, b'x'][..], &[0x80, 0, 1], &[0x81, 0x80, 0, b'x']] {
        let read = read_message(&mut &*framed, 4 << 20);
        assert!(matches!(read, Err(StreamError::Framing)), "{framed:x?}: {read:?}");
    }
    assert_eq!(read_message(&mut &[1, b'x'][..], 4 << 20).unwrap(), Some(b"x".to_vec()));
}
