// Documents, field by field, and what conflicts.

import assert from "node:assert/strict";
import { test } from "node:test";

import { create, edit, open, refused, sync } from "./help.mjs";

/** Two replicas that hold the same document and have not met since. */
function pair(first) {
  const [a, b] = [open(), open()];
  const id = create(a, first);
  sync(a, b);
  return { a, b, id };
}

test("a document shows what was written, and its declared types when nothing was", () => {
  const replica = open();
  const id = create(replica);
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.deepEqual(replica.get("tasks", id), { votes: 0, seen: 0, tags: [], labels: [], done: false });
  edit(replica, id, (task) => {
    task.set("title", "Milk");
    task.increment("votes", 3);
    task.decrement("votes");
    task.increment("seen");
    task.addTo("tags", "home");
    task.addTo("tags", { a: 1 });
    task.addTo("labels", 5);
    task.enable("done");
    const address = task.map("address");
    address.set("street", "Elm");
    address.map("geo").set("at", [1, 2]);
    assert.equal(address.id, id);
    assert.deepEqual(address.get(), { street: "Elm", visits: 0, geo: { at: [1, 2] } });
    assert.deepEqual(task.map("nothing").get(), undefined);
  });
  assert.deepEqual(replica.get("tasks", id), {
    title: "Milk", votes: 2, seen: 1, tags: ["home", { a: 1 }], labels: [5], done: true,
    address: { street: "Elm", visits: 0, geo: { at: [1, 2] } },
  });
  edit(replica, id, (task) => {
    task.remove("title");
    task.reset("votes");
    task.removeFrom("tags", "home");
    task.disable("done");
    task.remove("address");
  });
  assert.deepEqual(replica.get("tasks", id), { votes: 0, seen: 1, tags: [{ a: 1 }], labels: [5], done: false });
});

test("reading what is not there is undefined, and a wrong id an error", () => {
  const replica = open();
  const id = "00000000-0000-0000-0000-000000000001";
  assert.equal(replica.get("tasks", id), undefined);
  assert.equal(replica.document("tasks", id), undefined);
  for (const read of ["get", "document"]) {
    refused("argument", () => replica[read]("tasks", "no id"));
    refused("argument", () => replica[read](5, id));
    refused("argument", () => replica[read]("\ud800", id));
  }
});

test("keys make the same document on every replica", () => {
  const [a, b] = [open(), open()];
  const add = (replica, field) =>
    replica.transaction((tx) => { const user = tx.createWithKey("users", "ada@example.org"); user.set(field, 1); return user.id; }).value;
  assert.equal(add(a, "one"), add(b, "two"));
  sync(a, b);
  assert.deepEqual([...a.list("users")].map(([, user]) => user), [{ one: 1, two: 1 }]);
});

test("lists go by id, over several pages, without what was deleted", () => {
  const replica = open();
  const { value: ids } = replica.transaction((tx) =>
    Array.from({ length: 600 }, (_, index) => { const task = tx.create("tasks"); task.set("note", index); return task.id; }));
  edit(replica, ids[5], (task) => task.delete());
  const listed = [...replica.list("tasks")];
  assert.equal(listed.length, 599);
  const expected = ids.filter((id) => id !== ids[5]).sort();
  assert.deepEqual(listed.map(([id]) => id), expected);
  assert.deepEqual(listed.map(([id, task]) => [id, task.note]), expected.map((id) => [id, ids.indexOf(id)]));
  assert.deepEqual([...replica.list("nothing")], []);
  const first = replica.list("tasks").next();
  assert.equal(first.value[0], expected[0]);
});

test("a list goes on while documents are written", () => {
  const replica = open();
  for (let count = 0; count < 300; count += 1) create(replica);
  let seen = 0;
  for (const [id] of replica.list("tasks")) {
    edit(replica, id, (task) => task.set("note", seen));
    seen += 1;
  }
  assert.equal(seen, 300);
});

test("detect shows the latest, lists both with who and when, and an edit settles it", () => {
  const { a, b, id } = pair((task) => task.set("title", "Milk"));
  const before = Date.now();
  edit(a, id, (task) => task.set("title", "Oat milk"));
  edit(b, id, (task) => task.set("title", "Soy milk"));
  sync(a, b);
  const view = a.document("tasks", id);
  const conflicts = view.conflicts("title");
  assert.deepEqual(conflicts.map((one) => one.value).sort(), ["Oat milk", "Soy milk"]);
  assert.equal(conflicts.at(-1).value, a.get("tasks", id).title);
  assert.equal(view.get("title"), conflicts.at(-1).value);
  assert.deepEqual(conflicts.map((one) => one.replica).sort(), [a.replicaId, b.replicaId].sort());
  for (const { time, dot, replica } of conflicts) {
    assert.ok(time instanceof Date && time.getTime() >= before - 1 && time.getTime() <= Date.now() + 1);
    assert.equal(dot.replica, replica);
    assert.ok(dot.counter >= 1);
  }
  assert.deepEqual(view.conflicted(), ["title"]);
  assert.equal(view.isUnresolved("title"), false);
  edit(b, id, (task) => task.set("title", "Water"));
  sync(a, b);
  assert.deepEqual(a.document("tasks", id).conflicts("title"), []);
  assert.deepEqual(view.conflicts("title"), conflicts, "a view does not change");
});

test("a removal is a sibling without a value", () => {
  const { a, b, id } = pair((task) => task.set("title", "Milk"));
  edit(a, id, (task) => task.remove("title"));
  edit(b, id, (task) => task.set("title", "Soy"));
  sync(a, b);
  assert.deepEqual(a.document("tasks", id).conflicts("title").map((one) => one.value).sort(), ["Soy", undefined]);
});

test("manual has no value until it is resolved", () => {
  const { a, b, id } = pair((task) => task.set("price", 100));
  edit(a, id, (task) => task.set("price", 110));
  edit(b, id, (task) => task.set("price", 120));
  sync(a, b);
  const view = a.document("tasks", id);
  assert.equal(view.isUnresolved("price"), true);
  assert.equal(refused("unresolved", () => view.get("price")).details.field, "price");
  assert.deepEqual(a.get("tasks", id).price.$conflict.toSorted(), [110, 120]);
  refused("unresolved", () => edit(a, id, (task) => task.set("price", 1)));
  edit(a, id, (task) => task.resolve("price", 115));
  sync(a, b);
  assert.equal(b.get("tasks", id).price, 115);
  assert.equal(b.document("tasks", id).get("price"), 115);
});

test("custom functions show what they make of the siblings", () => {
  const { a, b, id } = pair((task) => task.set("priority", 1));
  edit(a, id, (task) => task.set("priority", 9));
  edit(b, id, (task) => task.set("priority", 4));
  sync(a, b);
  assert.equal(a.get("tasks", id).priority, 9);
  assert.equal(b.document("tasks", id).get("priority"), 9);
  const { value } = a.transaction((tx) => tx.get("tasks", id).priority);
  assert.equal(value, 9);
  a.declare("tasks", { priority: { custom: () => undefined, name: "none" } });
  assert.equal("priority" in a.get("tasks", id), false);
});

test("a custom function that fails fails the read, with its error as the cause", () => {
  const { a, b, id } = pair((task) => task.set("priority", 1));
  edit(a, id, (task) => task.set("priority", 9));
  edit(b, id, (task) => task.set("priority", 4));
  sync(a, b);
  const cause = new Error("no idea");
  const failing = [
    [() => { throw cause; }, (error) => assert.equal(error, cause)],
    [() => () => 1, (error) => assert.equal(error.code, "value")],
    [() => "x".repeat(1 << 21), (error) => assert.equal(error.code, "limit")],
    [() => a.get("tasks", id), (error) => assert.equal(error.code, "busy")],
    [() => b.export(), (error) => assert.equal(error.code, "busy")],
  ];
  for (const [custom, check] of failing) {
    a.declare("tasks", { priority: { custom, name: "failing" } });
    const reads = [
      () => [...a.list("tasks")],
      () => a.get("tasks", id),
      () => a.document("tasks", id).get("priority"),
      () => a.document("tasks", id).toObject(),
      () => a.transaction((tx) => tx.get("tasks", id)),
      () => a.transaction((tx) => tx.open("tasks", id).get()),
    ];
    for (const read of reads) {
      const error = refused("resolver", read);
      assert.deepEqual(error.details, { name: "failing" });
      check(error.cause);
    }
  }
  a.declare("tasks", { priority: "detect" });
  assert.equal(typeof a.get("tasks", id).priority, "number", "usable as before");
});

test("counters count every step, and resets only what they saw", () => {
  const { a, b, id } = pair((task) => task.increment("votes", 5));
  edit(a, id, (task) => task.reset("votes"));
  edit(b, id, (task) => task.decrement("votes", 2));
  sync(a, b);
  assert.equal(a.get("tasks", id).votes, -2);
});

test("counters are exact beyond 2^53, and overflow is refused", () => {
  const { a, b, id } = pair((task) => task.increment("votes", 2n ** 63n - 1n));
  assert.equal(a.get("tasks", id).votes, 2n ** 63n - 1n);
  edit(b, id, (task) => task.increment("votes", 2n ** 63n - 1n));
  sync(a, b);
  assert.equal(a.document("tasks", id).counter("votes"), 2n ** 64n - 2n);
  edit(a, id, (task) => { task.increment("votes", 2n ** 62n); task.increment("votes", 2n ** 62n); });
  const error = refused("overflow", () => edit(a, id, (task) => task.increment("votes", 2n)));
  assert.equal(error.details.step, 2);
  edit(b, id, (task) => task.decrement("votes", 2n ** 63n - 1n));
  assert.equal(b.document("tasks", id).counter("votes"), 2n ** 63n - 1n);
  for (const step of [0.5, NaN, "1", 2n ** 63n, 2 ** 53]) {
    refused("argument", () => edit(a, id, (task) => task.increment("votes", step)));
  }
  refused("argument", () => edit(a, id, (task) => task.decrement("votes", -(2n ** 63n))));
});

test("sets keep what is added while it is removed; flags stay on", () => {
  const { a, b, id } = pair((task) => { task.addTo("tags", "x"); task.enable("done"); });
  edit(a, id, (task) => { task.removeFrom("tags", "x"); task.disable("done"); });
  edit(b, id, (task) => { task.addTo("tags", "x"); task.enable("done"); });
  sync(a, b);
  assert.deepEqual(a.get("tasks", id).tags, ["x"]);
  assert.equal(a.get("tasks", id).done, true);
});

test("an edit brings a deleted document back, unless deletions win", () => {
  for (const deleteWins of [[], ["tasks"]]) {
    const [a, b] = [open({ deleteWins }), open({ deleteWins })];
    const id = create(a, (task) => task.set("note", 1));
    sync(a, b);
    a.transaction((tx) => tx.delete("tasks", id));
    assert.equal(a.get("tasks", id), undefined);
    edit(b, id, (task) => task.set("title", "still here"));
    sync(a, b);
    assert.equal(a.get("tasks", id)?.note, deleteWins.length ? undefined : 1);
  }
});

test("erase leaves nothing to come back", () => {
  const { a, b, id } = pair((task) => task.set("note", "secret"));
  edit(a, id, (task) => task.erase());
  edit(b, id, (task) => task.ensure());
  sync(a, b);
  assert.equal("note" in a.get("tasks", id), false);
});

test("nested views, unexpected types and undeclared maps", () => {
  const { a, b, id } = pair((task) => task.map("address").map("geo").set("at", 1));
  edit(a, id, (task) => task.map("address").map("geo").set("at", 2));
  edit(b, id, (task) => task.map("address").map("geo").set("at", 3));
  sync(a, b);
  const geo = a.document("tasks", id).map("address").map("geo");
  assert.equal(geo.id, id);
  assert.equal(geo.conflicts("at").length, 2);
  assert.deepEqual(geo.conflicted(), ["at"]);
  assert.equal(typeof geo.get("at"), "number");
  assert.deepEqual(geo.toObject(), { at: geo.get("at") });
  assert.equal(a.document("tasks", id).map("nowhere").toObject(), undefined);
  assert.equal(a.document("tasks", id).get("nothing"), undefined);
  a.declare("tasks", { address: "counter" });
  assert.deepEqual(a.document("tasks", id).unexpected(), ["address"]);
});

test("edits that do not fit the declared type say so", () => {
  const replica = open();
  const id = create(replica, (task) => { task.increment("seen"); task.addTo("labels", 1); });
  const error = refused("wrong-type", () => edit(replica, id, (task) => task.set("votes", 1)));
  assert.deepEqual(error.details, { field: "votes", declared: "counter", operation: "set" });
  for (const work of [
    (task) => task.increment("title"), (task) => task.addTo("title", 1), (task) => task.enable("title"),
    (task) => task.map("title"), (task) => task.set("address", {}), (task) => task.reset("tags"),
    (task) => task.removeFrom("done", 1), (task) => task.disable("tags"),
  ]) refused("wrong-type", () => edit(replica, id, work));
  for (const work of [
    (task) => task.increment("seen", -1), (task) => task.decrement("seen"), (task) => task.remove("seen"),
    (task) => task.reset("seen"), (task) => task.remove("labels"), (task) => task.removeFrom("labels", 1),
  ]) assert.equal(refused("only-grows", () => edit(replica, id, work)).details.field.length > 0, true);
});
