import { expect, inject, test } from "vitest";
import type { CaseFile } from "../conformance/case.ts";
import { run } from "../conformance/suite.ts";

// The servers are those of setup.ts; who is the client says where this runs.
const client = "window" in globalThis ? "Chromium" : "TS";

test.each(["Go", "TS"] as const)(
  "the cases of the conformance suite, server: %s",
  async (server) => {
    const go = `http://${inject("server")}`;
    const file: CaseFile = await (await fetch(`${go}/conformance/cases`)).json();
    const verdicts = await run(file, inject("conformance")[server]);
    const pair = `${client} → ${server}`;
    const kept = await fetch(`${go}/conformance/verdicts?pair=${encodeURIComponent(pair)}`, {
      method: "POST",
      body: JSON.stringify(verdicts),
    });
    expect(await kept.text()).toBe("");
    expect(verdicts.length).toBeGreaterThan(300);
    expect(verdicts.filter((v) => v.why).map((v) => `${v.group}: ${v.name}: ${v.why}`)).toEqual([]);
    if (server === "Go") expect(verdicts.filter((v) => !v.offered)).toEqual([]);
  },
  120_000,
);
