// Sessions: bytes in, bytes out.

import assert from "node:assert/strict";
import { test } from "node:test";

import { RejoinError, protocolVersion } from "rejoin";

import { create, edit, open, pump, randomNumbers, refused, sync } from "./help.mjs";

test("two replicas that met live push what changes", () => {
  const [a, b] = [open(), open()];
  const id = create(a, (task) => task.set("note", "Milk"));
  const [at, bt] = sync(a, b);
  const sizes = ["a value of 20 bytes.", "another of 20 bytes."].map((note) => {
    edit(a, id, (task) => task.set("note", note));
    const push = at.transmit();
    bt.receive(push);
    assert.equal(b.get("tasks", id).note, note);
    return push.length;
  });
  // Known to both sides, a change costs little more than its value.
  assert.ok(sizes[1] <= 36, `${sizes} bytes`);
  pump(at, bt);
  assert.equal(a.root(), b.root());
});

test("a session tells where it is and what happened", () => {
  const [a, b] = [open(), open({ durable: true })];
  create(a);
  const [at, bt] = [a.session(), b.session()];
  assert.deepEqual(at.status(), {
    peerIsDurable: false, settled: false, cursor: 0, acknowledged: 0,
    traffic: { messagesSent: 0, bytesSent: 0, messagesReceived: 0, bytesReceived: 0 },
  });
  pump(at, bt);
  const status = at.status();
  assert.equal(status.settled, true);
  assert.equal(status.peer.replica, b.replicaId);
  assert.match(status.peer.life, /^[0-9a-f]{16}$/);
  assert.equal(status.peerIsDurable, true);
  assert.equal(bt.status().peerIsDurable, false);
  assert.equal(status.peerRoot, b.root());
  assert.equal(status.way, "full");
  assert.deepEqual(status.terms, { readsEverything: true, writesEverything: true });
  assert.equal(status.traffic.bytesSent, bt.status().traffic.bytesReceived);
  const events = at.events();
  assert.deepEqual(events.map((event) => event.type).sort(), ["acknowledged", "applied", "connected", "sending"]);
  assert.equal(events[0].type, "connected");
  assert.equal(events[0].replica, b.replicaId);
  assert.equal(typeof events[0].skewMs, "number");
  assert.deepEqual(at.events(), []);
});

test("a new session resumes where the last one was", () => {
  const [a, b] = [open(), open()];
  const id = create(a);
  sync(a, b);
  edit(a, id, (task) => task.set("note", 1));
  const [at] = sync(a, b);
  assert.equal(at.status().way, "resume");
  assert.equal(sync(a, b)[0].status().way, "in-sync");
});

test("closing tells the peer, and a closed session takes nothing", () => {
  const [a, b] = [open(), open()];
  const [at, bt] = sync(a, b);
  at.close();
  pump(at, bt);
  assert.equal(at.status().ended, "closed");
  assert.equal(bt.status().ended, "closed");
  assert.deepEqual(bt.events().at(-1), { type: "ended", reason: "closed" });
  refused("session-ended", () => at.receive(new Uint8Array(10)));
});

test("a silent peer is given up after the time that was asked for", () => {
  let now = 1_000_000;
  const replica = open({ now: () => now });
  const session = replica.session({ timeoutMs: 500 });
  session.transmit();
  assert.equal(session.deadline, 1_000_500);
  assert.equal(session.expire(), false);
  now += 500;
  assert.equal(session.expire(), true);
  assert.equal(session.status().ended, "timed-out");
  assert.equal(session.deadline, undefined);
  refused("argument", () => replica.session({ timeoutMs: -1 }));
});

test("what goes wrong has a code, and state is as before", () => {
  const [a, b] = [open(), open()];
  create(a);
  const root = a.root();
  refused("wrong-namespace", () => a.session().receive(open({ secret: "others" }).session().transmit()));
  const own = a.session();
  refused("echo", () => own.receive(own.transmit()));
  refused("same-life", () => a.session().receive(a.session().transmit()));
  const hello = b.session().transmit();
  const cut = hello.slice(0, -1);
  refused("damaged", () => a.session().receive(cut));
  const newer = hello.slice();
  newer[3] += 1;
  const version = refused("protocol-version", () => a.session().receive(newer));
  assert.deepEqual(version.details, { theirs: protocolVersion() + 1, ours: protocolVersion() });
  refused("argument", () => a.session().receive("text"));
  refused("limit", () => a.session().receive(new Uint8Array((4 << 20) + 1)));
  a.session().receive(hello.buffer.slice(hello.byteOffset, hello.byteOffset + hello.length));
  assert.equal(a.root(), root);
});

test("a missing message is noticed, a repeated one ignored", () => {
  const [a, b] = [open(), open()];
  const id = create(a);
  const [at, bt] = sync(a, b);
  const pushes = [1, 2, 3].map((note) => { edit(a, id, (task) => task.set("note", note)); return at.transmit(); });
  assert.equal(refused("missing-messages", () => bt.receive(pushes[1])).details.messages, 1);
  bt.receive(pushes[0]);
  bt.receive(pushes[0]);
  bt.receive(pushes[1]);
  bt.receive(pushes[2]);
  pump(at, bt);
  assert.equal(a.root(), b.root());
});

test("20,000 junk messages are refused with an error of ours, and change nothing", () => {
  const [a, b] = [open(), open()];
  const id = create(a, (task) => { task.set("title", "Milk"); task.addTo("tags", "x"); task.map("address").set("street", "Elm"); });
  sync(a, b);
  const next = randomNumbers(42);
  const outcomes = new Map();
  for (let round = 0; round < 400; round += 1) {
    const [at, bt] = [a.session(), b.session()];
    const messages = [at.transmit()];
    if (round % 2) {
      bt.receive(messages[0]);
      at.receive(bt.transmit());
      edit(a, id, (task) => task.set("note", round));
      for (let message; (message = at.transmit()); ) messages.push(message);
    }
    const root = b.root();
    for (let count = 0; count < 50; count += 1) {
      const bytes = mutated(messages[next(messages.length)], next);
      try {
        bt.receive(bytes);
        outcomes.set("taken", (outcomes.get("taken") ?? 0) + 1);
      } catch (error) {
        assert.ok(error instanceof RejoinError, String(error));
        outcomes.set(error.code, (outcomes.get(error.code) ?? 0) + 1);
      }
      // A message that was not changed after all may be taken: whatever it did, it did as a message of `a`.
    }
    if (round % 2 === 0) assert.equal(b.root(), root);
  }
  assert.ok(outcomes.get("damaged") > 5000, JSON.stringify([...outcomes]));
  sync(a, b);
});

function mutated(message, next) {
  switch (next(4)) {
    case 0:
      return Uint8Array.from({ length: next(200) }, () => next(256));
    case 1:
      return message.slice(0, next(message.length));
    case 2: {
      const bytes = message.slice();
      bytes[next(bytes.length)] ^= 1 << next(8);
      return bytes;
    }
    default: {
      const bytes = new Uint8Array(message.length + 1 + next(20));
      bytes.set(message);
      return bytes;
    }
  }
}

test("three replicas with random edits, dropped sessions and reimports end up equal", () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const next = randomNumbers(seed);
    const replicas = [open(), open(), open()];
    const ids = Array.from({ length: 4 }, (_, index) => `00000000-0000-0000-0000-00000000000${index + 1}`);
    for (let step = 0; step < 120; step += 1) {
      const replica = replicas[next(3)];
      const id = ids[next(4)];
      const edits = [
        (task) => task.set("note", next(5)), (task) => task.resolve("title", next(5)), (task) => task.increment("votes", next(9) - 4),
        (task) => task.addTo("tags", next(3)), (task) => task.removeFrom("tags", next(3)), (task) => task.enable("done"),
        (task) => task.disable("done"), (task) => task.map("address").set("street", next(3)), (task) => task.remove("address"),
        (task) => task.delete(), (task) => task.reset("votes"), (task) => task.erase(),
      ];
      if (next(4)) edit(replica, id, edits[next(edits.length)]);
      else partial(replica, replicas[next(3)], next);
    }
    for (const [a, b] of [[0, 1], [1, 2], [0, 1]]) sync(replicas[a], replicas[b]);
    assert.equal(replicas[0].root(), replicas[2].root());
  }
});

/** A session that breaks somewhere, or an export that is imported. */
function partial(a, b, next) {
  if (a === b) return;
  if (next(3) === 0) {
    b.import(a.export());
    return;
  }
  const [at, bt] = [a.session(), b.session()];
  for (let count = next(12); count > 0; count -= 1) {
    const [from, to] = next(2) ? [at, bt] : [bt, at];
    const message = from.transmit();
    if (message) to.receive(message);
  }
}

test("what a device writes whose clock is a day fast is withheld, listed and shown when its time comes", () => {
  const day = 86_400_000;
  let time = 1_700_000_000_000;
  const here = open({ now: () => time });
  const fast = open({ now: () => time + day });
  const { value: id } = here.transaction((tx) => {
    const task = tx.create("tasks");
    task.set("title", "from today");
    return task.id;
  });
  sync(here, fast);
  edit(fast, id, (task) => task.set("title", "from tomorrow"));
  const [session] = sync(here, fast);
  const clocks = session.events().filter(({ type }) => type === "clock");
  assert.deepEqual(clocks, [{ type: "clock", offsetMs: day }]);
  assert.equal(here.root(), fast.root());
  assert.equal(here.get("tasks", id).title, "from today");
  const [parked, ...others] = here.parked();
  assert.deepEqual([others, parked.dot.replica, parked.documents], [[], fast.replicaId, [{ collection: "tasks", id }]]);
  assert.deepEqual([parked.until.getTime(), parked.andMore], [time + day - 60_000, false]);
  const withheld = here.document("tasks", id).withheld();
  assert.deepEqual(withheld.find(({ path }) => path.length > 0).path, ["title"]);
  // The state goes where it goes with what is shown instead.
  const again = open({ now: () => time, state: here.export() });
  assert.equal(again.get("tasks", id).title, "from today");
  assert.equal(again.root(), here.root());
  const events = [];
  again.subscribe((event) => events.push(event));
  time += day;
  assert.deepEqual(again.parked(), []);
  assert.equal(again.get("tasks", id).title, "from tomorrow");
  assert.deepEqual(events.map(({ origin }) => origin), [{ type: "clock" }]);
  // An edit would have won before.
  edit(here, id, (task) => task.set("title", "an edit"));
  assert.equal(here.get("tasks", id).title, "an edit");
});
