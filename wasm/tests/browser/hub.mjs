// The example's hub as a process.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

export class Hub {
  #process;
  /** Resolves when the process has ended. */
  #ended;
  /** Where the page is. */
  url;

  /** Starts the hub on a database file; port 0 takes a free one. */
  static async start(program, file, port = 0) {
    const hub = new Hub();
    hub.#process = spawn(program, [`127.0.0.1:${port}`, file], { stdio: ["ignore", "pipe", "inherit"] });
    hub.#ended = new Promise((resolve) => hub.#process.on("close", resolve).on("error", resolve));
    const lines = createInterface({ input: hub.#process.stdout });
    const [line] = await Promise.race([once(lines, "line"), hub.#ended.then(() => [])]);
    if (!line) throw new Error("the hub ended before it listened");
    lines.on("line", (said) => console.log(`  hub: ${said}`));
    [hub.url] = line.split(" ");
    return hub;
  }

  get port() {
    return new URL(this.url).port;
  }

  async stop() {
    this.#process.kill("SIGKILL");
    await this.#ended;
  }
}
