import { expect, test } from "vitest";
import type { Peer } from "../../src/peer.ts";
import * as server from "../generated/server.ts";
import { isPattern, pattern } from "./bytes.ts";
import { Server } from "./server.ts";

const everything: server.Everything = {
  text: "ein Füchslein 🦊",
  int: -(2 ** 31),
  large: "-9223372036854775808",
  float: 0.1,
  flag: true,
  bytes: new Uint8Array([0, 255]),
  list: ["a", ""],
  map: { a: 65_535 },
  time: "2026-11-27T21:11:00.123456789Z",
};

async function* upTo(n: number): AsyncGenerator<number> {
  for (let i = 0; i < n; i++) yield i;
}

test("the server is as the file was generated from", async () => {
  const peer = await new Server().connect();
  expect(peer.schema).toMatch(/^[0-9a-f]{16}$/);
  expect(await server.expect(peer)).toEqual([]);
  expect(peer.stats.out.started).toBe(0); // its hello said so
  const another = { ready: peer.ready, schema: "another", send: peer.send.bind(peer) } as unknown as Peer;
  expect(await server.expect(another)).toEqual([]);
  expect(peer.stats.out.started).toBe(1);
});

test("generated functions call", async () => {
  const peer = await new Server().connect();
  const value = { ...everything, next: everything };
  expect(await server.echo(peer, value)).toEqual(value);
  expect(await server.echoText(peer, "text", { timeout: 5_000 })).toBe("text");
  expect(await server.nothing(peer)).toBeUndefined();
  for (const size of [0, 9, 100_000]) {
    const data = pattern(size);
    expect(isPattern(await server.echoBytes(peer, data), size)).toBe(true);
    const part = await server.echoPart(peer, { name: "n", data });
    expect([part.name, isPattern(part.data, size)]).toEqual(["n", true]);
  }
  expect(await server.metadata(peer, "traceparent", { metadata: { traceparent: "00" } })).toBe("00");
  const failure = { code: "not_found", message: "no such thing", data: "x" };
  await expect(server.fail(peer, failure)).rejects.toMatchObject({ code: "not_found", executed: "yes", data: "x" });
});

test("generated functions stream", async () => {
  const peer = await new Server().connect();
  let sum = 0;
  for await (const n of server.count(peer, 1000)) sum += n;
  expect(sum).toBe(499_500);
  expect(await server.total(peer, upTo(1000))).toBe(sum);
  const lines: string[] = [];
  for await (const line of server.chat(peer, "me", ["one", "two"])) lines.push(line);
  expect(lines).toEqual(["me: one", "me: two"]);
  expect((await server.write(peer, server.Read.bytes(peer, 300_000))).size).toBe(300_000);
});

test("the Go server refuses what a program sends against its types, and the checkers what Go would take", async () => {
  const peer = await new Server().connect();
  await expect(server.echo(peer, { ...everything, int: 2 ** 31 })).rejects.toMatchObject({ code: "invalid_argument" });
  await expect(server.total(peer, [1, 2.5])).rejects.toThrow("item 2");
  // A slice that is nil in Go is written as [], a time without a day as what it says.
  const bare = { ...everything, list: null as unknown as string[] };
  expect((await server.echo(peer, bare)).list).toEqual([]);
});
