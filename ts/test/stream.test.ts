import { expect, test, vi } from "vitest";
import { bytes, integer, string } from "../src/check.ts";
import { CallError, duplex, Mux, method, readable, sink, source } from "../src/index.ts";
import { collect, failed, gate, idle, pair } from "./pair.ts";
import { frame, hello, join, Raw, request, settle, u, utf8 } from "./raw.ts";
import { Count, Hi, Sum, services, Twice } from "./services.ts";

const Read = source<number, Uint8Array>("read", { args: integer(), out: bytes() });
const Write = sink<void, Uint8Array, number>("write", { params: { form: "none" }, in: bytes(), result: integer() });

test("bytes as ReadableStreams, both ways", async () => {
  const mux = services();
  Read.handle(mux, (n) => new Blob([new Uint8Array(n).fill(5)]).stream());
  Write.handle(mux, async (_, pieces) => {
    let n = 0;
    for await (const p of pieces) n += p.length;
    return n;
  });
  const p = pair({}, {}, mux);
  const n = 3_000_000;
  const got = await new Response(Read.bytes(p.a, n)).bytes();
  expect([got.length, got.every((b) => b === 5)]).toEqual([n, true]);
  expect(await Write.call(p.a, undefined, new Blob([new Uint8Array(n)]).stream())).toBe(n);
  expect(await Write.call(p.a, undefined, [new Uint8Array(200_000), new Uint8Array()])).toBe(200_000);
  expect(await Write.call(p.a, undefined, new Blob([]).stream())).toBe(0);
  await settle();
  expect(idle(p)).toBe(true);
});

test("a reader that stops holds its window in memory, and nothing else up", async () => {
  let made = 0;
  const Flood = source<void, Uint8Array>("flood", { params: { form: "none" }, out: bytes() });
  const mux = services();
  Flood.handle(mux, function* () {
    for (; ; made++) yield new Uint8Array(10_000);
  });
  const p = pair({}, {}, mux);
  const stream = Flood.call(p.a, undefined);
  await stream.next();
  await settle(50);
  const stopped = made;
  expect(p.a.stats.waiting).toBeLessThan(64 * 1024 + 10_000); // the window, which may have grown once, and an item
  for (let i = 0; i < 20; i++) expect(await Hi.call(p.a, "x")).toBe("hi x");
  await settle(50);
  expect(made).toBe(stopped);
  expect(stopped).toBeLessThan(20);
  stream.cancel();
  await settle();
  expect(idle(p)).toBe(true);
});

test("a handler that does not read holds its writer up", async () => {
  let made = 0;
  const hold = gate();
  const mux = services();
  Write.handle(mux, async (_, pieces) => {
    await hold.promise;
    for await (const _p of pieces) return 7;
    return 0;
  });
  const p = pair({}, {}, mux);
  const answer = Write.call(
    p.a,
    undefined,
    (function* () {
      for (; ; made++) yield new Uint8Array(10_000);
    })(),
  );
  await settle(50);
  expect(made).toBeLessThan(20);
  expect(await Hi.call(p.a, "x")).toBe("hi x");
  hold.open();
  expect(await answer).toBe(7); // it answers before it has taken all: the rest is left
  await settle();
  expect(idle(p)).toBe(true);
});

test("windows grow for a reader that keeps up, and shrink to nothing at the end", async () => {
  const mux = services();
  Read.handle(mux, function* (n) {
    for (let i = 0; i < n; i++) yield new Uint8Array(50_000);
  });
  const credits: number[] = [];
  const p = pair({ trace: (f) => f.kind === 9 && f.sent && credits.push(f.payload.length) }, {}, mux);
  const pieces = await collect(Read.call(p.a, 400));
  expect(pieces.length).toBe(400);
  // In windows of 32 KiB each piece needs credit of its own.
  expect(credits.length).toBeLessThan(300);
});

test("leaving a loop cancels the call, and ends the generator that feeds it", async () => {
  const ended = gate<boolean>();
  const Endless = source<void, number>("endless", { params: { form: "none" }, out: integer() });
  const mux = services();
  Endless.handle(mux, async function* (_, { signal }) {
    try {
      for (let i = 0; ; i++) yield i;
    } finally {
      ended.open(signal.aborted);
    }
  });
  const p = pair({}, {}, mux);
  for await (const n of Endless.call(p.a, undefined)) if (n === 5) break;
  expect(await ended.promise).toBe(true);
  await settle();
  expect(idle(p)).toBe(true);
  expect(p.b.stats.in.failed).toBe(1);
});

test("what a stream throws", async () => {
  const mux = services();
  const Broken = source<boolean, number>("broken", { out: integer() });
  Broken.handle(mux, function* (known) {
    yield 1;
    throw known ? new CallError("aborted", "somebody was faster") : new Error("secret");
  });
  const p = pair({}, {}, mux);
  const read = async (known: boolean): Promise<unknown[]> => {
    const got: unknown[] = [];
    try {
      for await (const n of Broken.call(p.a, known)) got.push(n);
    } catch (e) {
      got.push((e as CallError).code);
    }
    return got;
  };
  expect(await read(true)).toEqual([1, "aborted"]);
  expect(await read(false)).toEqual([1, "internal"]);
  expect(p.errors.length).toBe(1);

  const feedIn = Sum.call(
    p.a,
    undefined,
    (function* () {
      yield 1;
      throw new Error("no more");
    })(),
  );
  const [code, , message] = await failed(feedIn);
  expect([code, message]).toEqual(["cancelled", "no more"]);
  await settle();
  expect(idle(p)).toBe(true);
});

test("items are checked on both sides", async () => {
  const mux = services();
  const Lie = source<void, number>("lie", { params: { form: "none" } });
  Lie.handle(mux, () => [1, "2"] as number[]);
  const p = pair({}, {}, mux);
  const Checked = source<void, number>("lie", { params: { form: "none" }, out: integer() });
  const stream = Checked.call(p.a, undefined);
  expect(await stream.next()).toEqual({ done: false, value: 1 });
  expect((await failed(stream.next())).slice(0, 2)).toEqual(["data_loss", "yes"]);
  expect(await stream.next()).toEqual({ done: true, value: undefined });

  const Wrong = sink<void, string, number>("sum", { params: { form: "none" }, in: string() });
  expect((await failed(Wrong.call(p.a, undefined, ["x"]))).slice(0, 2)).toEqual(["invalid_argument", "yes"]);
  await settle();
  expect(idle(p)).toBe(true);
});

test("a duplex call: each answer may depend on the next question", async () => {
  const p = pair();
  let ask: (n: number) => void = () => {};
  const questions = async function* (): AsyncGenerator<number> {
    for (let i = 0; i < 5; i++) {
      yield await new Promise<number>((resolve) => {
        ask = resolve;
      });
    }
  };
  const stream = Twice.call(p.a, undefined, questions());
  for (let i = 0; i < 5; i++) {
    await settle(3);
    ask(i);
    expect(await stream.next()).toEqual({ done: false, value: 2 * i });
  }
  expect(await stream.next()).toEqual({ done: true, value: undefined });
  await settle();
  expect(idle(p)).toBe(true);
});

test("several readers of one stream are served in order", async () => {
  const p = pair();
  const stream = Count.call(p.a, 3);
  const all = await Promise.all([stream.next(), stream.next(), stream.next(), stream.next(), stream.next()]);
  expect(all.map((r) => r.value)).toEqual([0, 1, 2, undefined, undefined]);
});

test("items longer than a frame, and longer than is taken", async () => {
  const mux = services();
  const Bytes = duplex<void, Uint8Array, Uint8Array>("bytes", { params: { form: "none" }, in: bytes(), out: bytes() });
  Bytes.handle(mux, async function* (_, items) {
    yield* items;
  });
  const p = pair({}, { maxValue: 500_000 }, mux);
  const sizes = [0, 61_440, 61_441, 300_000, 1];
  const got = await collect(
    Bytes.call(
      p.a,
      undefined,
      sizes.map((n) => new Uint8Array(n)),
    ),
  );
  expect(got.map((b) => b.length)).toEqual(sizes);
  const stream = Bytes.call(p.a, undefined, [new Uint8Array(600_000)]);
  expect((await failed(stream.next()))[0]).toBe("resource_exhausted");
  await settle();
  expect(idle(p)).toBe(true);
});

test("priorities are shares of the bulk", async () => {
  const mux = services();
  Read.handle(mux, () => new Blob([new Uint8Array(4_000_000)]).stream());
  const raw = new Raw(mux);
  raw.send(hello({ window: 2 ** 30 }));
  for (const [id, priority] of [
    [1, "-1"],
    [2, "0"],
    [3, "1"],
  ] as const) {
    const meta = join(u(12), utf8("rpc.priority"), u(priority.length), utf8(priority));
    const head = join(u(2, 0, meta.length), meta, u(4), utf8("read[0]"));
    raw.send(frame(2, id, head, { own: true }));
  }
  const bytesOf = (id?: number): number =>
    raw.kind(6).reduce((n, f) => n + (id === undefined || f.id === id ? f.payload.length : 0), 0);
  // The path brings 60 kB in 40 ms: the window is then smaller than what lies ready in each stream.
  vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout"] });
  for (let time = 0, there = 0; bytesOf(3) < 2_000_000; time += 40_000) {
    there = Math.min(bytesOf(), there + 60_000);
    raw.send(frame(11, 0, u(there, time)));
    await settle(5);
    vi.advanceTimersByTime(40);
  }
  vi.useRealTimers();
  expect(bytesOf(3) / bytesOf(2)).toBeGreaterThan(4);
  expect(bytesOf(2) / bytesOf(1)).toBeGreaterThan(4);
  expect(bytesOf(1)).toBeGreaterThan(0);
  raw.peer.close();
});

test("a stream without its end is not whole", async () => {
  const raw = new Raw(services());
  raw.send(hello());
  await settle();
  const stream = Count.call(raw.peer, 3);
  await settle();
  raw.send(join(frame(6, 1, "0"), frame(3, 1, "")));
  expect(await stream.next()).toEqual({ done: false, value: 0 });
  expect((await failed(stream.next())).slice(0, 2)).toEqual(["data_loss", "yes"]);
  raw.peer.close();
});

test("bulk is held back by the window until it is acknowledged", async () => {
  const mux = services();
  Read.handle(mux, () => new Blob([new Uint8Array(2_000_000)]).stream());
  const raw = new Raw(mux);
  raw.send(hello({ window: 2 ** 30 }));
  raw.send(request(1, 2, "read", "[2000000]"));
  await settle(50);
  const bulk = (): number => raw.kind(6).reduce((n, f) => n + f.payload.length, 0);
  expect(bulk()).toBeLessThanOrEqual(64 * 1024 + 61_440);
  const first = bulk();
  expect(raw.kind(10).length).toBeGreaterThan(1);
  raw.send(request(2, 0, "hi", '["x"]'));
  await settle();
  expect(raw.kind(3).length).toBe(1); // a call goes past it
  expect(bulk()).toBe(first);
  raw.send(frame(11, 0, u(first, 1000)));
  await settle(50);
  expect(bulk()).toBeGreaterThan(first);
  raw.peer.close();
});

test("a full connection holds bulk back, not calls", async () => {
  const mux = services();
  Read.handle(mux, () => new Blob([new Uint8Array(2_000_000)]).stream());
  const raw = new Raw(mux);
  Object.defineProperty(raw.near, "buffered", { value: 129 * 1024 });
  raw.send(hello({ window: 2 ** 30 }), request(1, 2, "read", "[0]"), request(2, 0, "hi", '["x"]'));
  await settle(50);
  expect([raw.kind(6).length, raw.kind(3).length]).toEqual([0, 1]);
  raw.peer.close();
});

test("who feeds a call hears of its end, also while it waits for something", async () => {
  const p = pair();
  const told = gate();
  const source: AsyncIterable<number> = {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise(() => {}),
      return: async () => {
        told.open();
        return { done: true, value: undefined };
      },
    }),
  };
  const control = new AbortController();
  const call = failed(Sum.call(p.a, undefined, source, { signal: control.signal }));
  await settle();
  control.abort();
  await told.promise;
  expect((await call)[0]).toBe("cancelled");
});

test("readable ends the stream with itself", async () => {
  const p = pair();
  const reader = readable(Count.call(p.a, 1e9)).getReader();
  expect((await reader.read()).value).toBe(0);
  await reader.cancel();
  await settle();
  expect(idle(p)).toBe(true);
});

test("a method that nobody typed gives whatever came", async () => {
  const p = pair();
  expect(await method<unknown, unknown>("hi").call(p.a, "x")).toBe("hi x");
  expect(new Mux().services.get("toString")).toBeUndefined();
});
