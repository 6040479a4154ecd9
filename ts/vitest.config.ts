import { existsSync } from "node:fs";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";

// Tests of test/ run in Node. Those of test/live/ meet a real Go server, in Node and, where there is one, in Chromium.
const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";

// A browser that looks for updates is refused by a closed network, many times at once.
const quiet = [
  "--no-sandbox", // it runs as root in CI, and loads nothing but these tests
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const testTimeout = 30_000; // ms: what hangs fails, on a busy machine, too

export default defineConfig({
  test: {
    globalSetup: "test/live/setup.ts",
    projects: [
      { test: { name: "node", include: ["test/**/*.test.ts"], testTimeout } },
      ...(existsSync(chromium)
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
                  provider: playwright({ launchOptions: { executablePath: chromium, args: quiet } }),
                  instances: [{ browser: "chromium" as const }],
                },
              },
            },
          ]
        : []),
    ],
  },
});
