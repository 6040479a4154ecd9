import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { bytes, integer } from "../src/check.ts";
import type { Conn } from "../src/conn.ts";
import { Mux, method, sink, source } from "../src/index.ts";
import { failed, gate, idle, pair } from "./pair.ts";
import { frame, hello, join, Raw, request, settle, u, utf8 } from "./raw.ts";
import { Count, Hang, Hi, Sum, services } from "./services.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Lets time pass, in steps in which all that is due happens. */
const pass = async (ms: number): Promise<void> => {
  for (let i = 0; i < 10; i++) {
    await settle(3);
    await vi.advanceTimersByTimeAsync(ms / 10);
  }
  await settle(3);
};

test("a call's time, said by the call or by the peer", async () => {
  const seen: unknown[] = [];
  const Slow = method<void, string>("slow", { params: { form: "none" } });
  const mux = new Mux();
  Slow.handle(mux, (_, { signal }) => {
    signal.addEventListener("abort", () => seen.push(signal.reason));
    return new Promise(() => {});
  });
  const p = pair({ callTimeout: 30_000 }, {}, mux);
  let over = 0;
  const first = failed(Slow.call(p.a, undefined, { timeout: 1000 })).finally(() => over++);
  const second = failed(Slow.call(p.a, undefined)).finally(() => over++);
  await pass(990);
  expect(over).toBe(0);
  await pass(200);
  expect((await first).slice(0, 2)).toEqual(["deadline_exceeded", "maybe"]);
  expect(over).toBe(1);
  expect(seen.length).toBe(1);
  await pass(30_000);
  expect((await second).slice(0, 2)).toEqual(["deadline_exceeded", "maybe"]);
  expect(p.a.stats.out.open).toBe(0);
  expect(p.b.stats.in.open).toBe(2); // handlers that never return keep their slots
  p.a.close();
});

test("AbortSignal.timeout is a deadline, too", async () => {
  const p = pair();
  const control = new AbortController();
  const call = failed(Hang.call(p.a, undefined, { signal: control.signal }));
  await settle();
  control.abort(new DOMException("late", "TimeoutError"));
  expect((await call)[0]).toBe("deadline_exceeded");
  p.a.close();
});

test("the time left travels, and ends the handler's work without a cancel", async () => {
  const mux = services();
  const raw = new Raw(mux);
  raw.send(hello());
  raw.send(frame(2, 1, join(u(0, 500, 0, 4), utf8("hang")), { own: true }));
  await pass(400);
  expect(raw.refusals()).toEqual([]);
  await pass(300);
  expect(raw.refusals()).toEqual([{ id: 1, code: "deadline_exceeded", executed: "yes" }]);
  expect(raw.errors).toEqual([]);
  const call = failed(Hi.call(raw.peer, "x", { timeout: 1234.5 }));
  await settle();
  const [request] = raw.kind(2);
  expect([...(request?.payload.subarray(0, 3) ?? [])]).toEqual([0, ...u(1235)]);
  raw.peer.close();
  await call;
});

test("a timeout that no timer can wait for is none", async () => {
  const p = pair();
  const call = failed(Hang.call(p.a, undefined, { timeout: 2 ** 33 }));
  await pass(1_000);
  expect([p.a.stats.out.open, p.b.stats.in.open]).toEqual([1, 1]);
  p.a.close();
  expect((await call)[0]).toBe("unavailable");
});

test("pings keep a connection, and tell the round trip", async () => {
  const p = pair({}, {});
  await pass(60_000);
  expect([p.a.error, p.b.error]).toEqual([undefined, undefined]);
  expect(p.a.stats.sent.messages).toBeGreaterThan(4);
  expect(p.a.stats.roundTrip).toBeGreaterThanOrEqual(0);
  p.a.close();
});

test("a side that says nothing is given up, 10 s after a ping", async () => {
  const raw = new Raw(services(), { keepAlive: 15_000 });
  raw.send(hello());
  await settle();
  const call = failed(Hang.call(raw.peer, undefined, { timeout: 1e9 }));
  raw.send(frame(13, 0, "x"));
  await pass(14_000);
  expect(raw.peer.error).toBeUndefined();
  await pass(12_500);
  expect(raw.peer.error?.message).toMatch(/no pong within 10 s/);
  expect((await call).slice(0, 2)).toEqual(["unavailable", "maybe"]);
  await settle();
  expect(raw.closed).toBe(true);
});

test("a side that says no hello is given up after 10 s", async () => {
  const raw = new Raw(services());
  const ready = failed(raw.peer.ready);
  const call = failed(Hi.call(raw.peer, "x"));
  await pass(9_900);
  expect(raw.peer.error).toBeUndefined();
  await pass(200);
  expect((await ready)[2]).toMatch(/no hello/);
  expect((await call).slice(0, 2)).toEqual(["unavailable", "no"]); // it was never sent
});

test("a side that acknowledges no bulk is given up after 15 s", async () => {
  const mux = services();
  const Read = source<void, Uint8Array>("read", { params: { form: "none" }, out: bytes() });
  Read.handle(mux, () => new Blob([new Uint8Array(1_000_000)]).stream());
  const raw = new Raw(mux);
  raw.send(hello({ window: 2 ** 30 }));
  raw.send(request(1, 2, "read"));
  await pass(14_000);
  raw.send(frame(12, 0)); // it lives, that is not enough
  expect(raw.peer.error).toBeUndefined();
  await pass(1_500);
  expect(raw.peer.error?.message).toMatch(/no ack within 15 s/);
});

test("a stream whose reader takes nothing is ended after a time, one whose writer rests is not", async () => {
  const p = pair({}, { idle: 60_000 });
  const rest = gate();
  const stream = Count.call(p.a, 1e9);
  const resting = Sum.call(
    p.b,
    undefined,
    (async function* () {
      yield 1;
      await rest.promise;
      yield 2;
    })(),
  );
  await stream.next();
  await pass(50_000);
  expect(p.b.stats.in.open).toBe(1);
  await pass(50_000);
  expect(p.b.stats.in.open).toBe(0);
  const rests = async (): Promise<void> => {
    for (;;) await stream.next().then((r) => r.done && Promise.reject(new Error("it ended well")));
  };
  expect((await failed(rests()))[0]).toBe("deadline_exceeded");
  rest.open();
  expect(await resting).toBe(3);
  p.a.close();
});

test("a long value that stands still ends its call", async () => {
  const raw = new Raw(services(), { idle: 60_000 });
  raw.send(hello());
  raw.send(frame(2, 1, join(u(0, 0, 0, 2), utf8("hi"), u(5000), utf8("[")), { own: true, long: true }));
  for (let i = 0; i < 10; i++) {
    await pass(10_000);
    if (raw.refusals().length) break;
    raw.send(frame(8, 1, "x", { own: true })); // a byte now and then is no progress
  }
  expect(raw.refusals()).toEqual([{ id: 1, code: "deadline_exceeded", executed: "no" }]);
  expect(raw.peer.stats.in.open).toBe(0);
  raw.peer.close();
});

test("a connection that takes nothing is given up after 10 s; until then all waits here", async () => {
  const sent: number[] = [];
  const conn: Conn = {
    buffered: 0,
    start: (to) => queueMicrotask(() => to.message(hello())),
    send: (m) => sent.push(m.length),
    close: () => {},
  };
  const { Peer } = await import("../src/index.ts");
  const errors: unknown[] = [];
  const peer = new Peer(conn, services(), { keepAlive: Infinity, onError: (e) => errors.push(e) });
  await peer.ready;
  await settle();
  (conn as { buffered: number }).buffered = 2 ** 21;
  const n = sent.length;
  const call = failed(Hi.call(peer, "x"));
  await pass(5_000);
  expect([sent.length, peer.stats.waiting > 2 ** 21]).toEqual([n, true]);
  (conn as { buffered: number }).buffered = 2 ** 20 + 1; // it takes something
  await pass(6_000);
  expect(peer.error).toBeUndefined();
  await pass(6_000);
  expect(peer.error?.message).toMatch(/no write within 10 s/);
  expect((await call).slice(0, 2)).toEqual(["unavailable", "no"]);
});

test("a connection that can mend itself is asked to first", async () => {
  const { Peer } = await import("../src/index.ts");
  const ages: number[] = [];
  let goes = true;
  const conn: Conn & { renew(age: number): boolean } = {
    buffered: 0,
    start: (to) => queueMicrotask(() => to.message(hello())),
    send: () => {},
    close: () => {},
    renew: (age) => {
      ages.push(age);
      return goes;
    },
  };
  const peer = new Peer(conn, services(), { onError: () => {} });
  await peer.ready;
  await pass(11_000);
  expect(ages).toEqual([10_000]);
  await pass(10_000);
  expect(ages).toEqual([10_000, 10_000]);
  expect(peer.error).toBeUndefined();
  goes = false;
  await pass(11_000);
  expect(peer.error?.message).toMatch(/no pong within 10 s/);
});

test("no timer is left when a peer has ended", async () => {
  const p = pair({ callTimeout: 30_000 });
  await Hi.call(p.a, "x");
  expect(vi.getTimerCount()).toBeGreaterThan(0);
  p.a.close();
  await Promise.all([p.a.done, p.b.done]);
  await settle();
  expect(vi.getTimerCount()).toBe(0);
  expect(idle(p)).toBe(true);
});

test("a sink that is cancelled tells its handler", async () => {
  const why = gate<unknown>();
  const mux = services();
  const Take = sink<void, number, number>("take", { params: { form: "none" }, in: integer() });
  Take.handle(mux, async (_, items) => {
    try {
      for await (const _n of items);
    } catch (e) {
      why.open(e);
      throw e;
    }
    return 0;
  });
  const p = pair({}, {}, mux);
  const call = failed(
    Take.call(
      p.a,
      undefined,
      (async function* () {
        yield 1;
        await new Promise(() => {});
      })(),
      { timeout: 100 },
    ),
  );
  await pass(300);
  expect((await call)[0]).toBe("deadline_exceeded");
  expect(await why.promise).toMatchObject({ code: "cancelled" });
  p.a.close();
});
