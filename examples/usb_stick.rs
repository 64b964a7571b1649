//! Two databases that never meet: a boat and an office, and a stick that somebody carries when there is time.
//!
//! `cargo run --example usb_stick`

use std::error::Error;
use std::path::Path;

use rejoin::{Collection, Database, DocumentId, FieldType, For};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let stick = folder.path().join("stick");
    std::fs::create_dir(&stick)?;
    let boat = open(&folder.path().join("boat.db"))?;
    let office = open(&folder.path().join("office.db"))?;

    // Nobody knows anybody yet, so the first bundle is for anyone who gets it.
    let engine = log(&boat, "engine", "oil changed")?;
    boat.export_changes(stick.join("boat 1"), &For::Anyone)?;
    println!("The boat writes the file \"boat 1\" for anyone; the stick goes to the office.");
    import("the office", &office, &stick.join("boat 1"))?;

    // In the office somebody writes into the same document, and prepares the answer. It also tells how far the office has
    // come, so that the boat's next bundle for the office holds only what is new.
    log(&office, "engine", "spare filter ordered")?;
    office.export_changes(stick.join("office 1"), &For::Peer(boat.replica_id()?))?;
    println!("The office answers with \"office 1\", for the boat; at sea the boat goes on writing.");

    // At sea, meanwhile.
    log(&boat, "engine", "noise at 2,000 rpm")?;
    log(&boat, "sails", "tear in the genoa")?;

    // Back in the harbour: the stick is read, and by mistake read again.
    import("the boat", &boat, &stick.join("office 1"))?;
    import("the boat, by mistake again,", &boat, &stick.join("office 1"))?;
    let to_office = For::Peer(office.replica_id()?);
    boat.export_changes(stick.join("boat 2"), &to_office)?;
    log(&boat, "sails", "genoa repaired")?;
    boat.export_changes(stick.join("boat 3"), &to_office)?;

    // Three sticks later, in the wrong order and with an old one among them.
    println!("The boat writes \"boat 2\" and \"boat 3\" for the office, which gets them out of order.");
    for name in ["boat 3", "boat 1", "boat 2", "boat 3"] {
        import("the office", &office, &stick.join(name))?;
    }

    let notes = office.get("log", engine)?.ok_or("the engine's log is gone")?;
    println!("The engine's log in the office:");
    for note in notes.elements("notes") {
        println!("  {note:?}");
    }
    assert_eq!(boat.root()?, office.root()?);
    println!("Boat and office hold the same; both have the fingerprint {}.", boat.root()?);

    // A bundle that was made for the office leaves a gap for anyone else. It says so, and claims nothing.
    let agent = open(&folder.path().join("agent.db"))?;
    let imported = agent.import_changes(stick.join("boat 3"))?;
    let missing = imported.missing.ok_or("a stranger cannot have had what came before")?;
    println!("An agent who gets \"boat 3\", which was made for the office, is told: {missing}");
    boat.export_changes(stick.join("boat 4"), &For::Anyone)?;
    println!("The boat writes \"boat 4\" for anyone.");
    import("the agent", &agent, &stick.join("boat 4"))?;
    assert_eq!(agent.root()?, office.root()?);

    // A damaged file changes nothing.
    let mut bytes = std::fs::read(stick.join("boat 4"))?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    println!("Of a damaged copy of it: {}", agent.import_changes_from(bytes.as_slice()).unwrap_err());
    assert_eq!(agent.root()?, office.root()?);
    Ok(())
}

fn open(path: &Path) -> Result<Database, rejoin::Error> {
    let db = Database::open(path)?;
    db.declare(Collection::new("log").field("notes", FieldType::Set))?;
    Ok(db)
}

/// Both sides name the document by the thing it is about, so that it is one document wherever it is written first.
fn log(db: &Database, about: &str, note: &str) -> Result<DocumentId, rejoin::Error> {
    db.commit(|tx| {
        let mut document = tx.create_with_key("log", about)?;
        document.add_to("notes", note)?;
        Ok(document.id())
    })
}

fn import(who: &str, db: &Database, file: &Path) -> Result<(), rejoin::Error> {
    let imported = db.import_changes(file)?;
    let gap = imported.missing.map_or(String::new(), |missing| format!("; {missing}"));
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let news = match imported.cells {
        0 => "nothing new".to_owned(),
        cells => format!("{cells} new piece(s): notes, and the documents that they are in"),
    };
    println!("  {who} reads \"{name}\": {news}{gap}");
    Ok(())
}
