// What apps hand in: checked once, at the door.

import { RejoinError } from "./error.js";
import { isWellFormed } from "./value.js";

export const refuse = (message) => {
  throw new RejoinError("argument", message);
};

export function text(value, what) {
  if (typeof value !== "string") refuse(`${what} has to be a string`);
  if (!isWellFormed(value)) refuse(`${what} has half a surrogate pair in it`);
  return value;
}

export function bytes(value, what) {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  return value instanceof Uint8Array ? value : refuse(`${what} has to be a Uint8Array`);
}

export function milliseconds(value, what) {
  const fits = typeof value === "number" && value >= 0 && value < Infinity;
  return fits ? Math.floor(value) : refuse(`${what} has to be a number of milliseconds`);
}

export function callback(value, what) {
  return typeof value === "function" ? value : refuse(`${what} has to be a function`);
}

export function object(value, what) {
  return typeof value === "object" && value !== null ? value : refuse(`${what} has to be an object`);
}

export function whole(value, what) {
  const fits = typeof value === "bigint" ? BigInt.asIntN(64, value) === value : Number.isSafeInteger(value);
  return fits ? value : refuse(`${what} has to be a whole number of 64 bits`);
}

/** A secret or a token. */
export const textOrBytes = (value, what) =>
  typeof value === "string" ? new TextEncoder().encode(text(value, what)) : bytes(value, what);

/** A dot, as the module reads it. */
export const dot = (value) => [text(object(value, "a dot").replica, "a replica"), whole(value.counter, "a counter")];
