// Prints what the scripts and styles of folders use that the oldest browsers do not have: lint-page.mjs FOLDER...

import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";

import { ESLint } from "eslint";
import compat from "eslint-plugin-compat";
import es from "eslint-plugin-es-x";
import stylelint from "stylelint";
import features from "stylelint-no-unsupported-browser-features";

const BROWSERS = ["chrome >= 90", "safari >= 15", "ios_saf >= 15"];

// Classes with private members are newer than ECMAScript 2021 by name only, and methods of arrays are taken for those of
// iterators.
const KNOWN = [
  "no-class-instance-fields",
  "no-class-private-fields",
  "no-class-private-methods",
  ...["filter", "find", "flatmap", "map", "reduce", "some"].map((name) => `no-iterator-prototype-${name}`),
];

// Features that make the page nicer where they are known, or for which there is another line for older browsers.
const OPTIONAL = [
  "css-focus-visible",
  "css-resize",
  "css-scroll-behavior",
  "css-touch-action",
  "extended-system-fonts",
  "text-size-adjust",
  "viewport-unit-variants",
];

// What the data behind the plugin does not tell of.
const TOO_NEW = {
  "function-disallowed-list": ["light-dark", "color-mix", "oklch", "oklab"],
  "property-disallowed-list": ["translate", "rotate", "scale"],
};

const folders = process.argv.slice(2).map((folder) => resolve(folder));
const files = (await Promise.all(folders.map(async (folder) => (await readdir(folder)).map((name) => join(folder, name))))).flat();
const filesOf = (ending) => files.filter((name) => name.endsWith(ending));

const eslint = new ESLint({
  cwd: "/",
  overrideConfigFile: true,
  overrideConfig: [
    es.configs["flat/restrict-to-es2021"],
    {
      plugins: { compat },
      languageOptions: { ecmaVersion: 2023, sourceType: "module" },
      // Asked for before it is used.
      settings: { polyfills: ["Intl.Segmenter"], "es-x": { aggressive: true } },
      rules: {
        "compat/compat": ["error", BROWSERS.join(", ")],
        ...Object.fromEntries(KNOWN.map((name) => [`es-x/${name}`, "off"])),
      },
    },
  ],
});
for (const { filePath, messages } of await eslint.lintFiles(filesOf(".js"))) {
  for (const { line, message } of messages) console.log(`${filePath}:${line}: ${message}`);
}

const { results } = await stylelint.lint({
  files: filesOf(".css"),
  config: {
    plugins: [features],
    rules: {
      ...TOO_NEW,
      "plugin/no-unsupported-browser-features": [
        true,
        { browsers: BROWSERS, ignore: OPTIONAL, ignorePartialSupport: true },
      ],
    },
  },
});
for (const { source, warnings } of results) {
  for (const { line, text } of warnings) console.log(`${source}:${line}: ${text}`);
}
