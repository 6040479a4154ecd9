import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

test("what the READMEs show compiles", () => {
  const directory = mkdtempSync(join(root, "node_modules", ".readme-"));
  try {
    symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
    const files: string[] = [];
    for (const readme of ["../README.md", "README.md"]) {
      const text = readFileSync(join(root, readme), "utf8");
      for (const [, code] of text.matchAll(/^```ts\n(.*?)^```/gms)) {
        files.push(`shown${files.length}.ts`);
        writeFileSync(join(directory, files.at(-1)!), code!);
      }
    }
    expect(files.length).toBe(4);
    const generated = JSON.stringify("../../test/generated/server.ts");
    writeFileSync(join(directory, "methods.ts"), `export { count, echoText as greet, expect } from ${generated};`);
    const config = {
      extends: join(root, "test/tsconfig.json"),
      compilerOptions: {
        rootDir: root,
        paths: { "@chumsync/chum": [join(root, "src/index.ts")], "@chumsync/chum/*": [join(root, "src/*.ts")] },
      },
      files,
    };
    writeFileSync(join(directory, "package.json"), '{"type":"module"}');
    writeFileSync(join(directory, "tsconfig.json"), JSON.stringify(config));
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    try {
      execFileSync(process.execPath, [tsc, "-p", directory], { encoding: "utf8" });
    } catch (error) {
      expect((error as { stdout: string }).stdout).toBe("");
      throw error;
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});
