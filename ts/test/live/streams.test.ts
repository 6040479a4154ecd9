import { expect, test, vi } from "vitest";
import { duplex, method, sink, source } from "../../src/method.ts";
import { Mux } from "../../src/mux.ts";
import type { Peer } from "../../src/peer.ts";
import { isPattern, pattern } from "./bytes.ts";
import { Server } from "./server.ts";

interface Sum {
  size: number;
  sha256: string;
}

const Count = source<number, number>("count");
const Total = sink<void, number, number>("total", { params: { form: "none" } });
const Chat = duplex<string, string, string>("chat");
const Read = source<number, Uint8Array>("read");
const Write = sink<void, Uint8Array, Sum>("write", { params: { form: "none" } });
const Hold = sink<string, Uint8Array, Sum>("hold");
const StreamBack = method<number, number>("streamBack");

async function* upTo(n: number): AsyncGenerator<number> {
  for (let i = 0; i < n; i++) yield i;
}

async function sha256(data: Uint8Array<ArrayBuffer>): Promise<string> {
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  return Array.from(sum, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

test("a source is read to its end, or left", async () => {
  const peer = await new Server().connect();
  let sum = 0;
  for await (const n of Count.call(peer, 10_000)) sum += n;
  expect(sum).toBe((10_000 * 9_999) / 2);
  for await (const n of Count.call(peer, 1_000_000_000)) if (n === 5) break;
  await vi.waitFor(() => expect(peer.stats.out.open).toBe(0));
  expect(await peer.send("add", 1, 1)).toBe(2);
});

test("a sink takes all and answers", async () => {
  const peer = await new Server().connect();
  expect(await Total.call(peer, undefined, upTo(10_000))).toBe((10_000 * 9_999) / 2);
});

test("a duplex answers as it is fed", async () => {
  const peer = await new Server().connect();
  let next = (_: string) => {};
  const words = (async function* () {
    for (let i = 0; i < 3; i++) yield await new Promise<string>((resolve) => (next = resolve));
  })();
  const chat = Chat.call(peer, "echo", words);
  for (const word of ["one", "two", "three"]) {
    const answer = chat.next();
    await Promise.resolve();
    await vi.waitFor(() => next(word));
    expect((await answer).value).toBe(`echo: ${word}`);
  }
  expect((await chat.next()).done).toBe(true);
});

test("bytes go both ways", async () => {
  const peer = await new Server().connect();
  const size = 5_000_000;
  const chunks: Uint8Array[] = [];
  const reader = Read.bytes(peer, size).getReader();
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) chunks.push(chunk.value);
  const all = new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
  expect(isPattern(all, size)).toBe(true);
  const sum = await Write.call(peer, undefined, new Blob([all]).stream());
  expect(sum).toEqual({ size, sha256: await sha256(all) });
});

test("the server reads and feeds its client's streams", async () => {
  const services = new Mux();
  Count.handle(services, (n) => upTo(n));
  Total.handle(services, async (_, items) => {
    let sum = 0;
    for await (const n of items) sum += n;
    return sum;
  });
  const peer = await new Server().connect(services);
  expect(await StreamBack.call(peer, 5000)).toBe((5000 * 4999) / 2);
});

const GiB = 2 ** 30;

/** Waits until a figure stands still. */
async function settled(figure: () => number): Promise<number> {
  let last = -1;
  await vi.waitUntil(
    () => {
      const same = figure() === last;
      last = figure();
      return same;
    },
    { interval: 200, timeout: 10_000 },
  );
  return last;
}

/** How long small calls take beside what else goes on, the worst of some, in ms. */
async function probe(peer: Peer): Promise<number> {
  let worst = 0;
  for (let i = 0; i < 20; i++) {
    const start = performance.now();
    expect(await peer.send("add", i, 1)).toBe(i + 1);
    worst = Math.max(worst, performance.now() - start);
  }
  return worst;
}

test("a reader that stops holds a window, not a gigabyte", async () => {
  const peer = await new Server().connect();
  const stream = Read.call(peer, GiB);
  expect((await stream.next()).value?.length).toBeGreaterThan(0);
  const came = await settled(() => peer.stats.received.bytes);
  expect(came).toBeLessThan(8 << 20);
  expect(await probe(peer)).toBeLessThan(500);
  expect(peer.stats.received.bytes - came).toBeLessThan(10_000);
  stream.cancel();
  await vi.waitFor(() => expect(peer.stats.out.open).toBe(0));
});

test("a handler that does not read holds a window, not a gigabyte", async () => {
  const peer = await new Server().connect();
  const before = (await peer.send("memory")) as number;
  const name = crypto.randomUUID();
  let pulled = 0;
  const chunk = new Uint8Array(64 << 10);
  const stop = new AbortController();
  const call = Hold.call(
    peer,
    name,
    (async function* () {
      for (; pulled < GiB; pulled += chunk.length) yield chunk;
    })(),
    { signal: stop.signal },
  );
  const held = await settled(() => pulled);
  expect(held).toBeLessThan(8 << 20);
  expect(await probe(peer)).toBeLessThan(500);
  expect(((await peer.send("memory")) as number) - before).toBeLessThan(32 << 20);
  expect(pulled).toBe(held);
  stop.abort();
  await expect(call).rejects.toMatchObject({ code: "cancelled" });
});

test("it goes on when it is read", async () => {
  const peer = await new Server().connect();
  const name = crypto.randomUUID();
  const data = pattern(10_000_000);
  const call = Hold.call(peer, name, new Blob([data]).stream());
  await probe(peer);
  await peer.send("release", name);
  expect(await call).toEqual({ size: data.length, sha256: await sha256(data) });
});
