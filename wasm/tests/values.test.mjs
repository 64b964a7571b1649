// Values go in and come out exactly, or are refused.

import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";

import { Timestamp } from "rejoin";

import { create, edit, open, refused, sync } from "./help.mjs";

const roundTrip = (value) => {
  const replica = open();
  const id = create(replica, (task) => task.set("free", value));
  const other = open();
  sync(replica, other);
  assert.deepEqual(other.get("tasks", id), replica.get("tasks", id));
  return other.get("tasks", id).free;
};

test("every kind of value comes back as it went in", () => {
  const values = [
    null, true, false, 0, 1, 63, 64, -1, -64, 0x3fffffff, 0x40000000, -0x3fffffff, -0x40000000, 2 ** 31, 2 ** 32,
    Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n, -(2n ** 53n),
    0.5, -1.25, 1e300, -5e-324, 2 ** 53, Infinity, -Infinity, NaN,
    "", "a", "x".repeat(127), "x".repeat(128), "é".repeat(100), "\u{1f600}", "\ufeffmarked", "\0",
    new Date(0), new Date(-1), new Date(8.64e15), new Date(-8.64e15),
    new Uint8Array(), new Uint8Array([0, 255]), new Uint8Array(1000).fill(7),
    [], [[], [null]], {}, { a: 1, b: { c: [1, "two", null] } }, { "": 0, $ref: 1 },
  ];
  for (const value of values) assert.deepEqual(roundTrip(value), value);
  assert.deepEqual(roundTrip(values), values);
});

test("whole numbers are numbers when exact and bigints when not; -0 is 0", () => {
  assert.equal(roundTrip(5n), 5);
  assert.equal(roundTrip(2n ** 53n - 1n), 2 ** 53 - 1);
  assert.equal(roundTrip(2n ** 53n), 2n ** 53n);
  assert.ok(Object.is(roundTrip(-0), 0));
});

test("timestamps beyond Date are Timestamps", () => {
  for (const ms of [8_640_000_000_000_001n, -(2n ** 63n), 2n ** 63n - 1n]) {
    const back = roundTrip(new Timestamp(ms));
    assert.ok(back instanceof Timestamp);
    assert.equal(back.ms, ms);
  }
  assert.deepEqual(roundTrip(new Timestamp(5n)), new Date(5));
  refused("value", () => new Timestamp(2n ** 63n));
  refused("value", () => new Timestamp(5));
});

test("a key that would change what an object is stays a key", () => {
  const value = JSON.parse('{"__proto__": {"polluted": true}, "constructor": 1}');
  const back = roundTrip(value);
  assert.equal({}.polluted, undefined);
  assert.equal(back.polluted, undefined);
  assert.equal(Object.getPrototypeOf(back), Object.prototype);
  assert.deepEqual(Object.keys(back).sort(), ["__proto__", "constructor"]);
  const replica = open();
  const id = create(replica, (task) => task.set("__proto__", 1));
  assert.deepEqual(Object.keys(replica.get("tasks", id)).includes("__proto__"), true);
});

test("objects of another realm and without a prototype are plain", () => {
  assert.deepEqual(roundTrip(runInNewContext("({ a: [1] })")), { a: [1] });
  assert.deepEqual(roundTrip(Object.assign(Object.create(null), { a: 1 })), { a: 1 });
});

test("keys are put in the order of their bytes, not of UTF-16", () => {
  const keys = ["\u{1f600}", "\ufffd", "\u{10000}", "z", "é"];
  assert.deepEqual(roundTrip(Object.fromEntries(keys.map((key) => [key, 1]))), Object.fromEntries(keys.map((key) => [key, 1])));
});

test("what cannot be said exactly is refused, and nothing is written", () => {
  const cycle = {};
  cycle.list = [cycle];
  const replica = open();
  const id = create(replica);
  const root = replica.root();
  class Point {}
  const bad = [
    undefined, () => 1, Symbol("s"), 2n ** 63n, -(2n ** 63n) - 1n, new Date(NaN), cycle, new Point(), new Map(), new Set(),
    new Uint16Array(1), /x/, "\ud800", { "\udc00": 1 }, { a: undefined }, [1, , 2], [() => 1],
  ];
  for (const value of bad) {
    refused("value", () => edit(replica, id, (task) => task.set("free", value)));
    refused("value", () => edit(replica, id, (task) => task.addTo("tags", value)));
  }
  assert.equal(replica.root(), root);
});

test("an object that appears twice is no cycle", () => {
  const twice = { a: 1 };
  assert.deepEqual(roundTrip([twice, twice]), [{ a: 1 }, { a: 1 }]);
});

test("limits are named, with the size and the limit", () => {
  const replica = open();
  const id = create(replica);
  const root = replica.root();
  const set = (value, field = "free") => edit(replica, id, (task) => task.set(field, value));
  const nested = (depth) => { let value = []; for (; depth > 1; depth -= 1) value = [value]; return value; };
  set(nested(64));
  edit(replica, id, (task) => task.remove("free"));
  for (const depth of [65, 72, 73, 5000]) {
    assert.equal(refused("limit", () => set(nested(depth))).details.limit, 64);
  }
  set("x".repeat((1 << 20) - 4));
  const large = refused("limit", () => set("x".repeat(1 << 20)));
  const where = { field: "free", path: ["free"] };
  assert.deepEqual(large.details, { what: "bytes of a value", size: (1 << 20) + 4, limit: 1 << 20, ...where });
  refused("limit", () => set(new Array(1 << 16).fill(0)));
  refused("limit", () => set(new Array(1 << 17).fill(0)));
  refused("limit", () => set(1, "f".repeat(1025)));
  refused("limit", () => replica.transaction((tx) => tx.create("c".repeat(1025))));
  assert.notEqual(replica.root(), root);
});

test("a value that is refused is refused with the name of its field", () => {
  const replica = open();
  const id = create(replica);
  const [large, most] = ["x".repeat(1 << 20), 2n ** 63n - 1n];
  for (const [code, work, ...path] of [
    ["value", (task) => task.set("photo", undefined), "photo"],
    ["value", (task) => task.resolve("title", () => 1), "title"],
    ["value", (task) => task.addTo("tags", Symbol("s")), "tags"],
    ["value", (task) => task.removeFrom("tags", { a: undefined }), "tags"],
    ["value", (task) => task.map("address").map("geo").set("at", new Date(NaN)), "address", "geo", "at"],
    ["limit", (task) => task.set("free", large), "free"],
    ["limit", (task) => task.map("address").set("street", large), "address", "street"],
    ["overflow", (task) => [most, most, 2].forEach((step) => task.increment("votes", step)), "votes"],
  ]) {
    const error = refused(code, () => edit(replica, id, work));
    assert.ok(error.message.startsWith(`the field "${path.join(".")}": `), error.message);
    assert.equal(error.details.field, path.at(-1));
    assert.deepEqual(error.details.path, path);
  }
  const { message } = refused("value", () => edit(replica, id, (task) => task.set("photo", undefined)));
  assert.equal(message, 'the field "photo": this value cannot be stored: undefined; remove the field, or use null');
  const long = refused("limit", () => edit(replica, id, (task) => task.set("f".repeat(5000), 1)));
  assert.ok(long.message.length < 300, "a message stays short, however long the name");
  assert.equal(refused("limit", () => edit(replica, id, (task) => task.map("f".repeat(5000)))).details.path[0].length, 5000);
  assert.equal("field" in refused("limit", () => replica.transaction((tx) => tx.create("c".repeat(1025)))).details, false);
});
