import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** Host and port of the Go server, see test/server. */
    server: string;
  }
}

/** Starts the Go server that the tests of this directory call. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = spawn("go", ["run", "./ts/test/server"], {
    cwd: fileURLToPath(new URL("../../..", import.meta.url)),
    env: { ...process.env, GOWORK: "off" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(server, "exit").then(([code]) => {
    throw new Error(`go run ./ts/test/server ended with code ${code}`);
  });
  ended.catch(() => {}); // it is what the race below is told, or the end
  const [address] = await Promise.race([
    once(createInterface(server.stdout), "line"),
    ended,
    once(server, "error").then(([error]) => Promise.reject(error)),
  ]);
  project.provide("server", address);
  return async () => {
    server.stdin.end(); // with which it ends
    await ended.catch(() => {});
  };
}
