//! A transport of one's own: two databases sync through a folder. Each message is a file, so it would work over a shared
//! drive, a memory card, a mailbox. Whatever carries bytes in order can be used like this.
//!
//! `cargo run --example any_transport`

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rejoin::Database;
use rejoin::protocol::drive::Endpoint;
use rejoin::protocol::{Config, Session};

/// One direction: files that count up.
struct Letters {
    folder: PathBuf,
    next: u64,
}

impl Letters {
    fn new(folder: &Path) -> std::io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), next: 0 })
    }

    fn send(&mut self, message: &[u8]) -> std::io::Result<()> {
        // Under another name first, so that nobody reads half a letter.
        fs::write(self.folder.join("writing"), message)?;
        fs::rename(self.folder.join("writing"), self.folder.join(self.next.to_string()))?;
        self.next += 1;
        Ok(())
    }

    fn receive(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let letter = self.folder.join(self.next.to_string());
        if !letter.exists() {
            return Ok(None);
        }
        self.next += 1;
        let message = fs::read(&letter)?;
        fs::remove_file(letter)?;
        Ok(Some(message))
    }
}

/// One side: says all that it has to say, then hears all that came. True when anything moved.
fn turn(
    session: &mut Session,
    replica: &mut impl Endpoint,
    to: &mut Letters,
    from: &mut Letters,
) -> Result<bool, Box<dyn Error>> {
    let mut moved = false;
    while let Some(message) = replica.with(|replica| session.transmit(replica, now_ms()))? {
        to.send(&message)?;
        moved = true;
    }
    while let Some(message) = from.receive()? {
        replica.with(|replica| session.receive(replica, &message, now_ms()))?;
        moved = true;
    }
    Ok(moved)
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let phone = Database::open(folder.path().join("phone.db"))?;
    let laptop = Database::open(folder.path().join("laptop.db"))?;
    for (db, title) in [(&phone, "written on the phone"), (&laptop, "written on the laptop")] {
        db.commit(|tx| tx.create("notes")?.set("title", title).map_err(Into::into))?;
    }

    let (up, down) = (folder.path().join("to laptop"), folder.path().join("to phone"));
    let mut phone_out = Letters::new(&up)?;
    let mut phone_in = Letters::new(&down)?;
    let mut laptop_out = Letters::new(&down)?;
    let mut laptop_in = Letters::new(&up)?;

    // A session wants 64 random bits of its own; two that differ are enough for an example.
    let mut at_phone = Session::new(Config::new(1), now_ms());
    let mut at_laptop = Session::new(Config::new(2), now_ms());
    let (mut here, mut there) = (phone.endpoint(), laptop.endpoint());
    while turn(&mut at_phone, &mut here, &mut phone_out, &mut phone_in)?
        | turn(&mut at_laptop, &mut there, &mut laptop_out, &mut laptop_in)?
    {}

    assert!(at_phone.is_settled() && at_laptop.is_settled());
    for note in laptop.list("notes") {
        println!("on the laptop: {:?}", note?.1.to_value());
    }
    let traffic = at_phone.status().traffic;
    let letters = traffic.messages_sent + traffic.messages_received;
    println!("{letters} letters, {} bytes", traffic.bytes_sent + traffic.bytes_received);
    assert_eq!(phone.root()?, laptop.root()?);
    println!("both hold {}", phone.root()?);
    Ok(())
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
