//! A history on native replicas.

use std::error::Error;

use crdt_core::{
    Collection, CommitError, DocumentMut, Durability, EditError, FieldType, Head, Life, MemoryStore,
    Namespace, ReceiveBound, Replica, ReplicaId, Resolver, TransactionError, Value,
};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use sync_protocol::{Config, Session};

use crate::history::{COLLECTIONS, Commit, History, Meet, Step};
use crate::names::{hex, id, key, spelled};
use crate::values;
use crate::words::{Action, Declared, Edit, Path, Type, fields_of, path_of};

/// The secret of all histories.
pub const SECRET: &str = "wasm and native";

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What came of a history.
pub struct Results {
    /// What came of each step.
    pub steps: Vec<Json>,
    /// What each replica shows at the end.
    pub replicas: Vec<Json>,
    /// Edits that were made.
    pub edits: usize,
}

/// Runs a history.
///
/// # Errors
/// When a replica fails, or replicas that have met do not hold the same.
pub fn replay(history: &History) -> Outcome<Results> {
    let mut replicas: Vec<Replica<MemoryStore>> = history.replicas.iter().map(open).collect();
    let (mut steps, mut edits) = (Vec::new(), 0);
    for step in &history.steps {
        steps.push(match step {
            Step::Commit(commit) => {
                let outcomes = make(&mut replicas[commit.at], commit)?;
                edits += outcomes.iter().filter(|outcome| **outcome == "done").count();
                json!({ "outcomes": outcomes, "root": replicas[commit.at].head()?.root.to_string() })
            }
            Step::Meet(meet) => {
                let [a, b] = replicas.get_disjoint_mut(meet.pair)?;
                let said = converse(a, b, meet)?;
                json!({ "said": said, "roots": [a.head()?.root.to_string(), b.head()?.root.to_string()] })
            }
        });
    }
    let bytes = replicas.iter_mut().map(Replica::canonical_bytes).collect::<Result<Vec<_>, _>>()?;
    if bytes.iter().any(|one| *one != bytes[0]) {
        return Err("all have met, and they do not hold the same".into());
    }
    let replicas = replicas.iter_mut().map(shown).collect::<Outcome<_>>()?;
    Ok(Results { steps, replicas, edits })
}

fn open(started: &crate::history::Replica) -> Replica<MemoryStore> {
    let (id, life) = (ReplicaId::from_bytes(started.id), Life(started.life));
    let mut replica = Replica::new(MemoryStore::new(Head::new(Namespace::from_secret(SECRET), id, life)));
    // As the package does.
    replica.keep_time(ReceiveBound::default());
    for (name, declared) in &started.schema.collections {
        let mut collection = Collection::new(*name);
        for (field, declared) in declarations(declared, &[]) {
            collection = collection.field(field, declared);
        }
        replica.declare(if declared.delete_wins { collection.delete_wins() } else { collection });
    }
    replica
}

/// The declared fields of the map that a path leads to.
fn declarations(declared: &Declared, path: Path) -> Vec<(&'static str, FieldType)> {
    let field_type = |field| {
        Some(match declared.type_of((path, field))? {
            Type::Lww => FieldType::Lww,
            Type::Detect => FieldType::Detect,
            Type::Manual => FieldType::Manual,
            Type::Custom => FieldType::Custom(Resolver::new("all", 1, |siblings| {
                let values = siblings.iter().map(|s| s.value.value().cloned().unwrap_or(Value::Null));
                Some(Value::Array(values.collect()))
            })),
            Type::Counter => FieldType::Counter,
            Type::GrowCounter => FieldType::GrowCounter,
            Type::Set => FieldType::Set,
            Type::GrowSet => FieldType::GrowSet,
            Type::Flag => FieldType::Flag,
            Type::Map => {
                let within = path_of((path, field)).map(|path| declarations(declared, path));
                FieldType::Map(
                    within.into_iter().flatten().map(|(name, field)| (name.into(), field)).collect(),
                )
            }
        })
    };
    fields_of(path).iter().filter_map(|field| Some((spelled(field), field_type(*field)?))).collect()
}

/// Commits, and says what came of each edit.
fn make(replica: &mut Replica<MemoryStore>, commit: &Commit) -> Outcome<Vec<&'static str>> {
    let mut outcomes = Vec::new();
    let result = replica.commit(commit.now_ms, Durability::Visible, |tx| {
        for edit in &commit.edits {
            let mut document =
                tx.document(edit.doc.collection, id(edit.doc)).map_err(TransactionError::from)?;
            // Creating by key is opening and ensuring.
            let creates =
                matches!(edit.action, Action::Ensure) && edit.at.is_empty() && key(edit.doc).is_some();
            let done = if creates { document.ensure() } else { within(&mut document, edit.at, edit) };
            outcomes.push(done.map_or_else(|error| code(&error), |()| "done"));
        }
        if commit.abort { Err(Failed::OnPurpose) } else { Ok(()) }
    });
    match result {
        Ok(_) | Err(CommitError::Aborted(Failed::OnPurpose)) => Ok(outcomes),
        Err(error) => Err(error.into()),
    }
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("on purpose")]
    OnPurpose,
    #[error(transparent)]
    Transaction(#[from] TransactionError),
}

/// What the package calls the error.
fn code(error: &EditError) -> &'static str {
    match error {
        EditError::WrongType { .. } => "wrong-type",
        EditError::OnlyGrows { .. } => "only-grows",
        EditError::Unresolved { .. } => "unresolved",
        EditError::Overflow(_) => "overflow",
        EditError::Limit(_) => "limit",
        EditError::Clock(_) => "clock",
    }
}

fn within(map: &mut DocumentMut<'_>, path: Path, edit: &Edit) -> Result<(), EditError> {
    if let [first, rest @ ..] = path {
        return within(&mut map.map(spelled(first))?, rest, edit);
    }
    match &edit.action {
        Action::Set(field, value) => map.set(spelled(field), value),
        Action::Resolve(field, value) => map.resolve(spelled(field), value),
        Action::Remove(field) => map.remove(spelled(field)),
        Action::Increment(field, step) => map.increment(spelled(field), *step),
        Action::Reset(field) => map.reset(spelled(field)),
        Action::Add(field, element) => map.add_to(spelled(field), element),
        Action::Take(field, element) => map.remove_from(spelled(field), element),
        Action::Enable(field) => map.enable(spelled(field)),
        Action::Disable(field) => map.disable(spelled(field)),
        Action::Ensure => map.ensure(),
        Action::Delete => {
            map.delete();
            Ok(())
        }
        Action::Erase => map.erase(),
    }
}

/// A session, the two in turns; gives the digest of every byte that was said.
fn converse(a: &mut Replica<MemoryStore>, b: &mut Replica<MemoryStore>, meet: &Meet) -> Outcome<String> {
    let now_ms = meet.now_ms;
    let session = |nonce| Session::new(Config { durable: false, ..Config::new(nonce) }, now_ms);
    let [mut at_a, mut at_b] = meet.nonces.map(session);
    let (mut left, mut said) = (meet.cut.unwrap_or(usize::MAX), Sha256::new());
    let mut said_by = |message: &[u8]| {
        said.update(u32::try_from(message.len()).expect("a message is short").to_le_bytes());
        said.update(message);
        left -= 1;
        left == 0
    };
    'line: loop {
        let mut moved = false;
        while let Some(message) = at_a.transmit(a, now_ms)? {
            at_b.receive(b, &message, now_ms)?;
            moved = true;
            if said_by(&message) {
                break 'line;
            }
        }
        while let Some(message) = at_b.transmit(b, now_ms)? {
            at_a.receive(a, &message, now_ms)?;
            moved = true;
            if said_by(&message) {
                break 'line;
            }
        }
        if !moved {
            break;
        }
    }
    Ok(hex(&said.finalize()))
}

/// Everything that a replica shows, and the digest of its canonical bytes.
fn shown(replica: &mut Replica<MemoryStore>) -> Outcome<Json> {
    let mut collections = Vec::new();
    for collection in COLLECTIONS {
        let mut documents = Vec::new();
        for (id, view) in replica.list(collection, None, usize::MAX)? {
            let fields = view.fields();
            let conflicts: Vec<Json> = fields.conflicted().map(|name| {
                let siblings = fields.conflicts(name);
                let siblings = siblings.iter().map(|sibling| {
                    let value = sibling.value.value().map(values::json);
                    let (by, at_ms) = (sibling.by.replica().to_string(), sibling.by.stamp.hlc.ms());
                    json!({ "value": value, "replica": by, "ms": at_ms, "counter": sibling.by.counter.to_string() })
                });
                json!([&**name, siblings.collect::<Vec<_>>()])
            }).collect();
            let counters: Vec<String> =
                fields_of(&[]).iter().map(|field| fields.counter(spelled(field)).to_string()).collect();
            let unexpected: Vec<&str> = fields.unexpected().into_iter().map(|name| &**name).collect();
            documents.push(json!({
                "id": id.to_string(),
                "fields": view.to_value().as_ref().map(values::json),
                "conflicts": conflicts,
                "counters": counters,
                "unexpected": unexpected,
            }));
        }
        collections.push(json!([collection, documents]));
    }
    let bytes = hex(&Sha256::digest(replica.canonical_bytes()?));
    Ok(json!({ "root": replica.head()?.root.to_string(), "bytes": bytes, "collections": collections }))
}
