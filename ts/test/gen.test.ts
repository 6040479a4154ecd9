import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, inject, test } from "vitest";

/** Runs `chum gen ts` for the Go server of these tests. */
const gen = (...args: string[]): Promise<{ text: string; said: string }> =>
  new Promise((resolve) => {
    execFile(
      "go",
      ["run", "./cmd/chum", "gen", "ts", `ws://${inject("server")}/ws?name=gen`, ...args],
      { cwd: fileURLToPath(new URL("../..", import.meta.url)), env: { ...process.env, GOWORK: "off" } },
      (_, text, said) => resolve({ text, said }),
    );
  });

const MINUTE = 60_000; // ms: the command is built first

// What is written is used by live/generated.test.ts, and held to compile by `tsc -p test`.
test("chum gen ts writes generated/server.ts for the running server (npx vitest -u, if it was meant)", {
  timeout: MINUTE,
}, async () => {
  const methods =
    "chat,count,echo,echoBytes,echoPart,echoText,fail,hang,hold,metadata,nothing,read,release,total,write";
  const { text, said } = await gen(
    "--only",
    methods,
    "--import",
    "../../src/index.ts",
    "--import-check",
    "../../src/check.ts",
  );
  expect(said).toBe("");
  await expect(text).toMatchFileSnapshot("generated/server.ts");
});

test("what JavaScript cannot hold is refused", { timeout: MINUTE }, async () => {
  const { text, said } = await gen();
  expect(text).toBe("");
  expect(said).toMatch(/^chum: add: args\[0\]: it is of type int64/);
  expect(said).toMatch(/^memory: result: it is of type uint64/m);
  expect(said).not.toMatch(/^(count|total|write):/m);
});
