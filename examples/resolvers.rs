//! Resolvers without a database: the app holds its own rows and only asks which version to keep.
//!
//! `cargo run --example resolvers`

use std::collections::BTreeMap;
use std::error::Error;

use rejoin::core::{Clock, PNCounter};
use rejoin::resolve::{Object, Outcome, Relation, Strategy, Versioned};
use rejoin::{ReplicaId, Value};

fn main() -> Result<(), Box<dyn Error>> {
    let mut phone = Clock::new(ReplicaId::from_u64(1));
    let mut laptop = Clock::new(ReplicaId::from_u64(2));

    // A row of the app's own table, `orders`. Beside it the app keeps what it was resolved from, as JSON.
    let mut at_phone = Versioned::at_ms(Object::new(), 0, phone.replica());
    at_phone.save([("customer", "Ann"), ("note", "ring twice")], phone.tick(1_000)?)?;
    let column = serde_json::to_string(&at_phone)?;
    let mut at_laptop: Versioned<Object> = serde_json::from_str(&column)?;

    // Offline, both save the form. The phone changes the name; the laptop changes the note, counts and adds a tag.
    at_phone.save([("customer", "Anna"), ("note", "ring twice")], phone.tick(2_000)?)?;
    at_laptop.save([("customer", "Ann"), ("note", "leave at the door")], laptop.tick(3_000)?)?;
    count(&mut at_phone, &mut phone, 2)?;
    count(&mut at_laptop, &mut laptop, 3)?;
    assert_eq!(at_phone.relation(&at_laptop), Relation::Concurrent);

    // Which strategy a table has stands in the app's configuration.
    let configuration = r#"{
        "settings": "last-write-wins", "orders": "version-vector", "contacts": "field-merge", "tasks": "crdt-merge"
    }"#;
    let strategies: BTreeMap<String, Strategy> = serde_json::from_str(configuration)?;
    let mut kept = BTreeMap::new();
    for (table, strategy) in &strategies {
        let outcome = strategy.resolve(&at_phone, &at_laptop);
        assert_eq!(outcome, strategy.resolve(&at_laptop, &at_phone), "both devices decide the same");
        print(strategy.name(), &outcome);
        kept.insert(table.as_str(), outcome);
    }
    let field = |table: &str, name: &str| kept[table].merged.value.value(name).and_then(Value::as_str);
    let boxes_of = |table: &str| boxes(&kept[table].merged);

    // Last-write-wins: the laptop was later, and the phone's edit is gone.
    assert_eq!(field("settings", "customer"), Some("Ann"));
    assert!(!kept["settings"].is_conflict());
    // Version vector: the same is kept, and the app is told that neither had seen the other.
    assert_eq!(field("orders", "customer"), Some("Ann"));
    assert_eq!(kept["orders"].conflict, [at_phone.clone(), at_laptop.clone()]);
    // Field merge: different fields do not collide. The counter is a field like any other, from the later row.
    assert_eq!(field("contacts", "customer"), Some("Anna"));
    assert_eq!(field("contacts", "note"), Some("leave at the door"));
    assert!(!kept["contacts"].is_conflict() && boxes_of("contacts") == 3);
    // CRDT merge: the same, and every step of the counter counts.
    assert_eq!(field("tasks", "customer"), Some("Anna"));
    assert_eq!(boxes_of("tasks"), 5);

    // A function of your own, for versions that did not know of each other: the one with more boxes.
    let most = Strategy::custom("most boxes", |versions| {
        versions.iter().max_by_key(|row| boxes(row)).expect("there are at least two").value.clone()
    });
    let outcome = most.resolve(&at_phone, &at_laptop);
    print(most.name(), &outcome);
    assert_eq!(boxes(&outcome.merged), 3);

    // What was merged has seen both, so it replaces both wherever it arrives.
    let merged = kept.remove("tasks").ok_or("tasks is configured")?.merged;
    for old in [&at_phone, &at_laptop] {
        assert_eq!(merged.relation(old), Relation::After);
        assert_eq!(Strategy::VERSION_VECTOR.resolve(old, &merged).merged, merged);
    }
    println!("the row to store: {:?}", merged.value.to_value());
    Ok(())
}

/// Counts boxes up in a row.
fn count(row: &mut Versioned<Object>, clock: &mut Clock, step: i64) -> Result<(), Box<dyn Error>> {
    let change = clock.tick(row.stamp.hlc.ms())?;
    row.value.counter_mut("boxes").add(change, step)?;
    row.written_by(&change);
    Ok(())
}

fn boxes(row: &Versioned<Object>) -> i128 {
    row.value.counter("boxes").map_or(0, PNCounter::value)
}

fn print(strategy: &str, outcome: &Outcome<Object>) {
    let conflict = if outcome.is_conflict() { ", and reports a conflict" } else { "" };
    println!("{strategy} keeps {:?}{conflict}", outcome.merged.value.to_value());
}
