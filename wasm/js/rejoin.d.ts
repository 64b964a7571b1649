/**
 * Rejoin in the browser and in Node: documents that work offline. Every device has its own replica and edits it without
 * asking anyone; when two of them are connected by anything that carries bytes, both come to hold the same.
 *
 * ```js
 * import { Replica, init } from "rejoin";
 *
 * await init(); // loads the WebAssembly module; in Node it is loaded already
 * const replica = Replica.open({
 *   secret: "only our team knows this",
 *   collections: { tasks: { title: "detect", votes: "counter", tags: "set" } },
 * });
 * const { value: id } = replica.transaction((tx) => {
 *   const task = tx.create("tasks");
 *   task.set("title", "Buy milk");
 *   task.increment("votes", 1);
 *   task.addTo("tags", "home");
 *   return task.id;
 * });
 * console.log(replica.get("tasks", id)); // { tags: ["home"], title: "Buy milk", votes: 1 }
 * ```
 *
 * @module
 */

/**
 * What a field can hold. An array or an object is one value, which is replaced as a whole; what should merge inside is a
 * nested map ({@link DocumentMut.map}).
 *
 * | JavaScript | stored as |
 * |---|---|
 * | `null`, `boolean`, `string` | the same; a string with a lone surrogate is refused |
 * | `number` that is a safe integer | a whole number (−0 is 0) |
 * | any other `number` | a float; `NaN` and the infinities included |
 * | `bigint` of 64 bits | a whole number |
 * | `Date` | a timestamp in milliseconds |
 * | `Uint8Array` | bytes |
 * | array, plain object | the same, at most 64 levels deep |
 *
 * Everything else (`undefined`, functions, symbols, class instances, cycles) is refused with the code `"value"`.
 *
 * Reading gives the same back: a whole number as a `number` when that is exact and as a `bigint` when not, and a
 * timestamp beyond the years of `Date` as a {@link Timestamp}. One thing JavaScript cannot tell apart: a float that another
 * device wrote as `1.0` reads as `1`, and writing that back writes the whole number 1.
 */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Date
  | Timestamp
  | Uint8Array
  | readonly Value[]
  | { readonly [key: string]: Value };

/** A timestamp, for those that a `Date` cannot hold (±275,000 years). */
export class Timestamp {
  /** Takes milliseconds since 1970, negative before. */
  constructor(ms: bigint);
  /** Milliseconds since 1970. */
  readonly ms: bigint;
}

/** A document or nested map as it is shown: fields by name. */
export type Fields = { [field: string]: Value };

/**
 * How the simultaneous edits of a field come together.
 *
 * | type | keeps | shows |
 * |---|---|---|
 * | `"lww"` (undeclared fields too) | the latest | the latest |
 * | `"detect"` | all simultaneous values | the latest; {@link DocumentView.conflicts} lists them |
 * | `"manual"` | all simultaneous values | `{ $conflict: [values] }`, until {@link DocumentMut.resolve} |
 * | a {@link CustomType} | all simultaneous values | what your function makes of them |
 * | `"counter"`, `"growCounter"` | every step | the sum |
 * | `"set"`, `"growSet"` | every element | an array |
 * | `"flag"` | every switch | on, if switched on and off at the same time |
 * | an object of types | each field by itself | an object |
 *
 * The type is a view: devices that declare it differently hold the same data. All devices should declare the same.
 */
export type FieldType =
  | "lww"
  | "detect"
  | "manual"
  | "counter"
  | "growCounter"
  | "set"
  | "growSet"
  | "flag"
  | CustomType
  | FieldTypes;

/** The declared fields of a collection or of a nested map. */
export type FieldTypes = { readonly [field: string]: FieldType };

/**
 * A function that shows one value for several simultaneous ones.
 *
 * ```js
 * const highest = { name: "highest", version: 1, custom: (siblings) => Math.max(...siblings.map((s) => s.value)) };
 * Replica.open({ secret, collections: { tasks: { priority: highest } } });
 * ```
 */
export type CustomType = {
  /**
   * Gets all simultaneous values, the latest last and equal ones once; gives the value to show, or `undefined` for none.
   * It has to be deterministic, and may not use the replica. What it gives is never written back by itself. When it throws,
   * the read fails with the code `"resolver"`.
   */
  readonly custom: (siblings: Sibling[]) => Value | undefined;
  /** Names the function. */
  readonly name: string;
  /** Raise it whenever the results change. 1 by default. */
  readonly version?: number;
};

/** One of several values that were written without knowing of each other. */
export interface Sibling {
  /** The value; `undefined` when the field was removed. */
  readonly value: Value | undefined;
  /**
   * Which replica wrote it. A replica is no person: its id is a new one each time it is opened. To show who it was, store the
   * user's name in a field, for example in a document that each replica writes about itself.
   */
  readonly replica: string;
  /** When, by that replica's clock. */
  readonly time: Date;
  /** The transaction that wrote it. */
  readonly dot: Dot;
}

/** The name of a transaction. */
export interface Dot {
  /** Who committed it. */
  readonly replica: string;
  /** The how-manieth of that replica's transactions; the first is 1. */
  readonly counter: number | bigint;
}

/** The type of a class of the platform, where the project knows it. */
type Known<Name extends string> = typeof globalThis extends { [N in Name]: abstract new (...all: never[]) => infer T } ? T : never;
type KnownModule = typeof globalThis extends { WebAssembly: { Module: abstract new (...all: never[]) => infer T } } ? T : never;

/** The place of the `.wasm` file, its bytes, what `fetch` gives for it, or the compiled module. */
export type ModuleSource =
  | string
  | ArrayBuffer
  | ArrayBufferView
  | Known<"URL">
  | Known<"Request">
  | Known<"Response">
  | KnownModule;

/**
 * Loads the WebAssembly module; to be awaited once before anything else. In a browser it fetches the `.wasm` file that lies
 * next to this module, unless another source is given. In Node the module is loaded already, and this resolves at once.
 * Calling it again does nothing.
 *
 * ```js
 * await init();
 * await init(new URL("/assets/rejoin.wasm", location.href));
 * ```
 */
export function init(source?: ModuleSource | Promise<ModuleSource>): Promise<void>;

/** The version of the protocol that this build speaks. Peers with another one are refused. */
export function protocolVersion(): number;

/** What a replica is opened with. */
export interface OpenOptions {
  /**
   * Replicas sync only with those opened with the same secret: in every session both sides prove that they know it, without
   * sending it. Take a long random one: whoever listens can try short ones at leisure. It does not encrypt: use a transport
   * that does.
   */
  readonly secret: string | Uint8Array;
  /** How the fields of each collection come together. What is not declared is `"lww"`. */
  readonly collections?: { readonly [collection: string]: FieldTypes };
  /**
   * Collections in which a deletion wins over edits made at the same time; otherwise such an edit brings the document back. They
   * have to be among {@link OpenOptions.collections}, if only as `{}`.
   */
  readonly deleteWins?: readonly string[];
  /** What {@link Replica.export} gave, here or on another device. */
  readonly state?: Uint8Array | ArrayBuffer;
  /**
   * True when the app stores {@link Replica.export} before it lets bytes leave, so that nothing a peer has heard from this
   * replica is forgotten here. Peers are told. False by default.
   */
  readonly durable?: boolean;
  /**
   * This replica follows a server, which decides what counts: a change that the server refuses is taken back here and kept as
   * {@link Replica.rejected}. Among peers of equal rights, leave it out. Its exported state has all that this takes, for the
   * replica that is opened with it, as a follower too. A session without it fails with the code `"must-follow"` when the peer
   * has a guard that may refuse what is written here.
   */
  readonly followsServer?: boolean;
  /** The wall clock: milliseconds since 1970. `Date.now` by default. */
  readonly now?: () => number;
  /**
   * Gives so many random bytes; `crypto.getRandomValues` by default. Only for tests that have to repeat: two replicas with
   * the same id diverge.
   */
  readonly random?: (length: number) => Uint8Array;
}

/** A transaction that took effect. */
export interface Committed<T> {
  /** What the callback returned. */
  readonly value: T;
  /** The transaction's name; `undefined` when it changed nothing, and so wrote nothing. */
  readonly dot: Dot | undefined;
}

/**
 * One replica of a namespace, in memory.
 *
 * It is gone with the page, unless the app stores what {@link Replica.export} gives. Every opening writes under a new replica
 * id, also when it starts from an exported state: the same bytes may be opened twice, and two copies that write under one id
 * would diverge.
 */
export class Replica {
  private constructor();

  /**
   * Opens a replica.
   *
   * ```js
   * const replica = Replica.open({
   *   secret: "only our team knows this",
   *   collections: { tasks: { title: "detect", done: "flag", address: { street: "lww" } } },
   *   state: await loadWhereverYouLike(),
   * });
   * ```
   *
   * @throws {RejoinError} `"argument"` for options that make no sense or that there are not, `"not-initialized"` before {@link init}; with `state`
   * what {@link Replica.import} throws.
   */
  static open(options: OpenOptions): Replica;

  /** Under which id this replica writes; a new one each time it is opened, and when a session finds out that it is a copy. */
  readonly replicaId: string;

  /**
   * Declares a collection, or declares it anew. Stored data does not change.
   *
   * ```js
   * replica.declare("orders", { price: "manual" }, { deleteWins: true });
   * ```
   */
  declare(collection: string, fields: FieldTypes, options?: { readonly deleteWins?: boolean }): void;

  /**
   * Commits what the callback edits, all or nothing. A callback that throws leaves no trace, and its error is thrown on.
   * The callback has to be synchronous.
   *
   * ```js
   * const { value: id } = replica.transaction((tx) => {
   *   const task = tx.create("tasks");
   *   task.set("title", "Buy milk");
   *   return task.id;
   * });
   * ```
   *
   * @throws {RejoinError} `"async-transaction"` when the callback returns a promise; `"busy"` within another transaction.
   */
  transaction<T>(edit: (tx: Transaction) => T extends PromiseLike<unknown> ? never : T): Committed<T>;

  /**
   * Reads a document; `undefined` when it is not there. The object is a copy: changing it changes nothing here.
   *
   * Declared counters, sets and flags are shown even when nobody wrote to them (`0`, `[]`, `false`). A `"manual"` field in
   * conflict is shown as `{ $conflict: [values] }`. A counter beyond 64 bits is rounded here and exact in
   * {@link DocumentView.counter}.
   *
   * ```js
   * replica.get("tasks", id)?.title;
   * ```
   */
  get<T = Fields>(collection: string, id: string): T | undefined;

  /**
   * All documents of a collection with their ids, in the order of ids, a page at a time; what is committed meanwhile may or
   * may not be among them.
   *
   * ```js
   * for (const [id, task] of replica.list("tasks")) console.log(id, task.title);
   * const all = [...replica.list("tasks")];
   * ```
   */
  list<T = Fields>(collection: string): IterableIterator<[id: string, document: T]>;

  /**
   * Reads a document with everything that can be asked of it; `undefined` when it is not there.
   *
   * ```js
   * replica.document("tasks", id)?.conflicts("title");
   * ```
   */
  document(collection: string, id: string): DocumentView | undefined;

  /**
   * Calls back after every change, in order, until the returned function is called. The callback may use the replica. An
   * error that it throws is reported as an uncaught error and disturbs nobody else.
   *
   * ```js
   * const stop = replica.subscribe((change) => render(change.documents));
   * ```
   */
  subscribe(callback: (change: ChangeEvent) => void): () => void;

  /**
   * Starts a conversation with one peer.
   *
   * ```js
   * const session = replica.session();
   * const flush = () => { for (let m; (m = session.transmit()); ) socket.send(m); };
   * socket.onmessage = (event) => { session.receive(new Uint8Array(event.data)); flush(); };
   * replica.subscribe(flush);
   * flush();
   * ```
   */
  session(options?: SessionOptions): Session;

  /**
   * How this replica and its peers are getting on: who has what, since when somebody is behind, what went wrong. Cheap.
   *
   * ```js
   * for (const peer of replica.status().peers) console.log(peer.replica, peer.state, peer.missingThere, peer.behindMs);
   * ```
   */
  status(): ReplicaStatus;

  /**
   * The changes that a server refused, of a replica that follows one ({@link OpenOptions.followsServer}): out of the data, and
   * nothing of them is lost. Show them to the user; then either drop a change, or make the edits where they are allowed and
   * drop it in the same transaction.
   *
   * ```js
   * for (const { dot, refusal, documents } of replica.rejected()) {
   *   if (askTheUser(refusal.reason, documents)) replica.dropRejected(dot);
   * }
   * ```
   */
  rejected(): Rejected[];

  /** Forgets a change that a server refused; false when there is none of that name. */
  dropRejected(dot: Dot): boolean;

  /**
   * The changes that are kept, passed on and not shown, because the clock of the device that made them is more than a minute
   * ahead of ours; the soonest to be shown first. Empty unless a clock is wrong. Each is shown when its time has come, and an
   * edit of its fields wins over it before.
   *
   * ```js
   * for (const { dot, until } of replica.parked()) console.log(`${dot.replica} has set its clock wrong`, until);
   * ```
   */
  parked(limit?: number): Parked[];

  /**
   * Everything that this replica holds, as bytes, to be stored or carried wherever you like. They start a replica
   * ({@link OpenOptions.state}) or are merged into one ({@link Replica.import}), on any device, any number of times.
   *
   * They are checked against damage and belong to the secret, but they are not encrypted.
   *
   * @throws {RejoinError} `"limit"` for a state that is too large to be imported.
   */
  export(): Uint8Array;

  /**
   * Merges an exported state. Importing it twice, late or out of order is harmless. Returns how many cells changed.
   *
   * @throws {RejoinError} `"wrong-namespace"` for another secret's, `"damaged"` for bytes that were cut or changed,
   * `"newer-format"`, `"limit"`; the replica is as it was.
   */
  import(state: Uint8Array | ArrayBuffer): number;

  /** The fingerprint of everything that this replica holds, in hex: equal on two replicas that hold the same. */
  root(): string;

  /**
   * All data in canonical bytes: equal on two replicas that hold the same. For tests and audits; it takes time in proportion to
   * the data.
   */
  canonicalBytes(): Uint8Array;

  /** Frees the memory now instead of when this object is collected. Afterwards every call throws `"closed"`. */
  close(): void;
}

/** Edits that become visible together, here and on every other device. Later edits see earlier ones. */
export interface Transaction {
  /**
   * Creates a document with a new random id, which is also roughly in the order of creation.
   *
   * ```js
   * const task = tx.create("tasks");
   * ```
   */
  create(collection: string): DocumentMut;

  /**
   * Creates the document that a key of yours names, or opens it if it is there: two devices that create "the same" thing
   * offline create one document, whose fields merge.
   *
   * ```js
   * tx.createWithKey("users", "ada@example.org").set("name", "Ada");
   * ```
   */
  createWithKey(collection: string, key: string): DocumentMut;

  /**
   * Opens a document for editing. One that is not there comes into being with the first edit.
   *
   * ```js
   * tx.open("tasks", id).set("title", "Buy oat milk");
   * ```
   */
  open(collection: string, id: string): DocumentMut;

  /**
   * Deletes a document; see {@link DocumentMut.delete}.
   *
   * ```js
   * tx.delete("tasks", id);
   * ```
   */
  delete(collection: string, id: string): void;

  /**
   * Forgets a change that a server refused, together with the edits of this transaction, which stand for it. False when there
   * is none of that name.
   *
   * ```js
   * tx.create("suggestions").set("text", documents[0].document.text);
   * tx.dropRejected(dot);
   * ```
   */
  dropRejected(dot: Dot): boolean;

  /**
   * Reads a document as this transaction sees it, its own edits included; `undefined` when it is not there.
   *
   * ```js
   * const before = tx.get("tasks", id)?.title;
   * ```
   */
  get<T = Fields>(collection: string, id: string): T | undefined;
}

/**
 * One document within a transaction, or a nested map of one. Every method throws a {@link RejoinError} and changes nothing when
 * the edit cannot be made: `"wrong-type"` when the field is declared as something else, `"limit"`, `"value"`; and
 * `"transaction-ended"` when the transaction is over. The transaction can go on after such an error.
 */
export interface DocumentMut {
  /** The document's id. */
  readonly id: string;

  /**
   * Sets a field. Setting the value that it has already writes nothing, so a whole form can be saved.
   *
   * ```js
   * task.set("title", "Buy milk");
   * ```
   *
   * @throws {RejoinError} `"unresolved"` for a `"manual"` field in conflict: use {@link DocumentMut.resolve}.
   */
  set(field: string, value: Value): void;

  /**
   * Sets a field in place of all its simultaneous values. It syncs like any edit.
   *
   * ```js
   * order.resolve("price", 120);
   * ```
   */
  resolve(field: string, value: Value): void;

  /**
   * Removes whatever the field shows: a value becomes absent, a set empty, a counter 0, a flag off, a map is removed as a
   * whole.
   *
   * ```js
   * task.remove("note");
   * ```
   *
   * @throws {RejoinError} `"unresolved"`; `"only-grows"` for a `"growCounter"` or `"growSet"`.
   */
  remove(field: string): void;

  /**
   * Counts a counter up, by 1 unless a step is given; a negative step counts down.
   *
   * ```js
   * task.increment("votes");
   * task.increment("stock", -3);
   * ```
   *
   * @throws {RejoinError} `"overflow"` when this replica's steps would leave 64 bits; `"only-grows"`.
   */
  increment(field: string, step?: number | bigint): void;

  /**
   * Counts a counter down, by 1 unless a step is given.
   *
   * ```js
   * task.decrement("stock", 3);
   * ```
   */
  decrement(field: string, step?: number | bigint): void;

  /**
   * Starts a counter again from 0. Steps made elsewhere at the same time still count.
   *
   * ```js
   * task.reset("votes");
   * ```
   */
  reset(field: string): void;

  /**
   * Adds an element to a set. On one that is there already this protects it against a removal made elsewhere at the same
   * time.
   *
   * ```js
   * task.addTo("tags", "home");
   * ```
   */
  addTo(field: string, element: Value): void;

  /**
   * Removes an element from a set; nothing happens when it is not in it.
   *
   * ```js
   * task.removeFrom("tags", "home");
   * ```
   */
  removeFrom(field: string, element: Value): void;

  /**
   * Switches a flag on.
   *
   * ```js
   * task.enable("done");
   * ```
   */
  enable(field: string): void;

  /**
   * Switches a flag off.
   *
   * ```js
   * task.disable("done");
   * ```
   */
  disable(field: string): void;

  /**
   * Opens a nested map for editing, whose fields merge one by one. It comes into being with the first edit inside it.
   *
   * ```js
   * person.map("address").set("street", "Elm Street 1");
   * ```
   */
  map(field: string): DocumentMut;

  /**
   * Makes the document or map exist, even without fields. On one that exists this protects it against a deletion made
   * elsewhere at the same time.
   *
   * ```js
   * tx.open("tasks", id).ensure();
   * ```
   */
  ensure(): void;

  /**
   * Deletes the whole document, also when called on a nested map. An edit made elsewhere at the same time brings it back
   * whole, unless deletions win in this collection.
   *
   * ```js
   * task.delete();
   * ```
   */
  delete(): void;

  /**
   * Deletes the document and what its fields held, for privacy. An edit made elsewhere at the same time then brings back only
   * itself.
   *
   * ```js
   * person.erase();
   * ```
   */
  erase(): void;

  /**
   * What the document or map shows now, earlier edits of this transaction included; `undefined` when it is not there.
   *
   * ```js
   * if (!task.get()?.title) task.set("title", "Untitled");
   * ```
   */
  get<T = Fields>(): T | undefined;
}

/** A document as it was read, or a nested map of one. It does not change when the replica does. */
export interface DocumentView {
  /** The document's id. */
  readonly id: string;

  /** Everything that is shown, as {@link Replica.get} gives it. A nested map that is not there is `undefined`. */
  toObject<T = Fields>(): T | undefined;

  /**
   * The value of one field; `undefined` when it shows nothing.
   *
   * ```js
   * view.get("title");
   * ```
   *
   * @throws {RejoinError} `"unresolved"` for a `"manual"` field in conflict.
   */
  get(field: string): Value | undefined;

  /**
   * All simultaneous values of a field, the latest last; empty unless they are several.
   *
   * ```js
   * for (const { value, replica, time } of view.conflicts("title")) console.log(value, replica, time);
   * ```
   */
  conflicts(field: string): Sibling[];

  /** The names of the fields that have several simultaneous values. */
  conflicted(): string[];

  /** Whether a `"manual"` field is in conflict, and so has no value until it is resolved. */
  isUnresolved(field: string): boolean;

  /** The exact value of a counter; a `bigint` where a `number` is not exact. */
  counter(field: string): number | bigint;

  /** A nested map. */
  map(field: string): DocumentView;

  /** Fields into which another device wrote with another type than the declared one: kept and synced, not shown. */
  unexpected(): string[];

  /**
   * What was written to the document and is not shown, because the clock of the device that wrote it is ahead: the fields
   * show their last values before, if there are any. Empty unless somebody's clock is wrong; see {@link Replica.parked}.
   */
  withheld(): Withheld[];
}

/** Something that a document does not show. */
export interface Withheld {
  /** The names that lead to the field; of the document itself there are none. */
  readonly path: string[];
  /** The change that wrote it. */
  readonly dot: Dot;
  /** When it is shown at the latest. */
  readonly until: Date;
}

/** A change that is kept, passed on and not shown. */
export interface Parked {
  /** Which change, and whose. */
  readonly dot: Dot;
  /** When it was made, as its author's clock said. */
  readonly time: Date;
  /** When it is shown at the latest. */
  readonly until: Date;
  /** Since when it is not shown. */
  readonly since: Date;
  /** The documents of which something is hidden, at most 1,000. */
  readonly documents: { readonly collection: string; readonly id: string }[];
  /** There are more documents than are listed. */
  readonly andMore: boolean;
}

/** A committed change, from here or from a peer. */
export interface ChangeEvent {
  /** The position in this replica's change order; events come in this order. */
  readonly sequence: number | bigint;
  /** Where it came from: a commit here, or a peer, which may have passed it on for others. */
  readonly origin:
    | { readonly type: "local"; readonly dot: Dot }
    | { readonly type: "peer"; readonly replica: string }
    /** Nobody changed anything: the time of a parked change has come. */
    | { readonly type: "clock" };
  /** The documents that changed, at most 10,000 of them. */
  readonly documents: DocumentChange[];
  /** More documents changed than are listed: read again what is on the screen. */
  readonly andMore: boolean;
}

/** What happened to one document. */
export interface DocumentChange {
  /** In which collection. */
  readonly collection: string;
  /** Which document. */
  readonly id: string;
  /**
   * `"appeared"`: new, or brought back. `"updated"`: it is still there. `"disappeared"`: deleted. `"hidden"`: something was
   * written into a deleted document.
   */
  readonly kind: "appeared" | "updated" | "disappeared" | "hidden";
  /** The fields that were written; one may show the same as before. */
  readonly fields: FieldChange[];
}

/** A field that was written. */
export interface FieldChange {
  /** The names from the document down to the field. */
  readonly path: string[];
  /** The field now has several simultaneous values. Only fields that keep them can tell; `"lww"` never does. */
  readonly conflicted: boolean;
}

/** What a session is started with. */
export interface SessionOptions {
  /** How long to wait for a peer that owes an answer, in milliseconds. 30,000 by default. */
  readonly timeoutMs?: number;
  /** What to show to a peer that has a guard: at most 4,096 bytes. It is sent only after the peer proved that it knows the secret. */
  readonly token?: string | Uint8Array;
  /** Says who is let in, and to what; what a server has. It is asked once per session. Without one, every holder of the secret may do everything. */
  readonly guard?: Guard;
}

/**
 * Says who is let in, and to what. When it throws, nobody is let in, and its error surfaces as an uncaught error.
 *
 * ```js
 * const guard = ({ token }) => {
 *   const user = users.get(new TextDecoder().decode(token));
 *   if (!user) return { refuse: "sign in again", code: 401 };
 *   return { all: "readWrite", collections: { salaries: user.isManager ? "readWrite" : "none" } };
 * };
 * const session = replica.session({ guard });
 * ```
 */
export type Guard = (applicant: Applicant) => Verdict;

/** A peer that proved that it knows the secret, and asks to be let in. */
export interface Applicant {
  /** Under which id it writes. Everyone who knows the secret can claim every id: only the token tells people apart. */
  readonly replica: string;
  /** The run of its history; claimed like the id. */
  readonly life: string;
  /** What it was given to show: bytes of a stranger. */
  readonly token?: Uint8Array;
}

/** What a peer may do with a collection. `"write"` without `"read"` is a letter box. */
export type Right = "none" | "read" | "write" | "readWrite";

/** What a guard decides: what the peer may do with every collection, and with some of them; or why it is not let in. */
export type Verdict =
  | {
      readonly all: Right;
      readonly collections?: { readonly [collection: string]: Right };
      /**
       * Whose rights they are: a name of the user or device, the same each time. What is remembered of a peer is then remembered
       * for it alone; without one, whoever is let in is believed which device it is.
       */
      readonly of?: string;
    }
  | { readonly refuse: string; readonly code?: number };

/** Why somebody was not let in, or a change was not taken. */
export interface Refusal {
  /** For programs; 403 is a write that the rights do not allow, the others are the guard's. */
  readonly code: number;
  /** For people. */
  readonly reason: string;
}

/** A change that a server refused, as the side keeps it that made it. */
export interface Rejected {
  /** The change. */
  readonly dot: Dot;
  /** Why. */
  readonly refusal: Refusal;
  /** Which replica refused it. */
  readonly by: string;
  /** The documents as they were with the change: what the user saw. */
  readonly documents: { readonly collection: string; readonly id: string; readonly document?: Fields }[];
}

/** What a peer lets us do. */
export interface Terms {
  /** We get everything that it holds. */
  readonly readsEverything: boolean;
  /** It takes every change. */
  readonly writesEverything: boolean;
}

/**
 * One conversation with one peer, over anything that carries messages whole and in order.
 *
 * 1. Call {@link Session.transmit} until it gives `undefined`, and send each message; do so after every `receive` and after
 *    every change of the replica.
 * 2. Give every message that arrives to {@link Session.receive}.
 * 3. Now and then call {@link Session.expire}.
 * 4. When {@link Session.settled}, both sides have all that the other had: stop, or keep the session open, and it sends changes as
 *    they are committed.
 *
 * When the connection breaks, throw the session away and start a new one: it resumes where it was.
 */
export interface Session {
  /**
   * The next message to send; `undefined` when there is nothing to say.
   *
   * ```js
   * for (let message; (message = session.transmit()); ) socket.send(message);
   * ```
   */
  transmit(): Uint8Array | undefined;

  /**
   * Takes a message from the peer.
   *
   * ```js
   * socket.onmessage = (event) => session.receive(new Uint8Array(event.data));
   * ```
   *
   * @throws {RejoinError} that says what was wrong with the message; session and replica are as before it.
   */
  receive(message: Uint8Array | ArrayBuffer): void;

  /** True when the peer sent all that it had, and acknowledged all that we had. */
  readonly settled: boolean;

  /** Where the session is, and what it cost. */
  status(): SessionStatus;

  /** What happened since the last call. */
  events(): SessionEvent[];

  /** Ends the session if the peer has been silent for too long while it owed an answer. True when it did. */
  expire(): boolean;

  /** When {@link Session.expire} has to be called, in milliseconds since 1970; `undefined` when the peer owes nothing. */
  readonly deadline: number | undefined;

  /** Ends the session; the next {@link Session.transmit} tells the peer. */
  close(): void;
}

/** Where a session is. */
export interface SessionStatus {
  /** The other side, once it has said who it is. */
  readonly peer: { readonly replica: string; readonly life: string } | undefined;
  /** Whether the other side keeps what it gets. */
  readonly peerIsDurable: boolean;
  /** Both sides have all that the other had. */
  readonly settled: boolean;
  /** Why it is over, if it is. */
  readonly ended: EndReason | undefined;
  /** How far into the peer's change order we have applied. */
  readonly cursor: number | bigint;
  /** How far into our change order the peer has durably applied. */
  readonly acknowledged: number | bigint;
  /** The peer's root when it last told; equal to ours: both hold the same. */
  readonly peerRoot: string | undefined;
  /** How we found out what the peer misses. */
  readonly way: Way | undefined;
  /** What the peer lets us do, once it has said so. */
  readonly terms: Terms | undefined;
  /** What it cost, without what the transport adds. */
  readonly traffic: {
    readonly messagesSent: number;
    readonly bytesSent: number;
    readonly messagesReceived: number;
    readonly bytesReceived: number;
  };
}

/** Why a session is over. More may be added. */
export type EndReason = "done" | "closed" | "timed-out" | "failed" | "not-admitted" | "too-many-refusals" | "other";

/** How one side finds out what the other misses: nothing is missing, from where it left off, by comparing sums, everything. */
export type Way = "in-sync" | "resume" | "reconcile" | "full";

/** How a replica and its peers are getting on. */
export interface ReplicaStatus {
  readonly replica: string;
  /** Own transactions that no durable peer has acknowledged: if this device is lost now, so are they. */
  readonly pending: number | bigint;
  readonly peers: readonly PeerStatus[];
  /** The last times that the replica went on under another id because it turned out to be a copy. */
  readonly renewals: readonly {
    readonly was: string;
    readonly now: string;
    readonly at?: Date;
    readonly reissued: number | bigint;
    readonly miscounted: boolean;
  }[];
  /** Changes that are hidden until something allows them, and the places where they hide something. */
  readonly parked: number | bigint;
  readonly withheld: number | bigint;
}

/** How a peer is getting on. */
export interface PeerStatus {
  readonly replica: string;
  readonly life: string;
  readonly state: "never-met" | "in-session" | "idle" | "refused";
  /** Why, if it is refused. */
  readonly refusal?: Refusal;
  /** It keeps what it acknowledges. */
  readonly durable: boolean;
  readonly cursor: number | bigint;
  /** Steps of its change order that are known of and not applied here. */
  readonly missingHere: number | bigint;
  readonly acknowledged: number | bigint;
  /** Steps of our change order that it has not acknowledged. */
  readonly missingThere: number | bigint;
  /** For how long the oldest of these has been here, at most. */
  readonly behindMs?: number | bigint;
  readonly acknowledgedAt?: Date;
  readonly metAt?: Date;
  readonly partedAt?: Date;
  /** How the last session ended; none while it goes on, or if the process ended with it. */
  readonly lastEnd?: "closed" | "timed-out" | "failed" | "refused";
  /** Its wall clock minus ours in the last handshake. */
  readonly clockOffsetMs?: number | bigint;
  /** What the roots said when both sides last had everything. */
  readonly rootsEqual?: boolean;
  readonly parked: number | bigint;
  readonly withheld: number | bigint;
}

/** Something that happened in a session. More may be added. */
export type SessionEvent =
  | {
      readonly type: "connected";
      readonly replica: string;
      readonly life: string;
      /** The peer's wall clock minus ours, in milliseconds. */
      readonly skewMs: number;
    }
  /** The peer's guard let us in. */
  | { readonly type: "admitted"; readonly terms: Terms }
  /** The guard, theirs or ours, did not let the applicant in; nothing was exchanged. */
  | { readonly type: "not-admitted"; readonly refusal: Refusal }
  /** Our guard refused changes of the peer, which will hear of it. */
  | { readonly type: "refusing"; readonly last: number | bigint }
  /** The peer refused a change that we sent; `withdrawn`: it is out of our data and among the rejected. */
  | { readonly type: "change-refused"; readonly dot: Dot; readonly refusal: Refusal; readonly withdrawn: boolean }
  | { readonly type: "sending"; readonly way: Way }
  | { readonly type: "applied"; readonly cells: number; readonly checkpoint: boolean }
  | { readonly type: "acknowledged"; readonly sequence: number | bigint }
  /** Both sides had everything and held different data: a copy was not noticed in time. */
  | { readonly type: "roots-differ"; readonly repairing: boolean }
  /**
   * The peer's clock is `offsetMs` ahead of ours, more than a minute, and it cannot be told which of the two is wrong; or
   * most peers agree that ours is, and from now on `correctionMs` is added to it.
   */
  | { readonly type: "clock"; readonly offsetMs?: number; readonly correctionMs?: number }
  /** So many events came faster than they were taken and were not kept; sums of what was applied are never missed. */
  | { readonly type: "missed"; readonly events: number | bigint }
  /**
   * This replica turned out to be a copy, or to have been set back. It goes on under another id, and what it wrote since then
   * was issued again; `miscounted`: steps of counters that had left before may count twice or not at all.
   */
  | {
      readonly type: "identity-renewed";
      readonly was: string;
      readonly now: string;
      readonly reissued: number | bigint;
      readonly miscounted: boolean;
    }
  /** The peer goes on under another id, for the same reason. */
  | { readonly type: "peer-renewed"; readonly was: string; readonly now: string }
  | { readonly type: "ended"; readonly reason: EndReason }
  | { readonly type: "other" };

/**
 * What went wrong, for programs.
 *
 * | code | what it means, and what to do |
 * |---|---|
 * | `"argument"` | a call that makes no sense, or an option that there is not: see the message |
 * | `"value"` | a JavaScript value that cannot be stored exactly: `details.field`, `.path` when it was to go into a field |
 * | `"limit"` | larger than allowed: `details.what`, `.size`, `.limit`; `.field`, `.path` in an edit of a field |
 * | `"wrong-type"` | the field is declared as another type: `details.field`, `.declared`, `.operation` |
 * | `"only-grows"` | a grow-only field would shrink |
 * | `"unresolved"` | a `"manual"` field in conflict: look at `conflicts()`, call `resolve()` |
 * | `"overflow"` | a counter would leave 64 bits: `details.field`, `.path`, `.total`, `.step` |
 * | `"clock"` | a clock or counter that cannot go on |
 * | `"resolver"` | a custom function threw, or gave what cannot be stored; see `cause` |
 * | `"transaction-ended"` | a transaction or its document was used after its end |
 * | `"async-transaction"` | the callback of a transaction returned a promise |
 * | `"busy"` | the replica was used within a transaction or a custom function: use `tx` there |
 * | `"closed"` | the replica was closed |
 * | `"not-initialized"` | `await init()` comes first |
 * | `"decode"`, `"damaged"` | bytes that are not what they should be |
 * | `"newer-format"` | an exported state of a newer version: update |
 * | `"wrong-namespace"` | the other side has another secret |
 * | `"protocol-version"` | the other side speaks another version: update the older one |
 * | `"missing-messages"` | the transport lost or reordered messages: start a new session, it resumes |
 * | `"unauthenticated"` | the peer did not prove that it knows the secret |
 * | `"superseded"` | another session with the same peer has begun, so this one is over |
 * | `"must-follow"` | the peer may refuse changes, and this replica would keep them: open it with `followsServer: true` |
 * | `"too-many-refusals"` | the peer has left too many refused changes unheard |
 * | `"unexpected-message"`, `"echo"`, `"same-life"`, `"forked"`, `"identity-changed"` | see the message |
 * | `"session-ended"` | the session is over: start a new one |
 * | `"session"`, `"store"` | anything else of a session or of the storage |
 */
export type ErrorCode =
  | "argument"
  | "value"
  | "limit"
  | "wrong-type"
  | "only-grows"
  | "unresolved"
  | "overflow"
  | "clock"
  | "resolver"
  | "transaction-ended"
  | "async-transaction"
  | "busy"
  | "closed"
  | "not-initialized"
  | "decode"
  | "damaged"
  | "newer-format"
  | "wrong-namespace"
  | "protocol-version"
  | "missing-messages"
  | "unauthenticated"
  | "must-follow"
  | "superseded"
  | "too-many-refusals"
  | "unexpected-message"
  | "echo"
  | "same-life"
  | "forked"
  | "identity-changed"
  | "session-ended"
  | "session"
  | "store";

/**
 * Everything that this library throws. Unless the code says otherwise, nothing was changed.
 *
 * ```js
 * try {
 *   session.receive(bytes);
 * } catch (error) {
 *   if (error instanceof RejoinError && error.code === "wrong-namespace") askForTheSecret();
 *   else throw error;
 * }
 * ```
 */
export class RejoinError extends Error {
  private constructor();
  readonly name: "RejoinError";
  /** What went wrong, for programs. */
  readonly code: ErrorCode;
  /**
   * What the code's line in {@link ErrorCode} names: the limit and the size, the versions, the field. `field` is its name in the
   * document or nested map, `path` the names from the document down to it.
   */
  readonly details: { readonly [name: string]: Value };
}
