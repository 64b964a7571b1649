// Values as bytes and back: the canonical encoding of PROTOCOL.md, in which all values cross to and from the module.

import { RejoinError } from "./error.js";

const NULL = 1, FALSE = 2, TRUE = 3, INT = 4, FLOAT = 5, TIMESTAMP = 6, TEXT = 7, BYTES = 8, ARRAY = 9, OBJECT = 10;
/** Tags from here: the whole numbers 0 to 63. */
const SMALL_INT = 0x40;
/** Tags from here: texts of 0 to 127 bytes. */
const SHORT_TEXT = 0x80;
/** How deep arrays and objects may nest; the module counts more exactly, this stops cycles that are not noticed. */
const MAX_DEPTH = 72;
/** The milliseconds that a Date can hold, either way. */
const MAX_DATE = 8.64e15;

const utf8 = new TextEncoder();
// A leading byte order mark is part of the text.
const text = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** A timestamp, for those that a Date cannot hold. */
export class Timestamp {
  constructor(ms) {
    if (typeof ms !== "bigint" || BigInt.asIntN(64, ms) !== ms) {
      throw new RejoinError("value", "a Timestamp takes milliseconds as a bigint of 64 bits");
    }
    this.ms = ms;
  }
}

/** True for text that UTF-8 can say: without halves of surrogate pairs. */
export const isWellFormed = (string) => !/\p{Surrogate}/u.test(string);

/** A whole number as a number where that is exact, else as a bigint. */
export const exact = (number) =>
  number >= Number.MIN_SAFE_INTEGER && number <= Number.MAX_SAFE_INTEGER ? Number(number) : number;

/** Encodes a value. What cannot be said exactly is refused. */
export function encode(value) {
  const writer = new Writer();
  writer.value(value, []);
  return writer.bytes.subarray(0, writer.length);
}

/** Reads a value; no bytes are `undefined`. */
export const decode = (bytes) => (bytes.length === 0 ? undefined : new Reader(bytes).value());

class Writer {
  bytes = new Uint8Array(256);
  length = 0;

  /** Makes room for so many bytes more, and tells where it is. */
  take(count) {
    const start = this.length;
    this.length += count;
    if (this.length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(this.length, this.bytes.length * 2));
      grown.set(this.bytes);
      this.bytes = grown;
    }
    return start;
  }

  byte(byte) {
    const at = this.take(1);
    this.bytes[at] = byte;
  }

  raw(bytes) {
    const at = this.take(bytes.length);
    this.bytes.set(bytes, at);
  }

  /** LEB128 of a number below 2^31. */
  unsigned(number) {
    for (; number >= 0x80; number >>>= 7) this.byte((number & 0x7f) | 0x80);
    this.byte(number);
  }

  /** Zigzag LEB128 of a whole number of 64 bits. */
  signed(number) {
    if (number >= -0x3fffffff && number <= 0x3fffffff) {
      number = Number(number);
      this.unsigned((number << 1) ^ (number >> 31));
      return;
    }
    number = BigInt(number);
    let rest = BigInt.asUintN(64, (number << 1n) ^ (number >> 63n));
    for (; rest >= 0x80n; rest >>= 7n) this.byte(Number(rest & 0x7fn) | 0x80);
    this.byte(Number(rest));
  }

  text(string) {
    if (!isWellFormed(string)) refuse("a text with half a surrogate pair");
    const bytes = utf8.encode(string);
    if (bytes.length < 128) {
      this.byte(SHORT_TEXT | bytes.length);
    } else {
      this.byte(TEXT);
      this.unsigned(bytes.length);
    }
    this.raw(bytes);
  }

  integer(number) {
    if (number >= 0 && number < 64) {
      this.byte(SMALL_INT | Number(number));
    } else {
      this.byte(INT);
      this.signed(number);
    }
  }

  number(number) {
    if (Number.isSafeInteger(number)) {
      this.integer(number);
      return;
    }
    this.byte(FLOAT);
    const at = this.take(8);
    // The one NaN: other engines may have other bits.
    if (Number.isNaN(number)) this.bytes.set([0, 0, 0, 0, 0, 0, 0xf8, 0x7f], at);
    else new DataView(this.bytes.buffer).setFloat64(at, number, true);
  }

  value(value, within) {
    switch (typeof value) {
      case "boolean":
        return this.byte(value ? TRUE : FALSE);
      case "number":
        return this.number(value);
      case "bigint":
        if (BigInt.asIntN(64, value) !== value) refuse("a bigint beyond 64 bits");
        return this.integer(value);
      case "string":
        return this.text(value);
      case "object":
        return value === null ? this.byte(NULL) : this.object(value, within);
      default:
        refuse(value === undefined ? "undefined; remove the field, or use null" : `a ${typeof value}`);
    }
  }

  object(object, within) {
    if (object instanceof Date) {
      const ms = object.getTime();
      if (Number.isNaN(ms)) refuse("an invalid Date");
      this.byte(TIMESTAMP);
      return this.signed(ms);
    }
    if (object instanceof Timestamp) {
      this.byte(TIMESTAMP);
      return this.signed(object.ms);
    }
    if (object instanceof Uint8Array) {
      this.byte(BYTES);
      this.unsigned(object.length);
      return this.raw(object);
    }
    if (within.includes(object)) refuse("a cycle: an object that contains itself");
    if (within.length === MAX_DEPTH) {
      const details = { what: "nesting of a value", size: MAX_DEPTH + 1, limit: 64 };
      throw new RejoinError("limit", "a value nests more than 64 levels deep", details);
    }
    within.push(object);
    if (Array.isArray(object)) this.array(object, within);
    else if (isPlain(object)) this.entries(object, within);
    else refuse(`an instance of ${object.constructor?.name ?? "a class"}; only plain objects can be stored`);
    within.pop();
  }

  array(array, within) {
    this.byte(ARRAY);
    this.unsigned(array.length);
    for (let index = 0; index < array.length; index += 1) this.value(array[index], within);
  }

  entries(object, within) {
    const keys = Object.keys(object).map((key) => {
      if (!isWellFormed(key)) refuse("a key with half a surrogate pair");
      return [utf8.encode(key), key];
    });
    keys.sort(([a], [b]) => compare(a, b));
    this.byte(OBJECT);
    this.unsigned(keys.length);
    for (const [bytes, key] of keys) {
      this.unsigned(bytes.length);
      this.raw(bytes);
      this.value(object[key], within);
    }
  }
}

function refuse(what) {
  throw new RejoinError("value", `this value cannot be stored: ${what}`);
}

/** True for objects of `{}`, also of another realm, and for those without a prototype. */
export function isPlain(object) {
  const prototype = Object.getPrototypeOf(object);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** The order of bytes: that of UTF-16 differs from it beyond U+FFFF. */
function compare(a, b) {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    if (a[index] !== b[index]) return a[index] - b[index];
  }
  return a.length - b.length;
}

/** Reads what the module wrote, which is always well formed. */
class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  take(count) {
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  unsigned() {
    let number = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes[this.at++];
      number += (byte & 0x7f) * scale;
      if (byte < 0x80) return number;
    }
  }

  signed() {
    const start = this.at;
    while (this.bytes[this.at++] >= 0x80);
    if (this.at - start <= 4) {
      this.at = start;
      const bits = this.unsigned();
      return (bits >>> 1) ^ -(bits & 1);
    }
    let bits = 0n;
    for (let index = this.at - 1; index >= start; index -= 1) bits = (bits << 7n) | BigInt(this.bytes[index] & 0x7f);
    return exact((bits >> 1n) ^ -(bits & 1n));
  }

  text(length) {
    return text.decode(this.take(length));
  }

  value() {
    const tag = this.bytes[this.at++];
    if (tag >= SHORT_TEXT) return this.text(tag - SHORT_TEXT);
    if (tag >= SMALL_INT) return tag - SMALL_INT;
    switch (tag) {
      case NULL:
        return null;
      case FALSE:
      case TRUE:
        return tag === TRUE;
      case INT:
        return this.signed();
      case FLOAT: {
        const bytes = this.take(8);
        return new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0, true);
      }
      case TIMESTAMP: {
        const ms = this.signed();
        return ms >= -MAX_DATE && ms <= MAX_DATE ? new Date(Number(ms)) : new Timestamp(BigInt(ms));
      }
      case TEXT:
        return this.text(this.unsigned());
      case BYTES:
        return this.take(this.unsigned()).slice();
      case ARRAY:
        return Array.from({ length: this.unsigned() }, () => this.value());
      default:
        return this.object();
    }
  }

  object() {
    const object = {};
    for (let count = this.unsigned(); count > 0; count -= 1) {
      const key = this.text(this.unsigned());
      const value = this.value();
      // Assigned, this one would change what the object is.
      if (key === "__proto__") {
        Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
      } else {
        object[key] = value;
      }
    }
    return object;
  }
}
