// Lighthouse on a page, by a running Chromium: lighthouse.mjs PORT URL CATEGORY... prints scores and what cost points.

import lighthouse from "lighthouse";

const [port, url, ...onlyCategories] = process.argv.slice(2);
const { lhr } = await lighthouse(url, { port: Number(port), onlyCategories, output: "json", logLevel: "silent" });

const scores = Object.fromEntries(Object.entries(lhr.categories).map(([name, { score }]) => [name, Math.round(100 * score)]));
const failed = Object.values(lhr.categories)
  .flatMap(({ auditRefs }) => auditRefs)
  .filter(({ id, weight }) => weight > 0 && (lhr.audits[id].score ?? 1) < 1)
  .map(({ id }) => `${id}: ${lhr.audits[id].title} ${lhr.audits[id].displayValue ?? ""}`);
console.log(JSON.stringify({ scores, failed }));
// What it leaves open would keep the process alive.
process.exit(0);
