// The whole state as bytes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { RejoinError } from "rejoin";

import { create, edit, open, randomNumbers, refused, sync } from "./help.mjs";

function filled() {
  const replica = open();
  const id = create(replica, (task) => {
    task.set("title", "Milk");
    task.increment("votes", 3);
    task.addTo("tags", "home");
    task.map("address").set("street", "Elm");
  });
  replica.transaction((tx) => tx.delete("tasks", tx.create("tasks").id));
  return { replica, id };
}

test("an exported state starts a replica that holds the same, under another id", () => {
  const { replica, id } = filled();
  const state = replica.export();
  const [one, two] = [open({ state }), open({ state })];
  assert.equal(one.root(), replica.root());
  assert.deepEqual(one.canonicalBytes(), replica.canonicalBytes());
  assert.deepEqual(one.get("tasks", id), replica.get("tasks", id));
  assert.equal(new Set([one.replicaId, two.replicaId, replica.replicaId]).size, 3);
  // Opened twice, and both go on: nothing is lost and nothing counted twice.
  for (const copy of [one, two, replica]) edit(copy, id, (task) => task.increment("votes", 10));
  sync(one, two);
  sync(two, replica);
  sync(one, replica);
  assert.equal(replica.get("tasks", id).votes, 33);
});

test("importing merges, twice and in any order", () => {
  const { replica: a, id } = filled();
  const b = open({ state: a.export() });
  edit(a, id, (task) => task.set("note", 1));
  const early = a.export();
  edit(a, id, (task) => task.increment("votes", 1));
  const late = a.export();
  edit(b, id, (task) => task.increment("votes", 5));
  assert.ok(b.import(late) > 0);
  assert.equal(b.import(late), 0);
  assert.equal(b.import(early), 0);
  assert.equal(b.get("tasks", id).votes, 9);
  assert.equal(a.import(late), 0, "one's own");
  assert.ok(a.import(b.export()) > 0);
  assert.equal(a.root(), b.root());
  assert.equal(open().import(open().export()), 0);
});

test("subscribers hear of an import, as of one change", () => {
  const { replica, id } = filled();
  const other = open();
  const heard = [];
  other.subscribe((change) => heard.push(change));
  other.import(replica.export());
  assert.equal(heard.length, 1);
  assert.deepEqual(heard[0].origin, { type: "peer", replica: replica.replicaId });
  assert.ok(heard[0].documents.some((one) => one.id === id && one.kind === "appeared"));
});

test("sessions resume after an import: with the exporter, and with its peers", () => {
  const { replica: a, id } = filled();
  const server = open();
  create(server);
  sync(a, server);
  const state = a.export();
  edit(server, id, (task) => task.set("note", "news"));
  for (const peer of [server, a]) {
    const again = open({ state });
    const [, at] = sync(again, peer);
    assert.equal(at.status().way, peer === server ? "resume" : "in-sync");
    assert.equal(again.get("tasks", id).note, peer.get("tasks", id).note);
  }
});

test("a large document and many documents survive", () => {
  const replica = open();
  replica.transaction((tx) => {
    const large = tx.createWithKey("tasks", "large");
    for (let index = 0; index < 2000; index += 1) large.addTo("tags", `${index} ${"x".repeat(100)}`);
    large.set("free", "y".repeat(1 << 19));
    for (let index = 0; index < 1000; index += 1) tx.create("tasks").set("note", index);
  });
  const other = open({ state: replica.export() });
  assert.equal(other.root(), replica.root());
  assert.equal([...other.list("tasks")].length, 1001);
});

test("damaged, cut, foreign and newer bytes are refused, and nothing is changed", () => {
  const { replica } = filled();
  const state = replica.export();
  const target = open();
  create(target);
  const root = target.root();
  for (let length = 0; length < state.length; length += 1) {
    refused("damaged", () => target.import(state.slice(0, length)));
  }
  for (let index = 0; index < state.length; index += 1) {
    for (const bit of [1, 128]) {
      const bytes = state.slice();
      bytes[index] ^= bit;
      const code = index < 3 ? "damaged" : index === 3 ? "newer-format" : index < 20 ? "wrong-namespace" : "damaged";
      refused(code, () => target.import(bytes));
    }
  }
  const longer = new Uint8Array(state.length + 1);
  longer.set(state);
  refused("damaged", () => target.import(longer));
  refused("wrong-namespace", () => open({ secret: "others", state }));
  refused("wrong-namespace", () => target.import(open({ secret: "others" }).export()));
  refused("argument", () => target.import("text"));
  refused("argument", () => target.import());
  assert.equal(target.root(), root);
});

test("5,000 junk states are refused with an error of ours", () => {
  const target = open();
  const root = target.root();
  const state = filled().replica.export();
  const next = randomNumbers(7);
  for (let count = 0; count < 5000; count += 1) {
    const bytes = count % 2 ? Uint8Array.from({ length: next(300) }, () => next(256)) : state.slice(0, 20 + next(state.length));
    if (count % 2 === 0) for (let change = 0; change < 4; change += 1) bytes[20 + next(bytes.length - 20)] = next(256);
    try {
      target.import(bytes);
      assert.deepEqual(bytes, state);
    } catch (error) {
      assert.ok(error instanceof RejoinError, String(error));
    }
  }
  assert.equal(target.root(), root);
});
