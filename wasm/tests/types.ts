// Compiled, never run: what the declaration allows, and what it must not.

import { Replica, RejoinError, Timestamp, init, protocolVersion } from "rejoin";
import type {
  Applicant, ChangeEvent, Committed, DocumentMut, DocumentView, Dot, ErrorCode, FieldType, FieldTypes, Fields, Guard, OpenOptions, Session,
  SessionEvent, SessionStatus, Sibling, Transaction, Value, Verdict,
} from "rejoin";

const loaded: Promise<void> = init();
const version: number = protocolVersion();
const highest: FieldType = { custom: (siblings: Sibling[]) => siblings.at(-1)?.value, name: "highest", version: 1 };
const fields: FieldTypes = { title: "detect", votes: "counter", address: { street: "lww" }, priority: highest };
const options: OpenOptions = { secret: "s", collections: { tasks: fields }, deleteWins: ["tasks"], now: () => 1, durable: true };
const replica: Replica = Replica.open(options);
Replica.open({ secret: new Uint8Array(32), state: replica.export(), random: (length) => new Uint8Array(length) });

type Task = { title: string; votes: number };
const committed: Committed<string> = replica.transaction((tx: Transaction) => {
  const task: DocumentMut = tx.create("tasks");
  task.set("title", "Milk");
  task.set("any", [1, 2n, null, true, new Date(), new Uint8Array(1), new Timestamp(1n), { nested: { deep: ["x"] } }]);
  task.increment("votes");
  task.increment("votes", 2n);
  task.map("address").set("street", "Elm");
  const seen: Fields | undefined = task.get();
  const typed: Task | undefined = tx.get<Task>("tasks", task.id);
  void [seen, typed];
  return task.id;
});
const dot: Dot | undefined = committed.dot;
const task: Task | undefined = replica.get<Task>("tasks", committed.value);
for (const [id, one] of replica.list<Task>("tasks")) void [id.length, one.votes + 1];
const view: DocumentView | undefined = replica.document("tasks", committed.value);
const time: Date | undefined = view?.conflicts("title")[0]?.time;
const count: number | bigint | undefined = view?.counter("votes");
const stop: () => void = replica.subscribe((change: ChangeEvent) => {
  if (change.origin.type === "peer") void change.origin.replica.length;
  else if (change.origin.type === "local") void change.origin.dot.counter;
  const kind: "appeared" | "updated" | "disappeared" | "hidden" | undefined = change.documents[0]?.kind;
  void kind;
});
const session: Session = replica.session({ timeoutMs: 1000 });
const message: Uint8Array | undefined = session.transmit();
if (message) session.receive(message);
session.receive(new ArrayBuffer(1));
const status: SessionStatus = session.status();
const peer: string | undefined = status.peer?.replica;
for (const event of session.events() as SessionEvent[]) {
  if (event.type === "applied") void event.cells.toFixed();
  if (event.type === "ended" && event.reason === "closed") break;
}
try {
  session.close();
} catch (error) {
  if (error instanceof RejoinError) {
    const code: ErrorCode = error.code;
    const detail: Value | undefined = error.details["limit"];
    if (code === "must-follow") Replica.open({ ...options, followsServer: true });
    void detail;
  }
}
void [loaded, version, dot, task, time, count, stop, peer];

const guard: Guard = ({ token }: Applicant): Verdict =>
  token ? { all: "readWrite", collections: { salaries: "none" } } : { refuse: "sign in", code: 401 };
replica.session({ guard, token: "t" });
replica.session({ token: new Uint8Array(1) });
for (const { dot, refusal, documents } of replica.rejected()) {
  void [refusal.code + 1, documents[0]?.document?.["text"], replica.dropRejected(dot)];
  replica.transaction((tx) => tx.dropRejected(dot));
}

// What must not compile.

// @ts-expect-error: there is no such right
replica.session({ guard: () => ({ all: "admin" }) });
// @ts-expect-error: a guard cannot wait
replica.session({ guard: async () => ({ all: "read" }) });

// @ts-expect-error: there is no such option
Replica.open({ secret: "s", colections: {} });
// @ts-expect-error: an array of names
Replica.open({ secret: "s", deleteWins: "tasks" });
// @ts-expect-error: there is no such option
replica.session({ tokn: "t" });
// @ts-expect-error: there is no such option
replica.declare("tasks", {}, { deletewins: true });
// @ts-expect-error: the secret is missing
Replica.open({});
// @ts-expect-error: a replica is opened, not constructed
new Replica();
// @ts-expect-error: there is no such type
replica.declare("tasks", { title: "last-write-wins" });
// @ts-expect-error: a custom function needs a name
replica.declare("tasks", { title: { custom: () => 1 } });
// @ts-expect-error: a transaction cannot wait
replica.transaction(async (tx) => tx.create("tasks").id);
replica.transaction((tx) => {
  const task = tx.create("tasks");
  // @ts-expect-error: undefined cannot be stored
  task.set("title", undefined);
  // @ts-expect-error: a function cannot be stored
  task.set("title", () => 1);
  // @ts-expect-error: a step is a number
  task.increment("votes", "1");
  // @ts-expect-error: the id does not change
  task.id = "other";
  // @ts-expect-error: a collection has a name
  tx.create();
});
// @ts-expect-error: it may not be there
replica.get<Task>("tasks", "id").title;
// @ts-expect-error: messages are bytes
session.receive("text");
// @ts-expect-error: there may be nothing to send
session.transmit().length;
// @ts-expect-error: settled is told, not set
session.settled = true;
// @ts-expect-error: no error has this code
if (new Error() instanceof RejoinError && ({} as RejoinError).code === "no-such-code") void 0;
// @ts-expect-error: errors are made by the library
new RejoinError("value", "message");
