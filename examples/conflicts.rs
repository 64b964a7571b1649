//! What happens when the same field is edited on two devices at the same time, by the type of the field.
//!
//! `cargo run --example conflicts`

use std::error::Error;
use std::net::{TcpListener, TcpStream};

use rejoin::{Collection, Database, FieldType, Reading, Resolver, Value};

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

    for (device, db) in [("phone", &phone), ("laptop", &laptop)] {
        let order = db.get("orders", order)?.ok_or("the order is gone")?;
        println!("on the {device}:");

        // `detect`: the later edit shows, the other one is kept.
        println!("  note: {:?}", order.get("note")?);
        for sibling in order.conflicts("note") {
            let (value, by) = (sibling.value.value(), sibling.by);
            println!("    {value:?} by {} at {} ms", by.replica(), by.stamp.hlc.ms());
        }

        // `manual`: no value until someone decides.
        match order.fields().read("price") {
            Reading::Conflict(prices) => println!("  price: undecided between {} values", prices.len()),
            other => println!("  price: {other:?}"),
        }

        // `custom`: what a function makes of all values. A counter: every step counts.
        println!("  priority: {:?}, boxes: {}", order.get("priority")?, order.counter("boxes"));
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
    println!("decided on the laptop, seen on the phone: {:?}, {:?}", order.get("price")?, order.get("note")?);
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

/// A connection within this machine; anything else that carries bytes would do as well.
fn sync(phone: &Database, laptop: &Database) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (address, laptop) = (listener.local_addr()?, laptop.clone());
    let other = std::thread::spawn(move || laptop.serve(&mut listener.accept()?.0));
    phone.sync(&mut TcpStream::connect(address)?)?;
    other.join().expect("the laptop does not panic")?;
    Ok(())
}
