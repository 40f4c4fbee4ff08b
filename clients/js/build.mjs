// Builds what is installed, into the folders given: build.mjs [PACKAGE [SERVED]].
//   dist/                            the npm package: one module, the React hooks, the types
//   ../../app/web/vendor/client.js   with the stock client in it, as the service serves it at /client.js
// Its tools are those of tests/js.

import { execFileSync } from "node:child_process";
import { copyFile, readdir, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

const here = import.meta.dirname;
const tools = createRequire(join(here, "../../tests/js/package.json"));
const esbuild = tools("esbuild");
const [, , dist = join(here, "dist"), served = join(here, "../../app/web/vendor")] = process.argv;

const common = { bundle: true, format: "esm", charset: "utf8", logLevel: "warning" };
// The oldest browsers that the page is for.
const target = ["chrome90", "safari15"];

await rm(dist, { recursive: true, force: true });
for (const name of ["index", "react"]) {
  await esbuild.build({
    ...common,
    entryPoints: [join(here, "src", `${name}.ts`)],
    external: ["socket.io-client", "react", ...(name === "index" ? [] : ["./index.js"])],
    target,
    outfile: join(dist, `${name}.js`),
  });
}
await esbuild.build({
  ...common,
  entryPoints: [join(here, "src", "index.ts")],
  alias: { "socket.io-client": join(here, "../../tests/js/node_modules/socket.io-client/dist/socket.io.esm.min.js") },
  minify: true,
  target,
  outfile: join(served, "client.js"),
});

const compiler = tools.resolve("typescript/bin/tsc");
execFileSync(process.execPath, [compiler, "--project", here, "--outDir", dist], { stdio: "inherit" });
await copyFile(join(here, "../../docs/join-session.d.ts"), join(dist, "join-session.d.ts"));
