// The example's hub as a process.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

export class Hub {
  #process;
  /** Where the page is. */
  url;

  /** Starts the hub on a database file; port 0 takes a free one. */
  static async start(program, file, port = 0) {
    const hub = new Hub();
    hub.#process = spawn(program, [`127.0.0.1:${port}`, file], { stdio: ["ignore", "pipe", "inherit"] });
    const lines = createInterface({ input: hub.#process.stdout });
    const ended = once(hub.#process, "exit").then(([code]) => {
      throw new Error(`the hub ended with ${code} before it listened`);
    });
    const [line] = await Promise.race([once(lines, "line"), ended]);
    ended.catch(() => {});
    lines.on("line", (said) => console.log(`  hub: ${said}`));
    hub.url = line.split(" ")[0];
    return hub;
  }

  get port() {
    return new URL(this.url).port;
  }

  async stop() {
    const gone = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await gone;
  }
}
