//! Random schemas, and random edits that mostly fit them. Names and values are few, so that writers collide.

use std::sync::Arc;

use crdt_core::{Float, Value};

use crate::random::Random;
use crate::words::{
    Action, COLLECTIONS, Declared, Doc, Edit, Field, Leaf, PATHS, Path, Schema, Type, fields_of, path_of,
};

/// What each replica declares: mostly the same, now and then an older or newer version of it.
pub fn schemas(random: &mut Random, replicas: usize) -> Vec<Schema> {
    let common = some_schema(random);
    let drifts = random.chance(25);
    let one = |_| {
        let mut schema = common.clone();
        if drifts && random.chance(50) {
            drift(random, &mut schema);
        }
        schema
    };
    (0..replicas).map(one).collect()
}

fn some_schema(random: &mut Random) -> Schema {
    let mut schema = Schema::default();
    for name in &COLLECTIONS[..2] {
        let mut declared = Declared { delete_wins: random.chance(35), ..Declared::default() };
        for leaf in leaves() {
            if let Some(field_type) = some_type(random, leaf) {
                declared.types.insert(leaf, field_type);
            }
        }
        schema.collections.insert(name, declared);
    }
    schema
}

/// Changes some declarations.
fn drift(random: &mut Random, schema: &mut Schema) {
    for declared in schema.collections.values_mut() {
        for leaf in leaves() {
            if random.chance(30) {
                match some_type(random, leaf) {
                    Some(field_type) => declared.types.insert(leaf, field_type),
                    None => declared.types.remove(&leaf),
                };
            }
        }
        if random.chance(15) {
            declared.delete_wins = !declared.delete_wins;
        }
    }
}

fn leaves() -> impl Iterator<Item = Leaf> {
    PATHS.into_iter().flat_map(|path| fields_of(path).iter().map(move |field| (path, *field)))
}

fn some_type(random: &mut Random, leaf: Leaf) -> Option<Type> {
    if path_of(leaf).is_some() {
        return random.weighted(&[(7, Some(Type::Map)), (3, None), (1, Some(Type::Lww))]);
    }
    random.weighted(&[
        (4, Some(Type::Lww)),
        (3, Some(Type::Detect)),
        (2, Some(Type::Manual)),
        (1, Some(Type::Custom)),
        (3, Some(Type::Counter)),
        (1, Some(Type::GrowCounter)),
        (3, Some(Type::Set)),
        (1, Some(Type::GrowSet)),
        (2, Some(Type::Flag)),
        (3, None),
    ])
}

/// An edit of a document by someone with this schema.
pub fn some_edit(random: &mut Random, schema: &Schema, doc: Doc) -> Edit {
    if random.chance(12) {
        let action = random.weighted(&[(11, Action::Delete), (4, Action::Ensure), (3, Action::Erase)]);
        return Edit { doc, at: &[], action };
    }
    let at: Path = random.weighted(&[(9, PATHS[0]), (2, PATHS[1]), (4, PATHS[2]), (3, PATHS[3])]);
    if random.chance(3) {
        return Edit { doc, at, action: Action::Ensure };
    }
    let leaf = (at, random.pick(fields_of(at)));
    let declared = schema.of(doc).type_of(leaf);
    let fitting = declared.unwrap_or_else(|| {
        // In a collection without a schema, a field is mostly used alike by all.
        let usual = [Type::Lww, Type::Lww, Type::Set, Type::Counter, Type::Flag, Type::Lww];
        usual[usize::from(leaf.1.as_bytes()[0] - b'a') % usual.len()]
    });
    let action = if random.chance(5) { any_action(random, leaf.1) } else { action(random, leaf.1, fitting) };
    Edit { doc, at, action }
}

fn action(random: &mut Random, field: Field, fitting: Type) -> Action {
    if random.chance(10) {
        return Action::Remove(field);
    }
    match fitting {
        Type::Manual if random.chance(40) => Action::Resolve(field, value(random)),
        Type::Lww | Type::Detect | Type::Custom | Type::Manual => Action::Set(field, value(random)),
        Type::Counter if random.chance(20) => Action::Reset(field),
        Type::Counter => Action::Increment(field, random.pick(&[-2, -1, 0, 1, 3])),
        Type::GrowCounter => Action::Increment(field, random.pick(&[0, 1, 1, 2])),
        Type::Set if random.chance(40) => Action::Take(field, element(random)),
        Type::Set | Type::GrowSet => Action::Add(field, element(random)),
        Type::Flag if random.chance(45) => Action::Disable(field),
        Type::Flag => Action::Enable(field),
        Type::Map => Action::Remove(field),
    }
}

/// Whatever a user may try.
fn any_action(random: &mut Random, field: Field) -> Action {
    let all = [Type::Lww, Type::Manual, Type::Counter, Type::Set, Type::Flag, Type::Map];
    let fitting = random.pick(&all);
    action(random, field, fitting)
}

fn value(random: &mut Random) -> Value {
    match random.below(12) {
        0 => Value::Null,
        1 => Value::Bool(true),
        2 => Value::Float(Float::new(0.5)),
        3 => Value::Text(Arc::from("a text that is longer than its digest would be")),
        4 => Value::Array(Box::new([Value::Int(1)])),
        number @ 5..9 => Value::Int(i64::try_from(number).expect("a digit")),
        _ => Value::Text(Arc::from(random.pick(&["x", "y", "z"]))),
    }
}

fn element(random: &mut Random) -> Value {
    random.pick(&[Value::Text(Arc::from("p")), Value::Text(Arc::from("q")), Value::Int(7)])
}
