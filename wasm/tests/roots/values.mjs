// Values as they stand in the file of histories, and as the package takes and gives them.

import { Timestamp } from "rejoin";

/** The last millisecond that a `Date` can hold, either way. */
const DATE_MS = 8_640_000_000_000_000n;

/** Gives the two ways of writing the same value in turns. */
let turn = false;
const either = (one, other) => ((turn = !turn) ? one() : other());

/** A value of the file as the package takes it. */
export function decode(json) {
  if (json === null || typeof json !== "object") return json;
  if (Array.isArray(json)) return json.map(decode);
  const [[tag, content]] = Object.entries(json);
  switch (tag) {
    case "$int": {
      const whole = BigInt(content);
      const exact = Number.isSafeInteger(Number(whole));
      if (whole === 0n) return either(() => 0, () => -0);
      return exact ? either(() => Number(whole), () => whole) : whole;
    }
    case "$float": {
      const bits = Buffer.from(content, "hex");
      return bits.readDoubleBE();
    }
    case "$timestamp": {
      const ms = BigInt(content);
      const dated = -DATE_MS <= ms && ms <= DATE_MS;
      return dated ? either(() => new Date(Number(ms)), () => new Timestamp(ms)) : new Timestamp(ms);
    }
    case "$bytes":
      return Uint8Array.from(Buffer.from(content, "hex"));
    case "$object":
      // Not by assignment: that would take `__proto__` for something else.
      return Object.fromEntries(content.map(([key, value]) => [key, decode(value)]));
    default:
      throw new Error(`the file has the unknown tag ${tag}`);
  }
}

/** What the package gave, as it stands in the file. */
export function encode(value) {
  switch (typeof value) {
    case "boolean":
    case "string":
      return value;
    case "bigint":
      if (Number.isSafeInteger(Number(value))) throw new Error(`${value}n should have been a number`);
      return { $int: value.toString() };
    case "number": {
      if (Number.isSafeInteger(value)) return { $int: value.toString() };
      const bits = Buffer.alloc(8);
      bits.writeDoubleBE(value);
      return { $float: bits.toString("hex") };
    }
  }
  if (value === null) return null;
  if (Array.isArray(value)) return value.map(encode);
  if (value instanceof Date) return { $timestamp: BigInt(value.getTime()).toString() };
  if (value instanceof Timestamp) return { $timestamp: value.ms.toString() };
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString("hex") };
  const entries = Object.entries(value).map(([key, inner]) => [key, encode(inner)]);
  return { $object: entries.sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))) };
}
