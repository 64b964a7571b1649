// A browser tab with the example's page, as a user sees it: everything is found by its label.

import assert from "node:assert/strict";

const PATIENCE_MS = 10_000;

export class Tab {
  /** Connections that were closed, from either side. */
  closed = 0;
  /** What went wrong in the page. */
  errors = [];

  constructor(name, page) {
    this.name = name;
    this.page = page;
    page.setDefaultTimeout(PATIENCE_MS);
    page.on("websocket", (socket) => socket.on("close", () => (this.closed += 1)));
    page.on("pageerror", (error) => this.errors.push(error.message));
    page.on("console", (message) => message.type() === "error" && this.errors.push(message.text()));
  }

  static async open(browser, name, url) {
    const context = await browser.newContext();
    const tab = new Tab(name, await context.newPage());
    await tab.page.goto(url);
    return tab;
  }

  async add(title) {
    await this.page.getByLabel("New task").fill(title);
    await this.page.getByRole("button", { name: "Add" }).click();
    return this.task(await this.page.getByLabel("Title").count() - 1);
  }

  /** The task at a place of the list. */
  task(place) {
    return new Task(this.page.getByRole("list", { name: "Tasks" }).locator("> li").nth(place));
  }

  /** At one moment, as all that is looked at: the page may change in between. */
  async titles() {
    return this.page.getByLabel("Title").evaluateAll((inputs) => inputs.map((input) => input.value));
  }

  async offline(wanted) {
    await this.page.getByRole("switch", { name: "Offline" }).setChecked(wanted);
  }

  async text(id) {
    return this.page.locator(`#${id}`).textContent();
  }

  async root() {
    return this.text("root");
  }
}

/** One task of the list. */
class Task {
  constructor(item) {
    this.item = item;
  }

  async rename(title) {
    const input = this.item.getByLabel("Title");
    await input.fill(title);
    await input.press("Enter");
    await input.blur();
  }

  async vote(count) {
    const name = count > 0 ? "One vote more" : "One vote less";
    for (let n = 0; n < Math.abs(count); n += 1) await this.item.getByRole("button", { name }).click();
  }

  async tag(name) {
    await this.item.getByLabel("New tag").fill(name);
    await this.item.getByLabel("New tag").press("Enter");
  }

  async untag(name) {
    await this.item.getByRole("button", { name: `Remove the tag ${name}` }).click();
  }

  async finish() {
    await this.item.getByLabel("Done").check();
  }

  async delete() {
    await this.item.getByRole("button", { name: "Delete the task" }).click();
  }

  /** Chooses one of the titles that were written at the same time. */
  async choose(title) {
    const conflict = this.item.getByRole("group", { name: "Several titles" });
    await conflict.getByRole("button", { name: title, exact: true }).click();
  }

  /** All that the task shows, at one moment. */
  async shown() {
    return this.item.evaluate((item) => {
      const part = (name) => item.querySelector(`[data-part="${name}"]`);
      const buttons = (name) => [...part(name).querySelectorAll("button")].map((button) => button.textContent);
      return {
        title: part("title").value,
        votes: Number(part("votes").value),
        tags: buttons("tags").map((tag) => tag.replace(" ×", "")),
        done: part("done").checked,
        conflict: part("conflict").checkVisibility() ? buttons("choices").sort() : [],
      };
    });
  }
}

/** Waits until something holds; when it does not, fails with how it was last. */
export async function eventually(what, look, expected) {
  const until = Date.now() + PATIENCE_MS;
  let last;
  do {
    last = await look();
    try {
      assert.deepEqual(last, expected);
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  } while (Date.now() < until);
  assert.deepEqual(last, expected, what);
}
