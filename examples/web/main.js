// A task list that works offline. `tasks.js` shows the list, `sync.js` connects it with the hub.

import { init, Replica } from "rejoin";
import { Connection } from "./sync.js";
import { TaskList } from "./tasks.js";

const element = (id) => document.getElementById(id);

await init();
const replica = Replica.open({
  secret: "the web example",
  collections: { tasks: { title: "detect", votes: "counter", tags: "set", done: "flag" } },
});

const tasks = new TaskList(replica, element("tasks"), element("task"));
const connection = new Connection(replica, `${location.origin.replace("http", "ws")}/sync`);

function show() {
  tasks.show();
  element("empty").hidden = element("tasks").children.length > 0;
  element("root").textContent = replica.root();
  element("connection").textContent = connection.state;
  element("peer").textContent = connection.peer ?? "nobody";
  element("problem").textContent = connection.problem ?? "";
  element("problem").hidden = !connection.problem;
}

element("replica").textContent = replica.replicaId;
element("add").addEventListener("submit", (event) => {
  event.preventDefault();
  const title = element("new-title").value.trim();
  if (title) replica.transaction((tx) => tx.create("tasks").set("title", title));
  event.target.reset();
});
element("offline").addEventListener("change", (event) => {
  if (event.target.checked) connection.stop();
  else connection.start();
});

replica.subscribe(show);
connection.onchange = show;
connection.start();
show();
