// Two replicas in two tabs of Chromium, with the example's hub between them.
//
//     cargo xtask browser

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";
import { Hub } from "./hub.mjs";
import { eventually, Tab } from "./tab.mjs";

const { CHROMIUM, HUB, SCREENSHOTS } = process.env;
const FLAGS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
];

let folder, hub, browser, ada, bob;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "rejoin-browser-"));
  hub = await Hub.start(HUB, join(folder, "hub.db"));
  browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  ada = await Tab.open(browser, "ada", hub.url);
  bob = await Tab.open(browser, "bob", hub.url);
});

after(async () => {
  await browser?.close();
  await hub?.stop();
  if (folder) await rm(folder, { recursive: true });
});

/** A step of the story. When it fails, there is a picture of both tabs. */
function step(name, work) {
  test(name, { timeout: 90_000 }, async () => {
    try {
      await work();
      for (const tab of [ada, bob]) assert.deepEqual(tab.errors, [], `${tab.name}'s page has errors`);
    } catch (error) {
      for (const tab of [ada, bob]) {
        const path = join(SCREENSHOTS, `${tab?.name}.png`);
        await tab?.page.screenshot({ path, fullPage: true });
        console.error(`a picture of ${tab?.name}'s tab: ${path}`);
      }
      throw error;
    }
  });
}

/** Both tabs are connected, say that they have everything, and hold the same. */
async function inSync() {
  const look = async () => {
    const [one, other] = [await ada.root(), await bob.root()];
    return { ada: await ada.text("connection"), bob: await bob.text("connection"), equal: one === other };
  };
  await eventually("both in sync", look, { ada: "in sync", bob: "in sync", equal: true });
}

/** What the first task comes to show in both tabs. */
async function bothShow(expected) {
  for (const tab of [ada, bob]) await eventually(`on ${tab.name}'s screen`, () => tab.task(0).shown(), expected);
}

step("both tabs connect to the hub, as two replicas", async () => {
  await inSync();
  assert.match(await ada.root(), /^0{32}$/, "nothing is there yet");
  assert.notEqual(await ada.text("replica"), await bob.text("replica"));
  assert.equal(await ada.text("peer"), await bob.text("peer"));
});

step("an edit shows in the other tab at once", async () => {
  const milk = await ada.add("Buy milk");
  await milk.tag("home");
  await eventually("bob sees it", () => bob.titles(), ["Buy milk"]);
  await bob.task(0).vote(1);
  await bothShow({ title: "Buy milk", votes: 1, tags: ["home"], done: false, conflict: [] });
  await inSync();
  assert.doesNotMatch(await ada.root(), /^0*$/);
});

step("offline, both go on, and neither sees the other", async () => {
  for (const tab of [ada, bob]) {
    await tab.offline(true);
    await eventually("offline", () => tab.text("connection"), "offline");
  }
  await ada.task(0).rename("Buy oat milk");
  await ada.task(0).vote(2);
  await ada.task(0).tag("shop");
  await bob.task(0).rename("Buy soy milk");
  await bob.task(0).vote(4);
  await bob.task(0).vote(-1);
  await bob.task(0).finish();
  await bob.task(0).untag("home");
  await bob.add("Bake bread");
  assert.deepEqual(await ada.task(0).shown(), {
    title: "Buy oat milk", votes: 3, tags: ["home", "shop"], done: false, conflict: [],
  });
  assert.deepEqual(await bob.task(0).shown(), {
    title: "Buy soy milk", votes: 4, tags: [], done: true, conflict: [],
  });
  assert.notEqual(await ada.root(), await bob.root());
});

step("they rejoin: votes add up, fields come together, both titles are kept and both tabs say so", async () => {
  await ada.offline(false);
  await bob.offline(false);
  await inSync();
  // Bob's title is the later one, and it shows.
  await bothShow({
    title: "Buy soy milk", votes: 6, tags: ["shop"], done: true, conflict: ["Buy oat milk", "Buy soy milk"],
  });
  for (const tab of [ada, bob]) assert.deepEqual(await tab.titles(), ["Buy soy milk", "Bake bread"]);
});

step("a conflict that is resolved in one tab is gone in both", async () => {
  await ada.task(0).choose("Buy oat milk");
  await bothShow({ title: "Buy oat milk", votes: 6, tags: ["shop"], done: true, conflict: [] });
  await inSync();
});

step("a tab that is reloaded gets everything from the hub", async () => {
  const [before, root] = [await ada.text("replica"), await ada.root()];
  await ada.page.reload();
  await inSync();
  assert.notEqual(await ada.text("replica"), before, "it is another replica");
  assert.equal(await ada.root(), root);
  assert.deepEqual(await ada.titles(), ["Buy oat milk", "Bake bread"]);
  assert.deepEqual(await ada.task(0).shown(), await bob.task(0).shown());
});

step("junk on a socket closes that socket and no other", async () => {
  const [adaClosed, bobClosed, root] = [ada.closed, bob.closed, await bob.root()];
  const junk = {
    "no hello": [1, 2, 3, 4, 5, 6, 7, 8],
    "a hello that is cut": [0, 1, 2],
    nothing: [],
    "more than a message": "5 MiB",
    text: "text",
  };
  for (const [what, bytes] of Object.entries(junk)) {
    const send = async (bytes) => {
      const socket = new WebSocket(`ws://${location.host}/sync`);
      let opened = false;
      socket.onopen = () => {
        opened = true;
        socket.send(bytes === "5 MiB" ? new Uint8Array(5 << 20) : bytes === "text" ? bytes : Uint8Array.from(bytes));
      };
      return new Promise((resolve) => {
        socket.onclose = () => resolve(opened ? "closed" : "not even open");
        setTimeout(resolve, 8_000, "still open");
      });
    };
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${hub.url}style.css`);
    assert.equal(await page.evaluate(send, bytes), "closed", what);
    await context.close();
  }
  await bob.task(1).vote(1);
  await inSync();
  assert.notEqual(await ada.root(), root, "and the tabs still sync");
  assert.deepEqual([ada.closed, bob.closed], [adaClosed, bobClosed], "over the connections that they had");
});

step("a page from elsewhere gets no session", async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto("data:text/html,elsewhere");
  const connect = (host) =>
    new Promise((resolve) => {
      const socket = new WebSocket(`ws://${host}/sync`);
      socket.onopen = () => resolve("open");
      socket.onerror = () => resolve("refused");
    });
  assert.equal(await page.evaluate(connect, new URL(hub.url).host), "refused");
  await context.close();
});

step("the hub is killed and comes back: the tabs connect again by themselves", async () => {
  const { port } = hub;
  await hub.stop();
  await eventually("ada waits", () => ada.text("connection"), "waiting");
  await ada.task(1).rename("Bake two loaves");
  await bob.task(1).vote(2);
  hub = await Hub.start(HUB, join(folder, "hub.db"), port);
  await inSync();
  for (const tab of [ada, bob]) {
    const { title, votes } = await tab.task(1).shown();
    assert.deepEqual({ title, votes }, { title: "Bake two loaves", votes: 3 });
    // The browser writes failed connections to the console.
    tab.errors = tab.errors.filter((error) => !error.includes("WebSocket connection"));
  }
});

step("a deleted task is gone everywhere", async () => {
  await bob.task(0).delete();
  await eventually("on ada's screen", () => ada.titles(), ["Bake two loaves"]);
  await inSync();
});
