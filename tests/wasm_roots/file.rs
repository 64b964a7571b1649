//! A history with its results as a line of JSON. Whole numbers that JavaScript may not have exactly are strings.

use serde_json::{Map, Value as Json, json};

use crate::history::{Commit, History, Meet, Replica, Step};
use crate::names::{hex, id, key, spelled};
use crate::replay::{Results, SECRET};
use crate::values;
use crate::words::{Action, Declared, Edit, Path, Type, fields_of, path_of};

pub fn line(history: &History, results: &Results) -> Json {
    let steps = history.steps.iter().zip(&results.steps).map(|(step, result)| {
        let mut step = match step {
            Step::Commit(commit) => commit_json(commit),
            Step::Meet(meet) => meet_json(meet),
        };
        step["expect"] = result.clone();
        step
    });
    json!({
        "seed": history.seed.to_string(),
        "secret": SECRET,
        "replicas": history.replicas.iter().map(replica).collect::<Vec<_>>(),
        "steps": steps.collect::<Vec<_>>(),
        "expect": results.replicas,
    })
}

fn replica(replica: &Replica) -> Json {
    let declared = &replica.schema.collections;
    let collections: Map<String, Json> =
        declared.iter().map(|(name, declared)| ((*name).into(), declarations(declared, &[]))).collect();
    let delete_wins: Vec<&str> =
        declared.iter().filter(|(_, declared)| declared.delete_wins).map(|(name, _)| *name).collect();
    json!({
        "random": [hex(&replica.id), hex(&replica.life.to_be_bytes())],
        "collections": collections,
        "deleteWins": delete_wins,
    })
}

/// The declared fields of the map that a path leads to, as pairs: objects of JavaScript have names of their own.
fn declarations(declared: &Declared, path: Path) -> Json {
    let field_type = |field| {
        Some(match declared.type_of((path, field))? {
            Type::Lww => json!("lww"),
            Type::Detect => json!("detect"),
            Type::Manual => json!("manual"),
            Type::Custom => json!("custom"),
            Type::Counter => json!("counter"),
            Type::GrowCounter => json!("growCounter"),
            Type::Set => json!("set"),
            Type::GrowSet => json!("growSet"),
            Type::Flag => json!("flag"),
            Type::Map => path_of((path, field)).map_or(json!([]), |path| declarations(declared, path)),
        })
    };
    fields_of(path).iter().filter_map(|field| Some(json!([spelled(field), field_type(field)?]))).collect()
}

fn commit_json(commit: &Commit) -> Json {
    let edits: Vec<Json> = commit.edits.iter().map(edit).collect();
    json!({ "commit": { "at": commit.at, "now": commit.now_ms, "edits": edits, "abort": commit.abort } })
}

fn meet_json(meet: &Meet) -> Json {
    let nonces = meet.nonces.map(|nonce| hex(&nonce.to_be_bytes()));
    json!({ "meet": { "pair": meet.pair, "now": meet.now_ms, "nonces": nonces, "cut": meet.cut } })
}

fn edit(edit: &Edit) -> Json {
    let mut all = vec![json!(edit.doc.collection), json!(id(edit.doc).to_string()), json!(key(edit.doc))];
    all.push(edit.at.iter().map(|name| json!(spelled(name))).collect());
    let action = match &edit.action {
        Action::Set(field, value) => json!(["set", spelled(field), values::json(value)]),
        Action::Resolve(field, value) => json!(["resolve", spelled(field), values::json(value)]),
        Action::Remove(field) => json!(["remove", spelled(field)]),
        Action::Increment(field, step) => json!(["increment", spelled(field), { "$int": step.to_string() }]),
        Action::Reset(field) => json!(["reset", spelled(field)]),
        Action::Add(field, element) => json!(["addTo", spelled(field), values::json(element)]),
        Action::Take(field, element) => json!(["removeFrom", spelled(field), values::json(element)]),
        Action::Enable(field) => json!(["enable", spelled(field)]),
        Action::Disable(field) => json!(["disable", spelled(field)]),
        Action::Ensure => json!(["ensure"]),
        Action::Delete => json!(["delete"]),
        Action::Erase => json!(["erase"]),
    };
    all.push(action);
    Json::Array(all)
}
