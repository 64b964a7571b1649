// Who is let in, what they may read and write, and what becomes of a refused change.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { open, pump, refused } from "./help.mjs";

const guard = ({ token, replica, life }) => {
  assert.match(replica, /^[0-9a-f-]{36}$/);
  assert.match(life, /^[0-9a-f]{16}$/);
  const name = token && new TextDecoder().decode(token);
  if (name === "manager") return { all: "readWrite", of: "the manager" };
  if (name === "clerk") return { all: "readWrite", collections: { salaries: "none", news: "read" } };
  return { refuse: "sign in again", code: 401 };
};

/** One session of a client with a guarded server. */
function visit(client, server, options) {
  const sessions = [client.session(options), server.session({ guard })];
  pump(...sessions);
  return sessions;
}

const add = (replica, collection, text) => replica.transaction((tx) => {
  const document = tx.create(collection);
  document.set("text", text);
  return document.id;
});

const texts = (replica, collection) => [...replica.list(collection)].map(([, document]) => document.text);

test("without a token, or with a wrong one, nobody is let in, and nothing is exchanged", () => {
  const [server, client] = [open(), open()];
  add(server, "news", "secret");
  add(client, "news", "mine");
  const [before, root] = [server.root(), client.root()];
  for (const options of [{}, { token: "thief" }, { token: new Uint8Array([255]) }]) {
    const [at, bt] = visit(client, server, options);
    for (const session of [at, bt]) {
      assert.equal(session.status().ended, "not-admitted");
      const event = session.events().find(({ type }) => type === "not-admitted");
      assert.deepEqual(event.refusal, { code: 401, reason: "sign in again" });
    }
  }
  assert.deepEqual([server.root(), client.root()], [before, root]);
});

test("what may not be read is not sent, and what may not be written is taken back and kept", () => {
  const server = open();
  const client = open({ followsServer: true });
  add(server, "salaries", "1,000");
  add(server, "news", "for all");
  const options = { token: new TextEncoder().encode("clerk") };
  const [at] = visit(client, server, options);
  assert.deepEqual(at.status().terms, { readsEverything: false, writesEverything: false });
  assert.deepEqual(texts(client, "salaries"), []);
  assert.deepEqual(texts(client, "news"), ["for all"]);

  const { dot, value: id } = add(client, "news", "not allowed");
  add(client, "tasks", "allowed");
  const [again] = visit(client, server, options);
  assert.deepEqual(texts(server, "tasks"), ["allowed"]);
  assert.deepEqual(texts(server, "news"), ["for all"]);
  assert.deepEqual(texts(client, "news"), ["for all"]);
  const event = again.events().find(({ type }) => type === "change-refused");
  assert.deepEqual([event.dot, event.refusal.code, event.withdrawn], [dot, 403, true]);
  const [rejected, ...others] = client.rejected();
  assert.deepEqual(others, []);
  assert.deepEqual([rejected.dot, rejected.refusal.code, rejected.by], [dot, 403, server.replicaId]);
  assert.deepEqual(rejected.documents, [{ collection: "news", id, document: { text: "not allowed" } }]);

  // Issued where it is allowed, and dropped, together.
  client.transaction((tx) => {
    tx.create("tasks").set("text", rejected.documents[0].document.text);
    assert.equal(tx.dropRejected(rejected.dot), true);
  });
  assert.deepEqual(client.rejected(), []);
  assert.equal(client.dropRejected(rejected.dot), false);
  visit(client, server, options);
  assert.deepEqual(texts(server, "tasks").sort(), ["allowed", "not allowed"]);
  refused("argument", () => client.dropRejected("text"));
  refused("argument", () => client.dropRejected({ replica: "no id", counter: 1 }));
});

test("a change that is refused and dropped is gone", () => {
  const [server, client] = [open(), open({ followsServer: true })];
  const { dot } = add(client, "news", "not allowed");
  const [session] = visit(client, server, { token: "clerk" });
  const event = session.events().find(({ type }) => type === "change-refused");
  assert.deepEqual([event.dot, event.withdrawn], [dot, true]);
  assert.deepEqual(texts(client, "news"), []);
  assert.equal(client.dropRejected(dot), true);
  assert.deepEqual(client.rejected(), []);
  assert.deepEqual(texts(server, "news"), []);
});

test("one that follows nobody has no session with a server that may refuse", () => {
  const [server, equal] = [open(), open()];
  add(equal, "news", "not allowed");
  assert.throws(() => visit(equal, server, { token: "clerk" }), { code: "must-follow" });
  assert.deepEqual([texts(equal, "news"), texts(server, "news")], [["not allowed"], []]);
});

test("a change that was exported before it was refused is taken back where the state is opened", () => {
  const [server, first] = [open(), open({ followsServer: true })];
  const { dot, value: id } = first.transaction((tx) => {
    const document = tx.create("news");
    document.set("text", "not allowed");
    return document.id;
  });
  add(first, "tasks", "allowed");
  const second = open({ followsServer: true, state: first.export() });
  assert.equal(second.root(), first.root());
  const [session] = visit(second, server, { token: "clerk" });
  const event = session.events().find(({ type }) => type === "change-refused");
  assert.deepEqual([event.dot, event.withdrawn], [dot, true]);
  assert.deepEqual([texts(second, "news"), texts(second, "tasks"), texts(server, "tasks")], [[], ["allowed"], ["allowed"]]);
  assert.deepEqual(second.rejected().map((one) => [one.dot, one.documents[0].id]), [[dot, id]]);
  // What is rejected goes along, too; but not into a replica that has a life of its own.
  const third = open({ followsServer: true, state: second.export() });
  assert.deepEqual(third.rejected(), second.rejected());
  const other = open({ followsServer: true });
  add(other, "tasks", "own");
  other.import(second.export());
  assert.deepEqual(other.rejected(), []);
});

test("who may do everything ends up equal to the server", () => {
  const [server, manager] = [open(), open()];
  add(server, "salaries", "1,000");
  add(manager, "news", "for all");
  visit(manager, server, { token: "manager" });
  assert.equal(server.root(), manager.root());
});

test("options of the door are checked", () => {
  const replica = open();
  refused("argument", () => replica.session({ token: 5 }));
  refused("argument", () => replica.session({ guard: "everyone" }));
});

test("a guard that fails, gives nonsense or a promise lets nobody in, and says so", () => {
  const app = `
    import { Replica } from "rejoin";
    const open = () => Replica.open({ secret: "s" });
    process.on("uncaughtException", (error) => console.log("surfaced:", error.message));
    const guards = [() => { throw new Error("of the app"); }, () => undefined, async () => ({ all: "read" }), () => ({ all: "every" }),
      () => ({ refuse: "r", code: 70000 })];
    for (const guard of guards) {
      const [a, b] = [open().session({ guard }), open().session()];
      for (let moved = true; moved; ) {
        moved = false;
        for (const [from, to] of [[a, b], [b, a]]) {
          for (let message; (message = from.transmit()); moved = true) to.receive(message);
        }
      }
      console.log(b.status().ended, b.events().find(({ type }) => type === "not-admitted").refusal.reason);
    }`;
  const said = execFileSync(process.execPath, ["--input-type=module", "--eval", app], { encoding: "utf8" }).trim().split("\n");
  assert.deepEqual(said.slice(0, 5), Array(5).fill("not-admitted the guard failed"));
  assert.equal(said.length, 9, said.join("\n"));
  assert.equal(said[5], "surfaced: of the app");
});
