// Transactions, subscribers, and the use of a replica from within.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { Replica, RejoinError, init, protocolVersion } from "rejoin";

import { create, edit, open, refused, sync } from "./help.mjs";

test("the module is there at once in Node, and init does no harm", async () => {
  assert.equal(await init(), undefined);
  assert.equal(protocolVersion() >= 1, true);
});

test("what a replica is opened with is checked", () => {
  for (const options of [
    undefined, {}, { secret: 5 }, { secret: "s", collections: 5 }, { secret: "s", collections: { a: 5 } },
    { secret: "s", collections: { a: { b: "no such type" } } }, { secret: "s", collections: { a: { b: 5 } } },
    { secret: "s", collections: { a: { b: { custom: () => 1 } } } },
    { secret: "s", collections: { a: { b: { custom: () => 1, name: "n", version: 0.5 } } } },
    { secret: "s", collections: { a: { b: { custom: () => 1, name: "n", version: -1 } } } },
    { secret: "s", now: 5 }, { secret: "s", random: 5 }, { secret: "s", random: () => new Uint8Array(3) },
    { secret: "s", state: "text" }, { secret: "\ud800" },
  ]) {
    refused("argument", () => Replica.open(options));
  }
  refused("argument", () => new Replica());
  refused("argument", () => open({ now: () => NaN }).transaction((tx) => tx.create("tasks")));
  assert.equal(open({ secret: new TextEncoder().encode("team 42") }).root(), open().root());
  assert.notEqual(open().replicaId, open().replicaId);
});

test("given numbers and a given time, everything repeats", () => {
  const make = () => {
    let next = 0;
    const random = (length) => Uint8Array.from({ length }, () => (next += 1));
    const replica = open({ random, now: () => 1_700_000_000_000 });
    create(replica, (task) => task.set("title", "Milk"));
    return replica;
  };
  const [a, b] = [make(), make()];
  assert.equal(a.replicaId, b.replicaId);
  assert.equal(a.replicaId, "01020304-0506-4708-890a-0b0c0d0e0f10");
  assert.deepEqual([...a.list("tasks")], [...b.list("tasks")]);
  assert.equal(a.root(), b.root());
  assert.match(a.root(), /^[0-9a-f]{32}$/);
});

test("a transaction gives what its callback gives, and its name", () => {
  const replica = open();
  const { value, dot } = replica.transaction((tx) => tx.create("tasks").id);
  assert.equal(replica.get("tasks", value) !== undefined, true);
  assert.deepEqual(dot, { replica: replica.replicaId, counter: 1 });
  assert.deepEqual(replica.transaction(() => 7), { value: 7, dot: undefined });
  assert.deepEqual(edit(replica, value, (task) => task.set("note", 1)).dot.counter, 2);
  assert.deepEqual(edit(replica, value, (task) => task.set("note", 1)).dot, undefined, "the same value writes nothing");
  refused("argument", () => replica.transaction());
});

test("later edits see earlier ones, and reads within see both", () => {
  const replica = open();
  replica.transaction((tx) => {
    const task = tx.create("tasks");
    task.increment("votes", 2);
    assert.equal(tx.get("tasks", task.id).votes, 2);
    assert.equal(task.get().votes, 2);
    tx.delete("tasks", task.id);
    assert.equal(tx.get("tasks", task.id), undefined);
    assert.equal(task.get(), undefined);
    tx.open("tasks", task.id).ensure();
    assert.equal(task.get().votes, 0, "made anew");
  });
});

test("a callback that throws leaves no trace, and its own error comes out", () => {
  const replica = open();
  const id = create(replica, (task) => task.set("note", 1));
  const root = replica.root();
  const mine = new TypeError("mine");
  assert.throws(() => replica.transaction((tx) => { tx.create("tasks"); tx.open("tasks", id).set("note", 2); throw mine; }), (error) => error === mine);
  assert.throws(() => replica.transaction(() => { throw undefined; }), (error) => error === undefined);
  refused("wrong-type", () => edit(replica, id, (task) => { task.set("note", 3); task.set("votes", 1); }));
  assert.equal(replica.root(), root);
  assert.equal([...replica.list("tasks")].length, 1);
  assert.equal(create(replica).length, 36, "usable as before");
});

test("an edit that fails and is caught leaves the transaction usable", () => {
  const replica = open();
  const id = create(replica, (task) => {
    task.set("note", 1);
    refused("wrong-type", () => task.set("votes", 1));
    refused("value", () => task.set("note", undefined));
    task.set("title", "there");
  });
  assert.equal(replica.get("tasks", id).title, "there");
});

test("nothing of a transaction can be used after its end", () => {
  const replica = open();
  const { value } = replica.transaction((tx) => {
    const task = tx.create("tasks");
    return { tx, task, address: task.map("address"), id: task.id };
  });
  const root = replica.root();
  const { tx, task, address, id } = value;
  assert.equal(task.id, id);
  for (const late of [
    () => tx.create("tasks"), () => tx.createWithKey("tasks", "k"), () => tx.open("tasks", id), () => tx.delete("tasks", id),
    () => tx.get("tasks", id), () => task.set("note", 1), () => task.increment("votes"), () => task.map("address"),
    () => task.get(), () => task.delete(), () => task.erase(), () => task.ensure(), () => address.set("street", 1),
  ]) refused("transaction-ended", late);
  let kept;
  assert.throws(() => replica.transaction((tx) => { kept = tx; throw new Error("no"); }));
  refused("transaction-ended", () => kept.create("tasks"));
  replica.transaction(() => refused("transaction-ended", () => task.set("note", 1)));
  assert.equal(replica.root(), root);
});

test("a callback that is asynchronous is refused and not committed", async () => {
  const replica = open();
  let late;
  refused("async-transaction", () => replica.transaction(async (tx) => {
    tx.create("tasks");
    await Promise.resolve();
    late = refused("transaction-ended", () => tx.create("tasks"));
    throw new Error("nobody hears this");
  }));
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok(late instanceof RejoinError);
  assert.deepEqual([...replica.list("tasks")], []);
});

test("within a transaction the replica is busy, and the transaction goes on", () => {
  const replica = open();
  const other = open();
  const session = replica.session();
  const message = other.session().transmit();
  const { value: id } = replica.transaction((tx) => {
    const task = tx.create("tasks");
    for (const use of [
      () => replica.get("tasks", task.id), () => [...replica.list("tasks")], () => replica.document("tasks", task.id),
      () => replica.transaction(() => 1), () => replica.export(), () => replica.import(other.export()), () => replica.root(),
      () => replica.canonicalBytes(), () => replica.declare("x", {}), () => replica.subscribe(() => 1), () => replica.close(),
      () => session.transmit(), () => session.receive(message),
    ]) refused("busy", use);
    other.transaction((tx) => tx.create("tasks"));
    task.set("note", 1);
    return task.id;
  });
  assert.equal(replica.get("tasks", id).note, 1);
  session.receive(message);
});

test("subscribers hear every change, in order, from here and from peers", () => {
  const [a, b] = [open(), open()];
  const heard = [];
  const stop = a.subscribe((change) => heard.push(change));
  const id = create(a, (task) => { task.set("title", "x"); task.map("address").set("street", "Elm"); });
  sync(a, b);
  edit(b, id, (task) => task.set("title", "y"));
  edit(a, id, (task) => task.set("title", "z"));
  sync(a, b);
  a.transaction((tx) => tx.delete("tasks", id));
  assert.deepEqual(heard.map((change) => change.documents.map((one) => one.kind)), [["appeared"], ["updated"], ["updated"], ["disappeared"]]);
  assert.deepEqual(heard[0], {
    sequence: 1,
    origin: { type: "local", dot: { replica: a.replicaId, counter: 1 } },
    documents: [{
      collection: "tasks", id, kind: "appeared",
      fields: [{ path: ["address", "street"], conflicted: false }, { path: ["title"], conflicted: false }],
    }],
    andMore: false,
  });
  assert.deepEqual(heard[2].origin, { type: "peer", replica: b.replicaId });
  assert.deepEqual(heard[2].documents[0].fields, [{ path: ["title"], conflicted: true }]);
  stop();
  stop();
  create(a);
  assert.equal(heard.length, 4);
  a.subscribe((change) => heard.push(change));
  create(a);
  assert.equal(heard.length, 5, "not what happened while nobody listened");
});

test("a subscriber may use the replica, change it, subscribe, unsubscribe and close it", () => {
  const replica = open();
  const order = [];
  let stopSecond;
  replica.subscribe((change) => {
    const { id } = change.documents[0];
    order.push(`first ${change.sequence}`);
    assert.ok(replica.get("tasks", id) !== undefined);
    if (change.sequence < 3) edit(replica, id, (task) => task.set("note", change.sequence));
    if (change.sequence === 2) stopSecond();
    if (change.sequence === 3) replica.close();
  });
  stopSecond = replica.subscribe((change) => order.push(`second ${change.sequence}`));
  create(replica);
  assert.deepEqual(order, ["first 1", "second 1", "first 2", "first 3"]);
  refused("closed", () => replica.root());
});

test("a subscriber that throws disturbs nobody, and its error surfaces", () => {
  // In a process of its own, because an uncaught error is what is looked for.
  const app = `
    import { Replica } from "rejoin";
    const replica = Replica.open({ secret: "s" });
    process.on("uncaughtException", (error) => console.log("surfaced:", error.message));
    replica.subscribe(() => { throw new Error("of the app"); });
    replica.subscribe((change) => console.log("heard", change.sequence));
    replica.transaction((tx) => tx.create("tasks"));
    console.log("committed");`;
  const said = execFileSync(process.execPath, ["--input-type=module", "--eval", app], { encoding: "utf8" });
  assert.deepEqual(said.trim().split("\n"), ["heard 1", "committed", "surfaced: of the app"]);
});

test("a closed replica refuses everything, twice closed or not", () => {
  const replica = open();
  const id = create(replica);
  const session = replica.session();
  const view = replica.document("tasks", id);
  const rest = replica.list("tasks");
  replica.close();
  replica.close();
  for (const use of [
    () => replica.get("tasks", id), () => replica.transaction(() => 1), () => replica.session(), () => replica.export(),
    () => session.transmit(), () => session.settled, () => rest.next(), () => replica.list("tasks"), () => replica.subscribe(() => 1),
  ]) refused("closed", use);
  assert.deepEqual(view.toObject().votes, 0, "what was read stays");
});
