import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

// Who may import whom, beside type-only imports of conn.ts. Files that are not named belong to the call layer, which may
// import all of itself.
const layers: Record<string, string[]> = {
  "conn.ts": [],
  "wire.ts": [],
  "redial.ts": [],
  "json.ts": [],
  "control.ts": ["json.ts", "wire.ts"],
  "ws.ts": ["conn.ts"],
  "session.ts": ["conn.ts", "control.ts", "redial.ts"],
};
const above = ["index.ts", "connect.ts", "accept.ts"]; // they know all
const beside = ["ws.ts", "session.ts", "control.ts", "redial.ts", ...above]; // the call layer knows none of them

test("files import only what is below them", () => {
  const source = new URL("../src/", import.meta.url);
  const files = readdirSync(source);
  expect(files).toEqual(expect.arrayContaining([...Object.keys(layers), ...above]));
  const wrong: string[] = [];
  for (const file of files) {
    if (above.includes(file)) continue;
    const text = readFileSync(new URL(file, source), "utf8");
    for (const [, imported] of text.matchAll(/(?:from|import) "([^"]+)"/g)) {
      const name = imported!.replace("./", "");
      const may = layers[file]?.includes(name) ?? (files.includes(name) && !beside.includes(name));
      if (!may) wrong.push(`${file} imports ${imported}`);
    }
  }
  expect(wrong).toEqual([]);
});
