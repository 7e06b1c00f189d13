// docs/openapi.json and docs/asyncapi.json, judged by Redocly with its recommended rules and by the AsyncAPI parser: neither
// finds anything, and both find what is wrong in a document that is.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Parser } from "@asyncapi/parser";

const here = fileURLToPath(new URL(".", import.meta.url));
const documents = join(here, "..", "..", "docs");

let folder;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "kalmind-documents-"));
});

after(() => rm(folder, { recursive: true }));

// What Redocly says of a file: its problems of every severity.
function linted(file) {
  const redocly = join(here, "node_modules", ".bin", "redocly");
  const { stdout, stderr } = spawnSync(redocly, ["lint", "--extends=recommended", "--format=json", file], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" },
  });
  const start = stdout.indexOf("{");
  assert.ok(start >= 0, `${stdout}${stderr}`);
  return JSON.parse(stdout.slice(start)).problems.map(({ severity, ruleId, message }) => `${severity} ${ruleId}: ${message}`);
}

async function parsed(text) {
  const found = await new Parser().validate(text);
  return found.map(({ code, path, message }) => `${code} at ${path.join(".")}: ${message}`);
}

async function broken(name, breakIt) {
  const document = JSON.parse(await readFile(join(documents, name), "utf8"));
  breakIt(document);
  return JSON.stringify(document);
}

test("Redocly finds nothing in the OpenAPI document", () => {
  assert.deepEqual(linted(join(documents, "openapi.json")), []);
});

test("Redocly finds what is wrong", async () => {
  const file = join(folder, "openapi.json");
  await writeFile(file, await broken("openapi.json", ({ paths }) => delete paths["/v1/stop"].post.operationId));
  assert.match(linted(file).join("\n"), /operation-operationId/);
});

test("the AsyncAPI parser finds nothing in the AsyncAPI document", async () => {
  assert.deepEqual(await parsed(await readFile(join(documents, "asyncapi.json"), "utf8")), []);
});

test("the AsyncAPI parser finds what is wrong", async () => {
  const text = await broken("asyncapi.json", ({ operations }) => delete operations.stop.action);
  assert.notDeepEqual(await parsed(text), []);
});
