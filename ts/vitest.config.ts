import { existsSync } from "node:fs";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";
import { args, executablePath } from "./test/chromium.ts";

if (!existsSync(executablePath)) console.warn(`The tests in a browser are skipped: there is no ${executablePath}.`);

const testTimeout = 30_000; // ms: what hangs fails, on a busy machine, too

// Tests of test/ run in Node. Those of test/live/ meet a real Go server, in Node and, where there is one, in Chromium.
export default defineConfig({
  test: {
    globalSetup: "test/live/setup.ts",
    projects: [
      { test: { name: "node", include: ["test/**/*.test.ts"], testTimeout } },
      ...(existsSync(executablePath)
        ? [
            {
              test: {
                name: "chromium",
                include: ["test/live/*.test.ts"],
                testTimeout,
                browser: {
                  enabled: true,
                  headless: true,
                  screenshotFailures: false,
                  provider: playwright({ launchOptions: { executablePath, args } }),
                  instances: [{ browser: "chromium" as const }],
                },
              },
            },
          ]
        : []),
    ],
  },
});
