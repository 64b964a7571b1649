// The replica: what an app holds.

import { Core, protocolVersion as version } from "./bindings.js";
import * as check from "./check.js";
import { call, describe, refuseWhileResolving } from "./custom.js";
import { wrapGuard } from "./door.js";
import { RejoinError, report } from "./error.js";
import { Session } from "./session.js";
import { Scope, Transaction } from "./transaction.js";
import { decode, encode } from "./value.js";
import { DocumentView } from "./view.js";

const OPEN_OPTIONS = ["secret", "collections", "deleteWins", "state", "durable", "followsServer", "now", "random"];
const SESSION_OPTIONS = ["timeoutMs", "token", "guard"];

/** Documents read at a time. */
const PAGE = 256;
const OPEN = Symbol("open");

let isLoaded = false;

/** Called by the entries when the module is there. */
export const loaded = () => {
  isLoaded = true;
};

const needModule = () => {
  if (!isLoaded) throw new RejoinError("not-initialized", "the module is not loaded yet: `await init()` comes first");
};

export function protocolVersion() {
  needModule();
  return version();
}

export class Replica {
  #core;
  #now;
  #random;
  #subscribers = new Set();
  #telling = false;

  constructor(key, core, now, random) {
    if (key !== OPEN) throw new RejoinError("argument", "a replica is opened with Replica.open()");
    this.#core = core;
    this.#now = now;
    this.#random = random;
    this.replicaId = core.replicaId();
  }

  status() {
    return decode(this.#open().status(this.#time()));
  }

  static open(options) {
    needModule();
    const { secret, collections = {}, state } = check.options(options, OPEN_OPTIONS);
    check.plainObject(collections, "`collections` has");
    const winning = winningDeletions(options.deleteWins ?? [], Object.keys(collections));
    const durable = check.flag(options.durable, "`durable`");
    const follows = check.flag(options.followsServer, "`followsServer`");
    const now = check.callback(options.now ?? Date.now, "`now`");
    const random = check.callback(options.random ?? drawRandom, "`random`");
    const key = check.textOrBytes(secret, "the secret");
    const core = new Core(key, uuid(random(16), 4), random(8), durable, follows);
    const replica = new Replica(OPEN, core, now, random);
    for (const [name, fields] of Object.entries(collections)) {
      replica.declare(name, fields, { deleteWins: winning.includes(name) });
    }
    if (state !== undefined) replica.import(state);
    return replica;
  }

  declare(collection, fields, options = {}) {
    const core = this.#open();
    const name = check.collection(collection);
    const { deleteWins } = check.options(options, ["deleteWins"]);
    const [described, functions] = describe(name, fields);
    core.declare(name, described, functions, check.flag(deleteWins, "`deleteWins`"));
  }

  transaction(edit) {
    check.callback(edit, "the edit");
    const core = this.#open();
    let value;
    const dot = core.transact(this.#time(), (send) => {
      const scope = new Scope(send, () => this.#newId());
      try {
        value = edit(new Transaction(scope));
        refusePromise(value);
      } finally {
        scope.end();
      }
    });
    this.#tell();
    return { value, dot: decode(dot) };
  }

  get(collection, id) {
    const place = [check.collection(collection), check.id(id)];
    const core = this.#open();
    return decode(call(() => core.get(...place)));
  }

  list(collection) {
    this.#open();
    return this.#pages(check.collection(collection));
  }

  *#pages(collection) {
    for (let after = "", page; page === undefined || page.length === PAGE; ) {
      const core = this.#open();
      page = decode(call(() => core.list(collection, after, PAGE)));
      yield* page;
      after = page.at(-1)?.[0];
    }
  }

  document(collection, id) {
    const place = [check.collection(collection), check.id(id)];
    const view = this.#open().view(...place);
    return view && new DocumentView(view, place[1]);
  }

  subscribe(callback) {
    const subscriber = { callback: check.callback(callback, "a subscriber") };
    this.#open().listen(true);
    this.#subscribers.add(subscriber);
    return () => {
      this.#subscribers.delete(subscriber);
    };
  }

  session(options = {}) {
    const { timeoutMs = 30_000, token, guard } = check.options(options, SESSION_OPTIONS);
    const timeout = check.milliseconds(timeoutMs, "`timeoutMs`");
    const shown = token === undefined ? undefined : check.textOrBytes(token, "the token");
    const wrapped = guard === undefined ? undefined : wrapGuard(check.callback(guard, "the guard"));
    const random = [this.#random(8), uuid(this.#random(16), 4), this.#random(8)];
    const core = this.#open().session(...random, timeout, this.#time(), shown, wrapped);
    return new Session(core, {
      now: () => this.#time(),
      open: () => this.#open(),
      tell: () => {
        // A session may find out that this replica is a copy.
        this.replicaId = this.#core.replicaId();
        this.#tell();
      },
    });
  }

  rejected() {
    const core = this.#open();
    return decode(call(() => core.rejected()));
  }

  parked(limit = 100) {
    const core = this.#open();
    const parked = decode(core.parked(check.count(limit, "`limit`"), this.#time()));
    this.#tell();
    return parked;
  }

  dropRejected(dot) {
    return this.#open().dropRejected(encode(check.dot(dot)));
  }

  export() {
    return this.#open().export();
  }

  import(state) {
    const cells = this.#open().import(check.bytes(state, "a state"), this.#time());
    this.#tell();
    return cells;
  }

  root() {
    return this.#open().root();
  }

  canonicalBytes() {
    return this.#open().canonicalBytes();
  }

  close() {
    if (this.#core === undefined) return;
    // Refused while the replica is in use further up.
    this.#core.listen(false);
    this.#core.free();
    this.#core = undefined;
    this.#subscribers.clear();
  }

  #open() {
    refuseWhileResolving();
    if (this.#core === undefined) throw new RejoinError("closed", "the replica was closed");
    return this.#core;
  }

  #time() {
    return check.milliseconds(this.#now.call(undefined), "what `now` gives");
  }

  /** A random id that is also roughly in the order of creation: a UUIDv7. */
  #newId() {
    const bytes = new Uint8Array(16);
    bytes.set(check.bytes(this.#random(10), "what `random` gives").subarray(0, 10), 6);
    // The milliseconds are the upper 48 of these 64 bits; the lower 16 are random.
    const low = (bytes[6] << 8) | bytes[7];
    new DataView(bytes.buffer).setBigUint64(0, (BigInt(this.#time()) << 16n) | BigInt(low));
    const hex = Array.from(uuid(bytes, 7), (byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }

  /** Tells the subscribers what happened, in order. A subscriber that changes something is told of it after this. */
  #tell() {
    if (this.#telling) return;
    this.#telling = true;
    try {
      for (let events; (events = this.#takeEvents()) !== undefined; ) {
        for (const event of events) this.#tellAll(event);
      }
    } finally {
      this.#telling = false;
    }
  }

  #takeEvents() {
    if (this.#subscribers.size > 0) return decode(this.#core.takeEvents());
    this.#core?.listen(false);
    return undefined;
  }

  #tellAll(event) {
    for (const subscriber of [...this.#subscribers]) {
      if (!this.#subscribers.has(subscriber)) continue;
      try {
        subscriber.callback.call(undefined, event);
      } catch (error) {
        report(error);
      }
    }
  }
}

/** The collections in which deletions win. A mistyped name would leave the one that was meant as it is. */
function winningDeletions(names, declared) {
  if (!Array.isArray(names)) check.refuse("`deleteWins` has to be an array of names of collections");
  for (const name of names) {
    check.text(name, "a name in `deleteWins`");
    if (!declared.includes(name)) {
      const hint = check.didYouMean(name, declared) || "; add it there, with `{}` if all its fields are \"lww\"";
      check.refuse(`\`deleteWins\` names \`${name}\`, which is not among \`collections\`${hint}`);
    }
  }
  return names;
}

const drawRandom = (length) => crypto.getRandomValues(new Uint8Array(length));

/** Gives 16 bytes the marks of a UUID version. */
function uuid(random, version) {
  const bytes = Uint8Array.from(check.bytes(random, "what `random` gives"));
  bytes[6] = (bytes[6] & 0x0f) | (version << 4);
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes;
}

function refusePromise(value) {
  if (typeof value?.then !== "function") return;
  // What it does after the transaction fails, and nobody waits for it.
  Promise.resolve(value).catch(() => {});
  throw new RejoinError("async-transaction", "a transaction cannot wait: do what is asynchronous before or after it");
}
