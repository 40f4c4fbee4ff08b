// Applies patches with fast-json-patch and as the client does. The file has a case on each line: {"before": ..., "patch": [...], "after": ...}.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import jsonpatch from "fast-json-patch";
import { applyPatch, patched } from "../../clients/js/src/patches.ts";

const lines = readFileSync(process.argv[2], "utf8").split("\n");
for (const line of lines) {
  const { before, patch, after } = JSON.parse(line);
  assert.deepEqual(applyPatch(before, patch), after, line);
  // It has left the document as it was.
  assert.equal(jsonpatch.validate(patch, before), undefined, line);
  assert.deepEqual(jsonpatch.applyPatch(before, patch).newDocument, after, line);
}

const held = { data: { movies: [{ rank: 1 }] }, meta: { epoch: "e", version: 3, title: null } };
const replaced = [{ op: "replace", path: "/movies/0/rank", value: 2 }];
assert.deepEqual(patched(held, replaced, { epoch: "e", from: 3, version: 5, title: "Friday" }), {
  data: { movies: [{ rank: 2 }] },
  meta: { epoch: "e", version: 5, title: "Friday" },
});
for (const elsewhere of [{ epoch: "e", from: 2, version: 5 }, { epoch: "f", from: 3, version: 5 }])
  assert.equal(patched(held, replaced, elsewhere), null);
for (const path of ["/movies/1/rank", "/movies/0/year", "/movies/-1", "/movies/01", "/movies/length", "/shows/0"])
  assert.equal(patched(held, [{ op: "replace", path, value: 2 }], { epoch: "e", from: 3, version: 4 }), null, path);
assert.equal(patched(null, [], { epoch: "e", from: 3, version: 4 }), null);

console.log(JSON.stringify({ cases: lines.length }));
