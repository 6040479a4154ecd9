import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { listen } from "../conformance/server.ts";
import type { Target } from "../conformance/suite.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Host and port of the Go server, see test/server. */
    server: string;
    /** The servers of the conformance suite, and the proxy before them. */
    conformance: { Go: Target; TS: Target };
  }
}

/** Starts the Go server that the tests of this directory call, and the one in Node.js of the conformance suite. */
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
  const node = await listen();
  const urls = { Go: `ws://${address}/conformance`, TS: node.url };
  const proxy = await (
    await fetch(`http://${address}/conformance/proxy`, { method: "POST", body: JSON.stringify(Object.values(urls)) })
  ).text();
  project.provide("conformance", { Go: { url: urls.Go, proxy }, TS: { url: urls.TS, proxy } });
  return async () => {
    node.close();
    server.stdin.end(); // with which it ends
    await ended.catch(() => {});
  };
}
