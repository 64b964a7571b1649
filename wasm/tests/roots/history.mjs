// One history on replicas of the package: gives what came of it, in the words of `tests/wasm_roots/replay.rs`.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";

import { RejoinError, Replica } from "rejoin";
import { decode, encode } from "./values.mjs";

const COLLECTIONS = ["notes", "tasks", "loose"];
const FIELDS = ["a", "été 🧊\u0301", "__proto__", "7", "k", "m"];

/** Runs a history. Each step's result goes to `check(got, expected, where)`. */
export function replay(history, check) {
  const replicas = history.replicas.map((started) => new Member(history.secret, started));
  history.steps.forEach((step, number) => {
    const got = step.commit ? commit(replicas[step.commit.at], step.commit) : meet(replicas, step.meet);
    check(got, step.expect, `step ${number}`);
  });
  replicas.forEach((member, number) => {
    check(shown(member.replica), history.expect[number], `replica ${number} at the end`);
  });
  // The same once more for a new replica that starts from an exported state.
  const started = { ...history.replicas[0], random: ["00112233445546778899aabbccddeeff", "0011223344556677"] };
  const again = new Member(history.secret, started, replicas[0].replica.export());
  replicas.push(again);
  check(shown(again.replica), history.expect[0], "the replica opened from an exported state");
  replicas.forEach((member) => member.replica.close());
}

/** A replica with its clock and what it draws for random numbers. */
class Member {
  now = 0;
  random;
  replica;

  constructor(secret, started, state) {
    this.random = [...started.random];
    this.replica = Replica.open({
      secret,
      collections: Object.fromEntries(
        Object.entries(started.collections).map(([name, fields]) => [name, declared(fields)]),
      ),
      deleteWins: started.deleteWins,
      state,
      now: () => this.now,
      random: (length) => this.#draw(length),
    });
  }

  #draw(length) {
    const bytes = Uint8Array.from(Buffer.from(this.random.shift() ?? "", "hex"));
    assert.equal(bytes.length, length, "as many random bytes as the history has at this place");
    return bytes;
  }
}

function declared(fields) {
  const type = (json) => {
    if (Array.isArray(json)) return declared(json);
    const all = (siblings) => siblings.map(({ value }) => (value === undefined ? null : value));
    return json === "custom" ? { name: "all", version: 1, custom: all } : json;
  };
  return Object.fromEntries(fields.map(([name, json]) => [name, type(json)]));
}

const ON_PURPOSE = new Error("on purpose");

function commit(member, { now, edits, abort }) {
  member.now = now;
  const outcomes = [];
  try {
    member.replica.transaction((tx) => {
      for (const edit of edits) outcomes.push(outcome(() => make(tx, edit)));
      if (abort) throw ON_PURPOSE;
    });
  } catch (error) {
    if (error !== ON_PURPOSE) throw error;
  }
  return { outcomes, root: member.replica.root() };
}

function outcome(work) {
  try {
    work();
    return "done";
  } catch (error) {
    if (!(error instanceof RejoinError)) throw error;
    return error.code;
  }
}

function make(tx, [collection, id, key, path, [action, field, ...operand]]) {
  if (action === "ensure" && key !== null && path.length === 0) {
    tx.createWithKey(collection, key);
    return;
  }
  let at = tx.open(collection, id);
  for (const name of path) at = at.map(name);
  if (field === undefined) at[action]();
  else at[action](field, ...operand.map(decode));
}

function meet(members, { pair, now, nonces, cut }) {
  const digest = createHash("sha256");
  const ends = pair.map((at, side) => {
    members[at].now = now;
    // And an id and a life that none of these sessions needs.
    members[at].random.push(nonces[side], "00".repeat(16), "00".repeat(8));
    return members[at].replica.session();
  });
  let left = cut ?? Infinity;
  for (let moved = true; moved && left > 0; ) {
    moved = false;
    for (const [from, to] of [ends, [...ends].reverse()]) {
      for (let message; left > 0 && (message = from.transmit()); left -= 1) {
        const length = Buffer.alloc(4);
        length.writeUInt32LE(message.length);
        digest.update(length).update(message);
        to.receive(message);
        moved = true;
      }
    }
  }
  return { said: digest.digest("hex"), roots: pair.map((at) => members[at].replica.root()) };
}

function shown(replica) {
  const collections = COLLECTIONS.map((collection) => {
    const documents = [...replica.list(collection)].map(([id, fields]) => {
      const view = replica.document(collection, id);
      const sibling = ({ value, replica, time, dot }) => ({
        value: value === undefined ? null : encode(value),
        replica,
        ms: time.getTime(),
        counter: dot.counter.toString(),
      });
      const listed = encode(fields);
      for (const other of [replica.get(collection, id), view.toObject()]) {
        assert.deepEqual(encode(other), listed, "list, get and document show the same");
      }
      return {
        id,
        fields: listed,
        conflicts: view.conflicted().map((name) => [name, view.conflicts(name).map(sibling)]),
        counters: FIELDS.map((field) => view.counter(field).toString()),
        unexpected: view.unexpected(),
      };
    });
    return [collection, documents];
  });
  const bytes = createHash("sha256").update(replica.canonicalBytes()).digest("hex");
  return { root: replica.root(), bytes, collections };
}
