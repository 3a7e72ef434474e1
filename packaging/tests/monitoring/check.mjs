// Whether Grafana's own types take our boards, Elastic's own list knows the fields of our lines, and
// our index template maps each of them to a type that holds it.
// usage: node check.mjs FOLDER-OF-BOARDS INDEX-TEMPLATE FILE-OF-LOG-LINES
import { readFileSync, readdirSync, writeFileSync, mkdtempSync } from "node:fs";
import { join, dirname } from "node:path";
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { isIP } from "node:net";

const require = createRequire(import.meta.url);
const { EcsFlat } = require("@elastic/ecs");
const [boards, template, log] = process.argv.slice(2);
const wrong = [];

// --- boards: the type checker of TypeScript, and what types cannot say ---
const work = mkdtempSync(join(dirname(new URL(import.meta.url).pathname), "boards-"));
const uids = new Set();
const sources = readdirSync(boards).map((file) => {
  const text = readFileSync(join(boards, file), "utf8");
  const { uid, id, title, panels, schemaVersion, templating } = JSON.parse(text);
  if (!uid || uids.has(uid)) wrong.push(`${file}: its uid is missing or another board's`);
  uids.add(uid);
  // What an import asks for: no number of another installation, a title, a layout that is not older
  // than all that is read without a migration of the angular past, and a source that is chosen.
  if (id) wrong.push(`${file}: it has the number that another Grafana gave it`);
  if (!title || !(schemaVersion >= 36)) wrong.push(`${file}: title or schemaVersion`);
  const names = new Set((templating?.list ?? []).map((variable) => variable.name));
  const used = [...text.matchAll(/\$\{(\w+)[}:]|\$(\w+)/g)].map((found) => found[1] ?? found[2]);
  for (const name of used) {
    if (!name.startsWith("__") && !names.has(name)) wrong.push(`${file}: there is no variable ${name}`);
  }
  for (const panel of panels) {
    const letters = (panel.targets ?? []).map((target) => target.refId);
    if (new Set(letters).size !== letters.length || letters.some((letter) => !letter)) wrong.push(`${file}: refIds of "${panel.title}"`);
    if (panel.type !== "row" && panel.datasource?.type !== "prometheus") wrong.push(`${file}: "${panel.title}" has no source`);
  }
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
  ip: (value) => isIP(value) !== 0,
};
const text = (value) => typeof value === "string";
// What the template makes of a field: its type, or nothing.
const mappings = JSON.parse(readFileSync(template, "utf8")).template.mappings;
const mapped = (name) => name.split(".").reduce((at, part) => at?.properties?.[part], mappings)?.type;
// The template's words for types of the schema, where they are others.
const kin = { constant_keyword: "keyword" };
const ours = { keyword: text, long: Number.isInteger, float: (value) => typeof value === "number" };
const lines = readFileSync(log, "utf8").split("\n").filter((line) => line.startsWith("{"));
if (lines.length < 3) wrong.push(`only ${lines.length} lines of log: is that the file?`);
for (const service of ["berth-hub", "berth-proxy", "berth-agent"]) {
  if (!lines.some((line) => JSON.parse(line)["service.name"] === service)) wrong.push(`no line of ${service}`);
}
if (!lines.some((line) => "berth.memory.limit" in JSON.parse(line))) wrong.push("no line says how much memory");
for (const line of lines) {
  for (const [name, value] of Object.entries(JSON.parse(line))) {
    const known = EcsFlat[name];
    // Where the schema has several values, each of them is looked at.
    const values = known?.normalize?.includes("array") ? value : [value];
    if (name.startsWith("labels.")) {
      if (!text(value)) wrong.push(`${name} is no text: ${line}`);
    } else if (!mapped(name)) {
      wrong.push(`the template does not know ${name}: ${line}`);
    } else if (!known) {
      if (!name.startsWith("berth.")) wrong.push(`${name} is no field of the schema: ${line}`);
      else if (!ours[mapped(name)]?.(value)) wrong.push(`${name} is no ${mapped(name)}: ${line}`);
    } else if ((kin[known.type] ?? known.type) !== mapped(name)) {
      wrong.push(`${name} is ${known.type} in the schema and ${mapped(name)} in the template`);
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
