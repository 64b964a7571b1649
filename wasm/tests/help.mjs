// What the tests share.

import assert from "node:assert/strict";

import { Replica, RejoinError } from "rejoin";

export const TYPES = {
  tasks: {
    title: "detect",
    note: "lww",
    price: "manual",
    votes: "counter",
    seen: "growCounter",
    tags: "set",
    labels: "growSet",
    done: "flag",
    address: { street: "lww", visits: "counter", geo: { at: "detect" } },
    priority: { custom: (siblings) => Math.max(...siblings.map((one) => one.value)), name: "highest", version: 2 },
  },
};

export const open = (options = {}) => Replica.open({ secret: "team 42", collections: TYPES, ...options });

/** Checks that something throws a RejoinError of a code, and gives it. */
export function refused(code, work) {
  let error;
  try {
    work();
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error instanceof RejoinError, `expected a RejoinError, got ${error}`);
  assert.ok(error instanceof Error);
  assert.equal(error.name, "RejoinError");
  assert.equal(error.code, code, error.message);
  assert.ok(error.message.length > 0);
  return error;
}

/** Carries messages between two sessions until neither has any more. */
export function pump(a, b) {
  for (let moved = true; moved; ) {
    moved = false;
    for (const [from, to] of [[a, b], [b, a]]) {
      for (let message; (message = from.transmit()); moved = true) to.receive(message);
    }
  }
}

export function sync(a, b) {
  const sessions = [a.session(), b.session()];
  pump(...sessions);
  assert.ok(sessions.every((session) => session.settled));
  assert.equal(a.root(), b.root());
  assert.deepEqual(a.canonicalBytes(), b.canonicalBytes());
  return sessions;
}

/** A document with what the callback writes into it. */
export const create = (replica, edit = () => {}) =>
  replica.transaction((tx) => {
    const task = tx.create("tasks");
    edit(task);
    return task.id;
  }).value;

export const edit = (replica, id, work) => replica.transaction((tx) => work(tx.open("tasks", id)));

/** Numbers that repeat (mulberry32). */
export function randomNumbers(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
