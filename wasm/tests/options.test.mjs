// Options: a name that there is not would silently do nothing, and so is refused.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { Replica } from "rejoin";

import { open, refused } from "./help.mjs";

/** Checks that something is refused as an argument, with this message. */
const says = (message, work) => assert.equal(refused("argument", work).message, message);

test("mistyped options are refused, with what was probably meant", () => {
  const replica = open();
  for (const [work, typed, meant] of [
    [(options) => open(options), "colections", "collections"],
    [(options) => open(options), "followServer", "followsServer"],
    [(options) => open(options), "deletewins", "deleteWins"],
    [(options) => replica.session(options), "tokn", "token"],
    [(options) => replica.session(options), "timeout", "timeoutMs"],
    [(options) => replica.declare("notes", {}, options), "deleteWin", "deleteWins"],
  ]) {
    says(`there is no option \`${typed}\`; did you mean \`${meant}\`?`, () => work({ [typed]: undefined }));
  }
  says("there is no option `zzz`", () => open({ zzz: 1 }));
  says("there is no option `token`", () => open({ token: "t" }));
  says(`there is no option \`${"x".repeat(100_000)}\``, () => open({ ["x".repeat(100_000)]: 1 }));
});

test("a refused declaration leaves the one before", () => {
  const replica = open();
  refused("argument", () => replica.declare("tasks", { votes: "lww" }, { deleteWin: true }));
  refused("argument", () => replica.declare("tasks", { votes: "lww" }, { deleteWins: "tasks" }));
  replica.transaction((tx) => tx.create("tasks").increment("votes"));
});

test("options that are no objects, or hold what does not fit, are refused", () => {
  const replica = open();
  for (const options of [null, 5, "text", ["tasks"]]) {
    for (const work of [() => Replica.open(options), () => replica.session(options), () => replica.declare("a", {}, options)]) {
      says("the options have to be an object", work);
    }
  }
  const opened = (options) => () => Replica.open({ secret: "s", ...options });
  says("the secret has to be a string or a Uint8Array", opened({ secret: undefined }));
  says("the token has to be a string or a Uint8Array", () => replica.session({ token: 5 }));
  says("a message has to be a Uint8Array", () => replica.session().receive("text"));
  says("`followsServer` has to be true or false", opened({ followsServer: "yes" }));
  says("`durable` has to be true or false", opened({ durable: 1 }));
  for (const collections of [new Map([["tasks", { title: "detect" }]]), new Set(["tasks"])]) {
    says("`collections` has to be a plain object", opened({ collections }));
  }
  says("`collections` has to be an object", opened({ collections: ["tasks"] }));
  says("the name of a collection has to be a string", () => replica.get(undefined, "id"));
  assert.equal(open({ durable: undefined, followsServer: false, collections: Object.create(null) }).root(), replica.root());
});

test("`deleteWins` is an array of names that are among `collections`", () => {
  const opened = (deleteWins) => () => open({ deleteWins });
  const array = "`deleteWins` has to be an array of names of collections";
  for (const deleteWins of ["tasks", new Set(["tasks"]), { tasks: true }, true]) says(array, opened(deleteWins));
  says("a name in `deleteWins` has to be a string", opened([5]));
  says("`deleteWins` names `taks`, which is not among `collections`; did you mean `tasks`?", opened(["tasks", "taks"]));
  says(
    "`deleteWins` names `orders`, which is not among `collections`; add it there, with `{}` if all its fields are \"lww\"",
    opened(["orders"]),
  );
  says("`deleteWins` has to be true or false", () => open().declare("tasks", {}, { deleteWins: ["tasks"] }));
});

test("types of fields say what is wrong with them", () => {
  const declared = (priority) => () => open().declare("tasks", { priority });
  const custom = (siblings) => siblings.at(-1).value;
  const of = 'the type of the field "priority"';
  says(`${of}: there is no option \`vesion\`; did you mean \`version\`?`, declared({ custom, name: "last", vesion: 2 }));
  says(`${of}: there is no option \`reads\``, declared({ custom, name: "last", reads: "all" }));
  says(`${of} is a function: put it into { custom, name, version }`, declared(custom));
  says(`${of} is no string: it has to be an object`, declared(undefined));
  says(`${of} is no string: it has to be an object`, declared(["lww"]));
  says(`${of} is no string: it has to be a plain object`, declared(new Map([["at", "lww"]])));
  says('the fields of the collection "tasks" have to be an object', () => open({ collections: { tasks: ["title"] } }));
  says('the fields of the collection "tasks" have to be a plain object', () => open({ collections: { tasks: new Map() } }));
  // A nested map may have fields of these names.
  open().declare("tasks", { nested: { custom: "lww", name: "detect", anything: "flag" } });
});

test("a guard's verdict with a mistyped part lets nobody in, and says why", () => {
  // In a process of its own, because an uncaught error is what is looked for.
  const app = `
    import { Replica } from "rejoin";
    import { pump } from "./help.mjs";
    const open = () => Replica.open({ secret: "s" });
    process.on("uncaughtException", (error) => console.log(error.message));
    const verdicts = [
      { all: "readWrite", colections: { salaries: "none" } }, { all: "readWrite", collections: new Map([["salaries", "none"]]) },
      { refuse: "no", kode: 5 }, ["readWrite"],
    ];
    for (const verdict of verdicts) {
      const [server, client] = [open().session({ guard: () => verdict }), open().session()];
      pump(server, client);
      console.log(client.status().ended);
    }`;
  const said = execFileSync(process.execPath, ["--input-type=module", "--eval", app], { encoding: "utf8" });
  assert.deepEqual(said.trim().split("\n").sort(), [
    "`collections` of a guard has to be a plain object",
    "not-admitted", "not-admitted", "not-admitted", "not-admitted",
    "what a guard gives has to be an object",
    "what a guard gives: there is no option `colections`; did you mean `collections`?",
    "what a guard gives: there is no option `kode`; did you mean `code`?",
  ]);
});
