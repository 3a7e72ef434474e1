// Whether Grafana's own types take our boards, and Elastic's own list knows the fields of our lines.
// usage: node check.mjs FOLDER-OF-BOARDS FILE-OF-LOG-LINES
import { readFileSync, readdirSync, writeFileSync, mkdtempSync } from "node:fs";
import { join, dirname } from "node:path";
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { EcsFlat } = require("@elastic/ecs");
const [boards, log] = process.argv.slice(2);
const wrong = [];

// --- boards: the type checker of TypeScript, and what types cannot say ---
const work = mkdtempSync(join(dirname(new URL(import.meta.url).pathname), "boards-"));
const uids = new Set();
const sources = readdirSync(boards).map((file) => {
  const text = readFileSync(join(boards, file), "utf8");
  const { uid, panels } = JSON.parse(text);
  if (!uid || uids.has(uid)) wrong.push(`${file}: its uid is missing or another board's`);
  uids.add(uid);
  if (new Set(panels.map((panel) => panel.id)).size !== panels.length) wrong.push(`${file}: two panels have one id`);
  for (const { gridPos: at, title } of panels) {
    if (at.x + at.w > 24) wrong.push(`${file}: "${title}" is wider than the board`);
  }
  const source = join(work, file.replace(".json", ".ts"));
  writeFileSync(source, `import type { Dashboard } from "@grafana/schema";\nexport const board: Dashboard = ${text};\n`);
  return source;
});
if (sources.length !== 4) wrong.push(`${sources.length} boards instead of four`);
const tsc = require.resolve("typescript/bin/tsc");
const options = "--noEmit --strict --skipLibCheck --moduleResolution bundler --module esnext --target es2022".split(" ");
try {
  execFileSync(process.execPath, [tsc, ...options, ...sources], { encoding: "utf8" });
} catch (error) {
  wrong.push(error.stdout || String(error));
}

// --- lines: a field that Elastic knows, or one of ours; and its type ---
const fits = {
  date: (value) => value.endsWith("Z") && !Number.isNaN(Date.parse(value)),
  long: Number.isInteger,
  ip: (value) => /^[0-9a-f.:]+$/.test(value),
};
const text = (value) => typeof value === "string";
const lines = readFileSync(log, "utf8").split("\n").filter((line) => line.startsWith("{"));
if (lines.length < 3) wrong.push(`only ${lines.length} lines of log: is that the file?`);
for (const line of lines) {
  for (const [name, value] of Object.entries(JSON.parse(line))) {
    const known = EcsFlat[name];
    // Where the schema has several values, each of them is looked at.
    const values = known?.normalize?.includes("array") ? value : [value];
    if (name.startsWith("labels.")) {
      if (!text(value)) wrong.push(`${name} is no text: ${line}`);
    } else if (!known) {
      if (!name.startsWith("berth.")) wrong.push(`${name} is no field of the schema: ${line}`);
    } else if (!Array.isArray(values) || !values.every(fits[known.type] ?? text)) {
      wrong.push(`${name} is no ${known.type}: ${line}`);
    } else if (known.allowed_values?.length && !values.every((each) => known.allowed_values.some((one) => one.name === each))) {
      wrong.push(`${name} may not be ${value}: ${line}`);
    }
  }
  for (const name of ["@timestamp", "ecs.version", "message", "service.name"]) {
    if (!(name in JSON.parse(line))) wrong.push(`no ${name}: ${line}`);
  }
}
console.log(wrong.length ? wrong.join("\n") : `${sources.length} boards and ${lines.length} lines of log are good`);
process.exit(wrong.length ? 1 : 0);
