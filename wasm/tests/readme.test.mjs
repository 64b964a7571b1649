// The snippets of the package's README that stand on their own run, and those for sockets do so over sockets in memory.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { create, edit, open } from "./help.mjs";

const readme = readFileSync(new URL("./node_modules/rejoin/README.md", import.meta.url), "utf8");
/** The snippets of a kind. */
const snippets = (kind) => [...readme.matchAll(/^```js (\w+)\n(.*?)^```$/gms)].filter((one) => one[1] === kind).map((one) => one[2]);

const run = (code) => execFileSync(process.execPath, ["--input-type=module", "--eval", code], { encoding: "utf8" });

test("the snippets of the README say what they say", () => {
  const [start, conflict, keep, errors, ...more] = snippets("runs").map(run);
  assert.match(start, /^\{ tags: \[ 'home' \], title: 'Buy milk', votes: 1 \}\n[0-9a-f-]{36} Buy milk\n$/);
  const [conflicted, ...lines] = conflict.trim().split("\n");
  assert.equal(conflicted, "[ 'title' ]");
  const [ada, bob, ...resolved] = [...lines.slice(0, 2).sort(), ...lines.slice(2)];
  assert.match(ada, /^Ada wrote Buy oat milk at \d{4}-.*Z$/);
  assert.match(bob, /^Bob wrote Buy soy milk at \d{4}-.*Z$/);
  assert.deepEqual(resolved, ["Buy oat and soy milk", "[]"]);
  assert.equal(keep, "true\n");
  assert.equal(errors, "value photo\nthere is no option `tokn`; did you mean `token`?\n");
  assert.deepEqual(more, []);
});

/** As much of a server as its snippet uses, and a `WebSocket` that connects to it; messages take a turn each. */
class Network {
  sockets = [];
  timers = [];
  errors = [];

  constructor() {
    const network = this;
    this.WebSocket = class WebSocket {
      static OPEN = 1;
      readyState = 0;

      constructor() {
        const heard = {};
        const far = {
          on: (event, listener) => (heard[event] = listener),
          send: (bytes) => queueMicrotask(() => this.onmessage({ data: bytes.slice().buffer })),
          close: () => this.close(),
        };
        this.send = (bytes) => queueMicrotask(() => heard.message(bytes));
        this.close = () => {
          if (this.readyState === 3) return;
          this.readyState = 3;
          queueMicrotask(() => { heard.close(); this.onclose(); });
        };
        network.sockets.push(this);
        queueMicrotask(() => {
          network.accept(far);
          this.readyState = 1;
          this.onopen();
        });
      }
    };
  }

  /** Runs a snippet with what it takes for granted. */
  run(code, replica) {
    const given = {
      replica,
      WebSocket: this.WebSocket,
      console: { error: (...all) => this.errors.push(all) },
      setTimeout: (work) => this.timers.push(work),
      server: { on: (_, connected) => (this.accept = connected) },
    };
    new Function(...Object.keys(given), code)(...Object.values(given));
  }
}

/** When everything in flight has arrived. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 20));

function network() {
  const [[client], [server]] = [snippets("client"), snippets("server")];
  const [here, there, between] = [open(), open(), new Network()];
  between.run(server, there);
  between.run(client, here);
  return { here, there, between };
}

test("the snippets for sockets sync, push what is edited, and resume after a break", async () => {
  const { here, there, between } = network();
  const id = create(here, (task) => task.set("note", 1));
  await settle();
  assert.equal(there.get("tasks", id).note, 1);
  edit(there, id, (task) => task.set("note", 2));
  await settle();
  assert.equal(here.get("tasks", id).note, 2);

  between.sockets[0].close();
  await settle();
  edit(here, id, (task) => task.set("note", 3));
  await settle();
  assert.equal(there.get("tasks", id).note, 2, "they are apart");
  assert.equal(between.timers.length, 1);
  between.timers[0]();
  await settle();
  assert.equal(between.sockets.length, 2);
  assert.equal(there.get("tasks", id).note, 3);
  assert.equal(there.root(), here.root());
  assert.deepEqual(between.errors, []);
});

test("the snippets for sockets say what is wrong with a message, and close", async () => {
  const { between } = network();
  await settle();
  between.sockets[0].send(new Uint8Array([1, 2, 3]));
  await settle();
  assert.equal(between.sockets[0].readyState, 3);
  between.timers[0]();
  await settle();
  between.sockets[1].onmessage({ data: new ArrayBuffer(3) });
  await settle();
  assert.equal(between.sockets[1].readyState, 3);
  assert.deepEqual(between.errors.map(([code]) => code), ["damaged", "damaged"]);
  assert.ok(between.errors.every(([, message]) => message.length > 0));
});
