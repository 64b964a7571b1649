// What a browser loads of a library: its JavaScript, bundled and minified, and its WebAssembly module; raw, with gzip -9 and
// with brotli 11. Run by `cargo xtask sizes`, in the folder where esbuild is installed:
// node sizes.mjs json|table <package> [<folder of the other libraries>]

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

import { buildSync } from "esbuild";

const [form, own, others] = process.argv.slice(2);

/** A minimal use: open, edit, exchange. `resolve` is the folder from which the library is imported. */
const libraries = [
  { name: "rejoin", folder: own, entry: `export * from "./browser.js";`, wasm: "bindings_bg.wasm", resolve: own },
];
if (others) {
  const of = (name) => join(others, "node_modules", name);
  libraries.push(
    {
      name: "@automerge/automerge",
      folder: of("@automerge/automerge"),
      entry: `export * from "@automerge/automerge/slim";`,
      wasm: "dist/automerge.wasm",
      resolve: others,
    },
    {
      name: "loro-crdt",
      folder: of("loro-crdt"),
      entry: `export * from "loro-crdt/web"; export { default } from "loro-crdt/web";`,
      wasm: "web/loro_wasm_bg.wasm",
      resolve: others,
    },
    { name: "yjs", folder: of("yjs"), entry: `export * from "yjs";`, resolve: others },
  );
}

function weigh(bytes) {
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  return { raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length, brotli: brotliCompressSync(bytes, { params }).length };
}

function bundle({ entry, resolve }) {
  const { outputFiles } = buildSync({
    stdin: { contents: entry, resolveDir: resolve },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
    logLevel: "error",
  });
  return outputFiles[0].contents;
}

const measured = libraries.map((library) => {
  const { version } = JSON.parse(readFileSync(join(library.folder, "package.json")));
  const js = weigh(bundle(library));
  const wasm = library.wasm && weigh(readFileSync(join(library.folder, library.wasm)));
  const sum = (what) => js[what] + (wasm?.[what] ?? 0);
  const total = { raw: sum("raw"), gzip: sum("gzip"), brotli: sum("brotli") };
  return { name: library.name, version, wasm, js, total };
});

if (form === "json") {
  for (const line of measured) console.log(JSON.stringify(line));
} else {
  const row = ({ name, version, total, wasm, js }) => ({
    library: `${name} ${version}`,
    "wasm, brotli": wasm?.brotli ?? 0,
    "JavaScript, brotli": js.brotli,
    raw: total.raw,
    gzip: total.gzip,
    brotli: total.brotli,
  });
  console.table(measured.map(row));
}
