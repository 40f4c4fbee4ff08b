// Unpacks the oldest Chromium that the page is for into a folder: old-chromium.mjs FOLDER.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliDecompress } from "node:zlib";

const folder = process.argv[2];
const packed = join(import.meta.dirname, "node_modules/@sparticuz/chromium/bin");
const unpack = async (name) => promisify(brotliDecompress)(await readFile(join(packed, `${name}.br`)));

await writeFile(join(folder, "chromium"), await unpack("chromium"), { mode: 0o755 });
// Its libraries, and its drawing without a graphics card.
for (const name of ["aws.tar", "swiftshader.tar"]) await writeFile(join(folder, name), await unpack(name));
