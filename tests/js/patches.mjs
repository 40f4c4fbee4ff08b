// Applies patches with fast-json-patch. The file has a case on each line: {"before": ..., "patch": [...], "after": ...}.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import jsonpatch from "fast-json-patch";

const lines = readFileSync(process.argv[2], "utf8").split("\n");
for (const line of lines) {
  const { before, patch, after } = JSON.parse(line);
  assert.equal(jsonpatch.validate(patch, before), undefined, line);
  assert.deepEqual(jsonpatch.applyPatch(before, patch).newDocument, after, line);
}
console.log(JSON.stringify({ cases: lines.length }));
