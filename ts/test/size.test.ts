import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";
import { expect, test } from "vitest";

// A page that uses all of it loads so much; one that uses less, less.
test("all of the package, minified and gzipped, has at most 10,000 bytes", async () => {
  const bundle = await rolldown({
    input: fileURLToPath(new URL("../src/index.ts", import.meta.url)),
    platform: "browser",
  });
  const { output } = await bundle.generate({ minify: true });
  await bundle.close();
  expect(output.length).toBe(1);
  const size = gzipSync(output[0].code, { level: 9 }).length;
  expect(size).toBeLessThanOrEqual(10_000);
});
