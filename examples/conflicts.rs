//! What happens when the same field is edited on two devices at the same time, by the type of the field.
//!
//! `cargo run --example conflicts`

use std::error::Error;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, UNIX_EPOCH};

use rejoin::{Collection, Database, FieldType, Payload, Reading, Resolver, Sibling, Value};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let phone = open(&folder.path().join("phone.db"))?;
    let laptop = open(&folder.path().join("laptop.db"))?;

    // Both know the order before they lose each other.
    let order = phone.commit(|tx| {
        let mut order = tx.create("orders")?;
        order.set("note", "ring twice")?;
        order.set("price", 100)?;
        order.set("priority", 1)?;
        order.increment("boxes", 2)?;
        Ok(order.id())
    })?;
    sync(&phone, &laptop)?;

    // Offline, both edit every field of it.
    phone.commit(|tx| {
        let mut order = tx.open("orders", order)?;
        order.set("note", "leave at the door")?;
        order.set("price", 110)?;
        order.set("priority", 5)?;
        order.increment("boxes", 1)?;
        Ok(())
    })?;
    laptop.commit(|tx| {
        let mut order = tx.open("orders", order)?;
        order.set("note", "call the neighbour")?;
        order.set("price", 90)?;
        order.set("priority", 3)?;
        order.increment("boxes", 4)?;
        Ok(())
    })?;
    sync(&phone, &laptop)?;

    // Who made an edit is told by the id of the database. An app that shows people's names stores them in a field.
    let phone_id = phone.replica_id()?;
    let who = |edit: &Sibling<'_, Payload>| if edit.by.replica() == phone_id { "phone" } else { "laptop" };

    for (device, db) in [("phone", &phone), ("laptop", &laptop)] {
        let order = db.get("orders", order)?.ok_or("the order is gone")?;
        println!("on the {device}:");

        // `detect`: the later edit shows, the other one is kept.
        println!("  note: {} (the later of two)", shown(order.get("note")?.as_deref()));
        for edit in order.conflicts("note") {
            println!("    {} on the {}, {}", shown(edit.value.value()), who(&edit), ago(&edit));
        }

        // `manual`: no value until someone decides.
        match order.fields().read("price") {
            Reading::Conflict(prices) => {
                println!("  price: none until somebody decides");
                for edit in prices {
                    println!("    {} on the {}, {}", shown(edit.value.value()), who(&edit), ago(&edit));
                }
            }
            Reading::Value(price) => println!("  price: {}", shown(Some(&price))),
            Reading::Absent => println!("  price: nobody set one"),
        }

        // `custom`: what a function makes of all values. A counter: every step counts.
        println!("  priority: {} (the highest)", shown(order.get("priority")?.as_deref()));
        println!("  boxes: {} (2 before, 1 more here and 4 more there)", order.counter("boxes"));
    }

    // A decision is an edit: it syncs like any other.
    laptop.commit(|tx| {
        let mut order = tx.open("orders", order)?;
        order.resolve("price", 95)?;
        order.resolve("note", "leave at the neighbour's door")?;
        Ok(())
    })?;
    sync(&phone, &laptop)?;
    let order = phone.get("orders", order)?.ok_or("the order is gone")?;
    let (price, note) = (order.get("price")?, order.get("note")?);
    println!("decided on the laptop, seen on the phone:");
    println!("  price: {}, note: {}", shown(price.as_deref()), shown(note.as_deref()));
    assert!(order.conflicts("note").is_empty() && phone.root()? == laptop.root()?);
    Ok(())
}

fn open(path: &std::path::Path) -> Result<Database, rejoin::Error> {
    let highest = Resolver::new("highest", 1, |siblings| {
        siblings.iter().filter_map(|sibling| sibling.value.value()?.as_i64()).max().map(Value::from)
    });
    let db = Database::open(path)?;
    db.declare(
        Collection::new("orders")
            .field("note", FieldType::Detect)
            .field("price", FieldType::Manual)
            .field("priority", FieldType::Custom(highest))
            .field("boxes", FieldType::Counter),
    )?;
    Ok(db)
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".into(), |value| format!("{value:?}"))
}

/// How long ago an edit was made, by the clock of its device.
fn ago(edit: &Sibling<'_, Payload>) -> String {
    let when = UNIX_EPOCH + Duration::from_millis(edit.by.stamp.hlc.ms());
    format!("{} ms ago", when.elapsed().unwrap_or_default().as_millis())
}

/// A connection within this machine; anything else that carries bytes would do as well.
fn sync(phone: &Database, laptop: &Database) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (address, laptop) = (listener.local_addr()?, laptop.clone());
    let other = std::thread::spawn(move || laptop.serve(&mut listener.accept()?.0));
    phone.sync(&mut TcpStream::connect(address)?)?;
    other.join().expect("the laptop does not panic")?;
    Ok(())
}
