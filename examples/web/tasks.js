// The list of tasks: shows the collection `tasks` and turns what the user does into transactions.

export class TaskList {
  #replica;
  #list;
  #template;

  constructor(replica, list, template) {
    this.#replica = replica;
    this.#list = list;
    this.#template = template;
  }

  /** Brings the list in line with the replica. A task keeps its element, so that the focus stays where it is. */
  show() {
    const items = new Map([...this.#list.children].map((item) => [item.dataset.id, item]));
    let place = 0;
    for (const [id, task] of this.#replica.list("tasks")) {
      const item = items.get(id) ?? this.#create(id);
      items.delete(id);
      if (this.#list.children[place] !== item) this.#list.insertBefore(item, this.#list.children[place] ?? null);
      place += 1;
      this.#fill(item, task);
    }
    for (const gone of items.values()) gone.remove();
  }

  /** Edits a task, in a transaction of its own. */
  #edit(id, change) {
    this.#replica.transaction((tx) => change(tx.open("tasks", id)));
  }

  #create(id) {
    const item = this.#template.content.firstElementChild.cloneNode(true);
    item.dataset.id = id;
    const part = (name) => item.querySelector(`[data-part="${name}"]`);
    const edit = (change) => this.#edit(id, change);
    part("done").addEventListener("change", (event) => {
      edit((task) => (event.target.checked ? task.enable("done") : task.disable("done")));
    });
    part("title").addEventListener("change", (event) => edit((task) => task.set("title", event.target.value)));
    part("title").addEventListener("blur", () => this.show());
    part("up").addEventListener("click", () => edit((task) => task.increment("votes")));
    part("down").addEventListener("click", () => edit((task) => task.decrement("votes")));
    part("delete").addEventListener("click", () => edit((task) => task.delete()));
    part("tag").addEventListener("submit", (event) => {
      event.preventDefault();
      const tag = part("new-tag").value.trim();
      event.target.reset();
      if (tag) edit((task) => task.addTo("tags", tag));
    });
    return item;
  }

  #fill(item, task) {
    const id = item.dataset.id;
    const part = (name) => item.querySelector(`[data-part="${name}"]`);
    item.classList.toggle("is-done", task.done);
    part("done").checked = task.done;
    // Nobody likes their text replaced while they type.
    if (part("title") !== document.activeElement) part("title").value = task.title ?? "";
    part("votes").value = task.votes;
    part("tags").replaceChildren(...task.tags.map((tag) => this.#tag(id, tag)));

    const conflicts = this.#replica.document("tasks", id).conflicts("title");
    part("conflict").hidden = conflicts.length === 0;
    part("choices").replaceChildren(...conflicts.map((sibling) => this.#choice(id, sibling)));
  }

  #tag(id, tag) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "tag";
    button.textContent = `${tag} ×`;
    button.setAttribute("aria-label", `Remove the tag ${tag}`);
    button.addEventListener("click", () => this.#edit(id, (task) => task.removeFrom("tags", tag)));
    return button;
  }

  /** One of several titles, to be chosen in place of all. */
  #choice(id, { value, replica, time }) {
    const row = document.createElement("p");
    const button = document.createElement("button");
    const source = document.createElement("small");
    button.type = "button";
    button.textContent = value ?? "(no title)";
    source.textContent = ` written at ${time.toLocaleTimeString()} by ${replica.slice(0, 8)}`;
    button.addEventListener("click", () => this.#edit(id, (task) => task.resolve("title", value ?? "")));
    row.append(button, source);
    return row;
  }
}
