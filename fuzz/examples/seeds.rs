//! Writes `fuzz/seeds` anew: real encodings, for the fuzzers to start from. `cargo xtask fuzz --seeds` runs it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crdt_core::codec::{Dictionary, encode_row, put_refusal, put_value};
use crdt_core::resolve::Versioned;
use crdt_core::{
    Address, DocumentId, Durability, Head, Life, MemoryStore, Refusal, Replica, ReplicaId, TransactionError,
    Value, VersionVector,
};
use rejoin_fuzz::audit::{Memory, documents};
use rejoin_fuzz::decoders::{Batch, encode};
use rejoin_fuzz::input::{Input, put_piece};
use rejoin_fuzz::link::Role;
use rejoin_fuzz::schema::{declared, edit_once};
use rejoin_fuzz::session::{HAS_MET, HEALS, HOLDS_PART, HONEST, KEEPS_TIME, KINDS, Reached, play};
use rejoin_fuzz::{bundle, forged, partial, wire};
use serde::Serialize;
use sync_protocol::bundle::{For, export};
use sync_protocol::drive::write_message;
use sync_protocol::{Config, Session};

/// Inputs by target.
#[derive(Default)]
struct Seeds(BTreeMap<&'static str, Vec<Vec<u8>>>);

impl Seeds {
    fn add(&mut self, target: &'static str, input: impl Into<Vec<u8>>) {
        self.0.entry(target).or_default().push(input.into());
    }
}

fn main() -> std::io::Result<()> {
    let mut seeds = Seeds::default();
    values(&mut seeds);
    let mut replicas = histories();
    states(&mut seeds, &mut replicas);
    json(&mut seeds, &mut replicas);
    bundles(&mut seeds, &mut replicas);
    conversations(&mut seeds, &mut replicas);
    actions(&mut seeds);
    for (target, inputs) in seeds.0 {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        for (number, input) in inputs.iter().enumerate() {
            fs::write(folder.join(format!("{number:03}")), input)?;
        }
        let bytes: usize = inputs.iter().map(Vec::len).sum();
        println!("{target:12} {:4} inputs, {bytes} bytes", inputs.len());
    }
    Ok(())
}

/// Some of everything.
fn all_values() -> Vec<Value> {
    let object = |entries: [(&str, Value); 2]| {
        Value::from(
            entries.map(|(key, value)| (key.to_owned(), value)).into_iter().collect::<BTreeMap<_, _>>(),
        )
    };
    vec![
        Value::Null,
        true.into(),
        7.into(),
        (-1).into(),
        i64::MIN.into(),
        1.5.into(),
        f64::NAN.into(),
        f64::INFINITY.into(),
        Value::Timestamp(1_790_000_000_000),
        "short".into(),
        "x".repeat(200).into(),
        "\u{1F980} \"quoted\"\n".into(),
        vec![0u8, 0xff].into(),
        vec![Value::from(1), "two".into(), Value::Null].into(),
        object([("a", 1.into()), ("b", vec![Value::from(2.5)].into())]),
        object([("$bytes", "00ff".into()), ("nested", object([("k", 1.into()), ("l", 2.into())]))]),
    ]
}

fn values(seeds: &mut Seeds) {
    for value in all_values() {
        let mut out = Vec::new();
        put_value(&mut out, &value);
        let request = Value::from(vec![value, "name".into(), 5.into()]);
        let mut wrapped = vec![0];
        put_value(&mut wrapped, &request);
        seeds.add("wasm", wrapped);
        seeds.add("wasm", [&[1], &out[..]].concat());
        seeds.add("value", out);
    }
    let mut refusal = Vec::new();
    put_refusal(&mut refusal, &Refusal::new(403, "only managers"));
    seeds.add("value", refusal);
}

fn replica(number: u64) -> Memory {
    let head = Head::new(bundle::namespace(), ReplicaId::from_u64(number), Life(number));
    let mut replica = Replica::new(MemoryStore::new(head));
    replica.declare(declared());
    replica
}

/// Two replicas that have edited, met and edited again.
fn histories() -> [Memory; 2] {
    let mut replicas = [replica(7), replica(8)];
    for step in 0..40u8 {
        let at = usize::from(step % 3 == 0);
        // Bytes for the choices of the edits, the same every time.
        let choices: Vec<u8> =
            (0..32).map(|byte: u8| step.wrapping_mul(37) ^ byte.wrapping_mul(73)).collect();
        let mut input = Input::new(&choices);
        let now_ms = 1_790_000_000_000 + u64::from(step);
        let _ = replicas[at].commit(now_ms, Durability::Visible, |tx| {
            for _ in 0..3 {
                let id = DocumentId::from_u64(1 + u64::from(input.byte() % 3));
                edit_once(&mut tx.document("tasks", id)?, &mut input)?;
            }
            Ok::<_, TransactionError>(())
        });
        if step == 20 {
            let [a, b] = &mut replicas;
            sync_protocol::drive::exchange_in_memory(a, b, now_ms).expect("an honest sync");
        }
    }
    replicas
}

fn states(seeds: &mut Seeds, replicas: &mut [Memory; 2]) {
    let all: Vec<(Address, _)> = replicas.iter_mut().flat_map(documents).collect();
    let (mut carried, mut carried_dictionary) = (Vec::new(), Dictionary::new());
    for pair in all.chunks(2) {
        let batch: Batch = pair.to_vec();
        let mut of_one = Vec::new();
        put_piece(&mut of_one, &encode(&mut Dictionary::new(), &batch));
        seeds.add("batch", encode(&mut Dictionary::new(), &batch));
        seeds.add("document", [&of_one[..], &[0, 1, 9, 3, 5, 0, 4, 3, 1, 200, 2, 5, 6, 1, 7, 9]].concat());
        put_piece(&mut carried, &encode(&mut carried_dictionary, &batch));
        seeds.add("carried", carried.clone());
        for (_, document) in &batch {
            let (mut row, mut dictionary) = (vec![0, 0, 0], Dictionary::new());
            encode_row(&mut row, &mut dictionary, document, &|_, _| false);
            // Alone it names what no dictionary has; after the batch it does not.
            seeds.add("row", row.clone());
            let mut after_batch = vec![1];
            put_piece(&mut after_batch, &encode(&mut Dictionary::new(), &batch));
            after_batch.extend_from_slice(&row[3..]);
            seeds.add("row", after_batch);
            for entry in dictionary.entries_since((0, 0)) {
                if let crdt_core::codec::DictionaryEntry::Shape(shape) = entry {
                    let mut out = Vec::new();
                    shape.put(&mut out);
                    seeds.add("shape", out);
                }
            }
        }
    }
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("written")
}

fn json(seeds: &mut Seeds, replicas: &mut [Memory; 2]) {
    let mut add = |kind: u8, text: String| seeds.add("json", [&[kind], text.as_bytes()].concat());
    for value in all_values() {
        add(0, text(&value));
    }
    for (_, document) in replicas.iter_mut().flat_map(documents) {
        add(1, text(&document));
        add(2, text(document.root()));
    }
    let (one, two) = (ReplicaId::from_u64(1), ReplicaId::from_u64(2));
    let mut clock = crdt_core::Clock::new(one);
    let mut change = || clock.tick(1_790_000_000_000).expect("a short history");
    let mut counter = crdt_core::GCounter::new();
    counter.increment(one, 5).expect("small");
    add(3, text(&counter));
    let mut register = crdt_core::LwwRegister::<crdt_core::Payload>::default();
    register.write(change(), crdt_core::Payload::Present(1.into()));
    add(8, text(&register));
    add(11, text(&change()));
    add(12, text(&change().stamp));
    add(13, text(&change().stamp.hlc));
    add(14, text(&change().dot()));
    add(15, text(&VersionVector::from_iter([change().dot(), crdt_core::Dot::new(two, 3)])));
    add(16, text(&one));
    add(17, text(&DocumentId::from_u64(5)));
    let version = Versioned { value: Value::from(1), stamp: change().stamp, version: VersionVector::new() };
    add(18, text(&version));
    for text in [
        r#"{"a":[1,2.5,-3e10,"\u00e9\ud83e\udd80\\"],"b":{"$bytes":"00ff"},"c":{"$timestamp":-5}}"#,
        r#"[{"$float":"NaN"},{"$float":"-Infinity"},{"$conflict":[1,"two"]},true,null]"#,
    ] {
        seeds.add("sqlite_json", text);
    }
    for value in all_values() {
        let mut out = Vec::new();
        put_value(&mut out, &value);
        seeds.add("sqlite_json", out);
    }
}

fn bundles(seeds: &mut Seeds, replicas: &mut [Memory; 2]) {
    let seen = replicas[1].seen().expect("memory");
    for wanted in [For::Anyone, For::Peer(ReplicaId::from_u64(8)), For::Holder(seen)] {
        let mut file = Vec::new();
        export(&mut replicas[0], &wanted, &mut file, 1_790_000_000_000).expect("memory");
        let mut input = vec![0];
        for (kind, body) in bundle::frames(&file) {
            input.push(kind);
            put_piece(&mut input, &body);
        }
        seeds.add("bundle", input);
        seeds.add("bundle", [&[0xff], &file[..]].concat());
    }
}

/// What two honest sessions say.
fn conversations(seeds: &mut Seeds, [a, b]: &mut [Memory; 2]) {
    let now_ms = 1_790_000_001_000;
    let mut sessions = [Session::new(Config::new(1), now_ms), Session::new(Config::new(2), now_ms)];
    let mut stream = Vec::new();
    loop {
        let mut moved = false;
        for from in [0, 1] {
            let [mine, theirs] = if from == 0 { [0, 1] } else { [1, 0] };
            let (here, there) = if from == 0 { (&mut *a, &mut *b) } else { (&mut *b, &mut *a) };
            while let Some(message) = sessions[mine].transmit(here, now_ms).expect("honest") {
                seeds.add("message", wire::body(&message));
                write_message(&mut stream, &message).expect("memory");
                sessions[theirs].receive(there, &message, now_ms).expect("honest");
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    seeds.add("framing", &stream[..stream.len().min(2000)]);
    seeds.add("framing", [&stream[..200], &[0, 1]].concat());
    let dots = [crdt_core::Dot::new(ReplicaId::from_u64(1), 7)];
    let (head, trail) = a.introduction().expect("memory");
    for choices in
        [&[][..], &[1, 0, 0xff, 3, 1, 2, 1, 2, 2, 1, 0, 3, 2, 1, 7], &[2, 0, 7, 0, 1, 1, 2, 3, 2, 1, 1, 9]]
    {
        let mut input = Input::new(choices);
        for body in [
            forged::sketch(&mut input.clone(), a),
            forged::more(&mut input.clone()),
            forged::differ(&mut input.clone()),
            forged::held(&mut input.clone()),
            forged::want(&mut input.clone(), &head, &trail),
            forged::restart(&mut input.clone(), &head, &head, &trail),
            partial::forged_scope(&mut input.clone()),
            partial::forged_load(&mut input.clone(), &head),
            partial::forged_part(&mut input, a),
            wire::pack(&[&[wire::kind::CHUNK], &choices.repeat(20)[..]].concat()),
        ] {
            seeds.add("message", body);
        }
    }
    for body in [
        wire::want(5, 6, &crdt_core::Memory::default(), wire::by::CURSOR),
        wire::push(3, 1, &dots, &[]),
        wire::ack(300, 1, None, 7),
        wire::refused(3, &dots, &[]),
        wire::welcome(false, u64::MAX, 300),
        wire::numbered(wire::kind::HEARD, 300),
        b"\x0a\x01\x01a token".to_vec(),
        b"\x07\x04\xa8\x03\x02no".to_vec(),
    ] {
        seeds.add("message", body);
    }
}

/// Lists of actions: each action alone, after and before an exchange, with every kind of victim; stories that lead somewhere;
/// and mixtures.
fn actions(seeds: &mut Seeds) {
    for (target, role) in
        [("session", Role::Open), ("guarded", Role::Guarded), ("following", Role::Following)]
    {
        for action in 0..KINDS {
            for victim in [0, HEALS | KEEPS_TIME | HAS_MET] {
                let some = [action, 1, 3, 2, 1, 0, 2, 1, 1, 5, 0, 1, 3, 3, 0, 1];
                seeds.add(target, [&[victim, 0, 0][..], &some, &[0], &some].concat());
            }
        }
        for story in stories().into_iter().chain(partial_stories()) {
            seeds.add(target, story);
        }
        let mut state = 0x9e37_79b9u32;
        for mixture in 0..60u8 {
            // Every third has the actions of an honest peer only.
            let is_honest = mixture % 3 == 0;
            let mut bytes = vec![mixture / 3 % 16];
            bytes.extend((0..160).map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Mostly small numbers, as actions and their arguments are.
                let [_, low, middle, high] = state.to_le_bytes();
                match high {
                    _ if is_honest => HONEST[usize::from(high) % HONEST.len()],
                    0xc0.. => low ^ middle,
                    _ => high % KINDS,
                }
            }));
            seeds.add(target, bytes);
        }
        reaches(role, &seeds.0[target]);
    }
}

/// What takes several steps to get to. Numbers of actions are those of [`rejoin_fuzz::session`].
fn stories() -> Vec<Vec<u8>> {
    const REST: &[u8] = &[0];
    const SUSPECT: &[u8] = &[29, 0, 2, 2, 0, 0, 0, 0];
    const HOLD_BACK: &[u8] = &[30, 3];
    const PEER_WRITES: &[u8] = &[3, 0, 0, 0, 0, 1, 7];
    const WRITE: &[u8] = &[1, 0, 0, 0, 0, 4, 9];
    let cells = |action: u8, hlc: u8| [action, 1, 0, 1, 0, 1, 0, hlc, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 9, 0, 0];
    // In a second session: in the first one the peer loads, and sums of what is being loaded do not pass.
    let connected = |victim: u8, how: u8, steps: &[&[u8]]| {
        [&[victim, 0, 0, 0, 20, 0, how, 0, 0][..], &steps.concat(), REST].concat()
    };
    let mut stories = Vec::new();
    for victim in [0, HEALS, KEEPS_TIME, HEALS | KEEPS_TIME] {
        let mut add = |how: u8, steps: &[&[u8]]| stories.push(connected(victim, how, steps));
        // The victim initiates, and is told of a difference, or asked for more.
        add(0, &[SUSPECT, HOLD_BACK, &[26, 0, 0, 1, 0, 0, 0], HOLD_BACK]);
        add(
            0,
            &[SUSPECT, HOLD_BACK, &[25, 0, 5, 0, 30], HOLD_BACK, &[26, 0, 0, 7, 1, 0, 2, 1, 1], HOLD_BACK],
        );
        add(0, &[SUSPECT, HOLD_BACK, &[25, 0, 5, 1], HOLD_BACK]);
        // It responds, and finds a difference, or none among junk.
        add(2, &[PEER_WRITES, &[24, 0, 0, 0, 0, 0, 0], HOLD_BACK, &[27, 0, 0, 1, 0, 0], HOLD_BACK]);
        add(2, &[SUSPECT, &[24, 0, 0, 1, 5, 0, 2, 7, 8, 9, 1, 2, 3, 0, 0, 1], HOLD_BACK, HOLD_BACK]);
        // Cells, packed, from now and from the future.
        for hlc in [128, 131, 200] {
            add(0, &[&cells(28, hlc), &[0, 0, 0, 0, 0], WRITE]);
            add(0, &[&cells(28, hlc), &[1, 1, 1, 0], REST, &[22, 2, 1], WRITE]);
        }
        add(0, &[&cells(28, 128), &[3, 3, 0, 12, 0]]);
        add(0, &[&[19, 3, 0], WRITE]);
        add(0, &[&[31, 1][..], &PEER_WRITES[1..], REST, WRITE, REST, &[22, 2, 1, 22, 2, 1], REST]);
        // Somebody remembers more than there is; or another run.
        add(0, &[WRITE, REST, WRITE, &[29, 0, 0, 0, 1, 0, 0, 0, 0], REST, WRITE, REST]);
        add(0, &[WRITE, REST, WRITE, &[29, 0, 0, 0, 0, 3, 0, 1, 0, 0], REST, WRITE, REST]);
        add(0, &[WRITE, &[29, 0, 0, 0, 0, 4, 8, 1, 0, 1, 1], REST, &cells(28, 128), &[0, 0, 0, 0, 0]]);
        // A peer that was restored from a backup; a copy of the victim; a restart in the middle of a run.
        add(0, &[&[21, 0], PEER_WRITES, REST, &[21, 1], PEER_WRITES, &[20, 0, 0, 0], REST]);
        add(0, &[WRITE, &[20, 1, 0, 0, 0, 0, 0, 0, 1, 2, 9], REST, WRITE]);
        add(0, &[PEER_WRITES, WRITE, &[20, 0, 0, 0, 4, 2, 29, 2, 0, 0, 2, 77, 0, 0, 0], REST, WRITE]);
    }
    stories
}

/// First syncs and parts of the namespace.
fn partial_stories() -> Vec<Vec<u8>> {
    const REST: &[u8] = &[0];
    const ANEW: &[u8] = &[37];
    const MUCH_HERE: &[u8] = &[38, 0, 2];
    const MUCH_THERE: &[u8] = &[38, 1, 2];
    const WRITE: &[u8] = &[1, 0, 0, 0, 0, 4, 9];
    const NARROW: &[u8] = &[35, 3, 1, 0, 0, 0];
    const WIDEN: &[u8] = &[35, 0];
    const TASKS: &[u8] = &[35, 2];
    const VICTIMS: [u8; 4] = [0, HAS_MET, HEALS | KEEPS_TIME, HEALS | KEEPS_TIME | HAS_MET];
    let mut stories = Vec::new();
    for victim in VICTIMS {
        let mut add = |steps: &[&[u8]]| {
            stories.push([&[victim, 0, 0][..], &steps.concat(), REST].concat());
        };
        // Much is told, both ways: to one that holds nothing, to one that has met somebody, to one that is up to date.
        add(&[MUCH_THERE, ANEW, REST, MUCH_THERE, REST]);
        add(&[MUCH_HERE, REST, MUCH_HERE, REST]);
        add(&[&[38, 1, 3], ANEW, REST, WRITE]);
        // A first sync is cut, and goes on; or begins with another, or is given up.
        // A handshake takes more messages where there is a guard.
        for cut in [&[4, 6][..], &[4, 7, 4, 0], &[4, 7, 4, 1], &[4, 7, 4, 2]] {
            add(&[MUCH_THERE, ANEW, cut, ANEW, REST]);
            add(&[MUCH_THERE, ANEW, cut, WRITE, ANEW, MUCH_THERE, cut, ANEW, REST]);
            add(&[MUCH_THERE, ANEW, cut, WRITE, &[23], ANEW, REST]);
            add(&[MUCH_THERE, ANEW, cut, &[39], WRITE, ANEW, REST]);
        }
        // Parts that were made up, changed and repeated, or of another run.
        add(&[MUCH_THERE, ANEW, &[4, 2], &[34, 7, 0, 0, 0], &[34, 7, 1, 1, 1, 0, 1, 2], REST]);
        add(&[
            MUCH_THERE,
            ANEW,
            &[4, 3],
            &[34, 7, 3, 2, 3, 2, 1, 1, 0, 1, 0, 0xff, 1, 1, 0, 0, 1, 1, 1],
            REST,
        ]);
        add(&[MUCH_THERE, ANEW, &[5, 3], &[7, 0, 1, 5, 2, 9], &[7, 0, 1, 3, 5, 1], &[6, 0], REST]);
        // Somebody asks for a first sync, from the start or from anywhere.
        add(&[MUCH_HERE, &[33, 0, 0], &[11, 0, 0, 0], &[30, 3], &[30, 3], REST]);
        add(&[MUCH_HERE, &[33, 0, 1, 0, 1, 0, 1], &[11, 0, 0, 0], &[30, 3], &[30, 3], REST]);
        // The victim wants less, and lets go; wants more, and gets it back; the peer wants less.
        add(&[&[3, 0, 0, 0, 0, 1, 7], REST, NARROW, ANEW, REST, WRITE, WIDEN, ANEW, REST]);
        add(&[WRITE, REST, TASKS, ANEW, REST, NARROW, WRITE, ANEW, REST]);
        add(&[WRITE, REST, &[36, 3, 1, 0, 0, 0], ANEW, REST, TASKS, ANEW, REST, &[36, 0], ANEW, REST]);
        // What was counted in a document outlives that document.
        add(&[&[1, 0, 0, 0, 4, 4, 9], REST, &[35, 1], ANEW, REST, &[1, 0, 0, 0, 4, 4, 9], WIDEN, ANEW, REST]);
        // Somebody says to hold a part, or to have seen more than that.
        add(&[&[32, 2, 1, 0, 0, 0], REST, WRITE, REST]);
        add(&[
            ANEW,
            &[32, 3, 1, 0, 0, 1, 0, 0, 2],
            &[11, 0, 0, 0],
            REST,
            TASKS,
            ANEW,
            &[4, 2],
            &[32, 2, 1],
            REST,
        ]);
        add(&[REST, TASKS, ANEW, &[4, 2], &[12, 1, 0, 0, 0, 0], REST]);
    }
    for victim in VICTIMS.map(|victim| victim | HOLDS_PART) {
        // To what it subscribes comes first: one collection, one document, nothing.
        for scope in [&[2][..], &[3, 1, 1, 0, 0], &[1]] {
            let mut add = |steps: &[&[u8]]| {
                stories.push([&[victim], scope, &[0, 0], &steps.concat(), REST].concat());
            };
            add(&[WRITE, REST, MUCH_THERE, REST, WIDEN, ANEW, REST]);
            add(&[MUCH_THERE, ANEW, &[4, 6], WIDEN, ANEW, REST]);
            add(&[WRITE, REST, TASKS, ANEW, &[4, 5], &[32, 0, 2, 0, 0], WRITE, REST]);
        }
    }
    stories
}

/// Shows whether the inputs mean anything to the victim.
fn reaches(role: Role, inputs: &[Vec<u8>]) {
    let mut reached = Reached::default();
    for (number, input) in inputs.iter().enumerate() {
        // Shown when it fails.
        eprintln!("{number:03} {input:x?}");
        reached.add(&play(role, input));
    }
    println!("{role:?}: {reached:?}");
}
