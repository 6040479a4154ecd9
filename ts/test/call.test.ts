import { expect, test } from "vitest";
import { bytes, integer, object, string } from "../src/check.ts";
import { CallError, Mux, method, source } from "../src/index.ts";
import { keys } from "../src/keyed.ts";
import { collect, failed, gate, idle, pair } from "./pair.ts";
import { settle } from "./raw.ts";
import { Add, Count, Echo, Hang, Hi, Sum, services, Twice } from "./services.ts";

const Big = source<number, Uint8Array>("big", { args: integer(), out: bytes() });

test("calls of every kind, both ways, at once", async () => {
  const p = pair();
  const jobs: Promise<void>[] = [];
  for (const peer of [p.a, p.b]) {
    for (let i = 0; i < 100; i++) {
      jobs.push(
        (async () => {
          expect(await Hi.call(peer, `${i}`)).toBe(`hi ${i}`);
          expect(await Add.call(peer, [i, 1])).toBe(i + 1);
          expect(await Echo.call(peer, new Uint8Array(i * 211).fill(i))).toEqual(new Uint8Array(i * 211).fill(i));
          expect(await peer.send("add", i, 2)).toBe(i + 2);
          expect(await collect(Count.call(peer, i))).toEqual([...Array(i).keys()]);
          expect(await Sum.call(peer, undefined, Array(i).keys())).toBe(i && (i * (i - 1)) / 2);
          expect(await collect(Twice.call(peer, undefined, Array(i).keys()))).toEqual(
            [...Array(i).keys()].map((n) => 2 * n),
          );
        })(),
      );
    }
  }
  await Promise.all(jobs);
  await settle();
  expect(p.errors).toEqual([]);
  expect(idle(p)).toBe(true);
  expect(p.a.stats.out).toEqual({ open: 0, started: 700, succeeded: 700, failed: 0 });
  expect(p.b.stats.in).toEqual({ open: 0, started: 700, succeeded: 700, failed: 0 });
  expect([p.a.stats.late, p.a.stats.strikes]).toEqual([0, 0]);
  expect(p.a.agent).toBe("chum-ts");
});

test("what is queued in one turn goes out as one message", async () => {
  const p = pair();
  await p.a.ready;
  await settle();
  const before = p.a.stats.sent.messages;
  await Promise.all(Array.from({ length: 100 }, (_, i) => Hi.call(p.a, `${i}`)));
  expect(p.a.stats.sent.messages - before).toBe(1);
  expect(p.b.stats.sent.messages).toBeLessThan(5);
});

test("plain functions, by position, checked or not", async () => {
  const mux = new Mux();
  mux.handle("join", (a: string, b: number, c: Uint8Array) => `${a} ${b} ${c.length}`, {
    args: [string(), integer(), bytes()],
  });
  mux.handle("any", (...args: unknown[]) => args);
  mux.handle("nothing", () => {});
  mux.handle("bytes", () => new Uint8Array([1, 2]));
  mux.handle("nested", () => ({ a: [new Uint8Array([1, 2])] }));
  const p = pair({}, {}, mux);
  expect(await p.a.send("join", "x", 7, new Uint8Array(3))).toBe("x 7 3");
  expect(await failed(p.a.send("join", "x", "7", new Uint8Array(3)))).toEqual([
    "invalid_argument",
    "no",
    "argument 2: it should be an integer from -9007199254740991 to 9007199254740991",
  ]);
  expect((await failed(p.a.send("join", "x")))[0]).toBe("invalid_argument");
  expect(await p.a.send("any")).toEqual([]);
  expect(await p.a.send("any", 1, null, { a: [true] }, "ü")).toEqual([1, null, { a: [true] }, "ü"]);
  expect(await p.a.send("any", new Uint8Array([9]))).toEqual(["CQ=="]);
  expect(await p.a.send("nothing")).toBeUndefined();
  expect(await p.a.send("bytes")).toEqual(new Uint8Array([1, 2]));
  expect(await p.a.send("nested")).toEqual({ a: ["AQI="] });
});

test("a pair: an object whose last member is bytes", async () => {
  interface Named {
    name: string;
    data: Uint8Array;
  }
  const put: Named = { name: "k", data: new Uint8Array(100_000).fill(7) };
  const check = object({ name: string(), data: bytes() });
  const Put = method<Named, Named>("put", {
    params: { form: "pair", positions: ["name", "data"] },
    args: check,
    result: check,
    resultRaw: "data",
  });
  const mux = new Mux();
  Put.handle(mux, (a) => a);
  const p = pair({}, {}, mux);
  expect(await Put.call(p.a, put)).toEqual(put);
  expect(await p.a.send("put", "k", put.data)).toEqual([{ name: "k", data: "" }, put.data]);
});

test("what a handler throws", async () => {
  const mux = new Mux();
  mux.handle("plain", () => {
    throw new Error("secret");
  });
  mux.handle("late", async () => {
    throw "secret";
  });
  mux.handle("known", async () => {
    throw new CallError("not_found", "no such thing", { id: 7 }, "no");
  });
  mux.handle("unwritable", () => 1n);
  mux.handle("circle", () => {
    const a: unknown[] = [];
    a.push(a);
    return a;
  });
  mux.handle("nan", () => Number.NaN);
  const p = pair({}, {}, mux);
  for (const name of ["plain", "late", "unwritable", "circle", "nan"]) {
    expect(await failed(p.a.send(name))).toEqual(["internal", "yes", "the handler failed"]);
  }
  expect(p.errors.length).toBe(5);
  const e = await p.a.send("known").catch((error: unknown) => error);
  expect(e).toBeInstanceOf(CallError);
  expect(e).toMatchObject({
    code: "not_found",
    message: "no such thing",
    data: { id: 7 },
    executed: "yes",
    name: "CallError",
  });
});

test("an error always gets through, however long and odd", async () => {
  const mux = new Mux();
  mux.handle("odd", () => {
    throw new CallError("aborted", `${"x".repeat(1364)}\u{1f600}${"y".repeat(1e6)}`, { big: "z".repeat(1e5) });
  });
  mux.handle("lone", () => {
    throw new CallError("aborted", "\ud800", 1n);
  });
  const p = pair({}, {}, mux);
  const [code, , message] = await failed(p.a.send("odd"));
  expect([code, message.length]).toEqual(["aborted", 1365]);
  expect((await failed(p.a.send("lone"))).slice(0, 2)).toEqual(["aborted", "yes"]);
});

test("arguments that cannot be sent, and calls that cannot be made", async () => {
  const p = pair();
  expect((await failed(p.a.send("hi", 1n)))[0]).toBe("invalid_argument");
  expect((await failed(p.a.send("hi", Number.NaN)))[0]).toBe("invalid_argument");
  expect((await failed(p.a.send("no such name")))[0]).toBe("invalid_argument");
  expect((await failed(p.a.send("none")))[0]).toBe("unimplemented");
  expect((await failed(Hi.call(p.a, "x", { metadata: { "rpc.key": "x" } })))[0]).toBe("invalid_argument");
  expect((await failed(Hi.call(p.a, "x", { metadata: { X: "x" } })))[0]).toBe("invalid_argument");
  expect((await failed(Hi.call(p.a, "x", { metadata: { x: "x".repeat(4096) } })))[0]).toBe("invalid_argument");
  expect((await failed(Hi.call(p.a, "x", { repeat: true })))[0]).toBe("failed_precondition");
  expect((await failed(Hi.call(p.a, "x", { timeout: 0 })))[0]).toBe("deadline_exceeded");
  expect((await failed(Echo.call(p.a, new Uint8Array(8 * 2 ** 20 + 1))))[0]).toBe("resource_exhausted");
  const bad = Count.call(p.a, "x" as unknown as number);
  expect((await failed(bad.next()))[0]).toBe("invalid_argument");
  expect(await bad.next()).toEqual({ done: true, value: undefined });
  await settle();
  expect(idle(p)).toBe(true);
});

test("metadata and values reach the handler", async () => {
  const Who = method<void, unknown>("who", { params: { form: "none" } });
  const mux = new Mux();
  Who.handle(mux, (_, call) => {
    call.peer.values.set("seen", true);
    return [call.metadata.get("traceparent"), call.metadata.size, call.signal.aborted];
  });
  const p = pair({}, {}, mux);
  expect(await Who.call(p.a, undefined, { metadata: { traceparent: "00-ü" }, priority: -1 })).toEqual([
    "00-ü",
    2,
    false,
  ]);
  expect(p.b.values.get("seen")).toBe(true);
});

test("a handler calls back", async () => {
  const Back = method<string, string>("back", {});
  const mux = services();
  Back.handle(mux, async (name, { peer }) => Hi.call(peer, name));
  const p = pair({}, {}, mux);
  expect(await Back.call(p.a, "me")).toBe("hi me");
});

test("long values", async () => {
  const p = pair();
  for (const n of [8191, 8192, 61_440, 61_441, 1_000_000, 8 * 2 ** 20]) {
    const b = new Uint8Array(n).map((_, i) => i * 7);
    expect(Buffer.compare(await Echo.call(p.a, b), b)).toBe(0);
  }
  const text = "ü".repeat(2_000_000);
  expect(await Hi.call(p.a, text)).toBe(`hi ${text}`);
  await settle();
  expect(idle(p)).toBe(true);
});

test("a small call does not wait behind a long value", async () => {
  const p = pair();
  await p.a.ready;
  const order: string[] = [];
  const big = Echo.call(p.a, new Uint8Array(8 * 2 ** 20)).then(() => order.push("big"));
  for (let i = 0; i < 5; i++) await Hi.call(p.a, "x").then(() => order.push("small"));
  await big;
  expect(order).toEqual(["small", "small", "small", "small", "small", "big"]);
});

test("cancel reaches the handler, also through two peers", async () => {
  const seen = gate<unknown>();
  const started = gate();
  const Far = method<void, string>("far", { params: { form: "none" } });
  const mux = new Mux();
  Far.handle(mux, (_, { signal }) => {
    started.open();
    return new Promise((_, reject) =>
      signal.addEventListener("abort", () => {
        seen.open(signal.reason);
        reject(signal.reason);
      }),
    );
  });
  const p = pair({}, {}, mux);
  const control = new AbortController();
  const call = failed(Far.call(p.a, undefined, { signal: control.signal }));
  await started.promise;
  control.abort();
  expect((await call).slice(0, 2)).toEqual(["cancelled", "maybe"]);
  expect(await seen.promise).toMatchObject({ code: "cancelled" });
  expect((await failed(Far.call(p.a, undefined, { signal: control.signal }))).slice(0, 2)).toEqual(["cancelled", "no"]);
  await settle();
  expect(idle(p)).toBe(true);
  expect(p.errors).toEqual([]);
});

test("a signal that outlives its calls keeps nothing of them", async () => {
  const p = pair();
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  Object.assign(signal, {
    addEventListener: (...args: Parameters<typeof addEventListener>) => {
      listeners++;
      addEventListener.apply(signal, args);
    },
    removeEventListener: (...args: Parameters<typeof removeEventListener>) => {
      listeners--;
      removeEventListener.apply(signal, args);
    },
  });
  const calls = [
    Hi.call(p.a, "x", { signal }),
    failed(p.a.send("none")),
    failed(Hang.call(p.a, undefined, { signal })),
  ];
  await settle();
  expect(listeners).toBe(1);
  p.a.close();
  await Promise.all(calls);
  expect(listeners).toBe(0);
});

test("long values one after the other never fill what is meant for all at once", async () => {
  const mux = services();
  Big.handle(mux, (n) => [new Uint8Array(n)]);
  const p = pair({ maxAssembly: 1_000_000 }, { maxAssembly: 1_000_000 }, mux);
  for (let i = 0; i < 10; i++) {
    expect((await Echo.call(p.a, new Uint8Array(600_000))).length).toBe(600_000);
    expect((await collect(Big.call(p.a, 600_000))).map((b) => b.length)).toEqual([600_000]);
  }
});

test("a call that is cancelled before its handler began is never begun", async () => {
  let runs = 0;
  const mux = new Mux();
  const Run = method<void, void>("run", { params: { form: "none" } });
  Run.handle(mux, () => {
    runs++;
  });
  const p = pair({}, {}, mux);
  await p.a.ready;
  const control = new AbortController();
  const call = failed(Run.call(p.a, undefined, { signal: control.signal }));
  control.abort();
  expect((await call)[0]).toBe("cancelled");
  await settle();
  expect(runs).toBe(0);
  expect(p.b.stats.inVain).toBeGreaterThan(0);
});

test("10,000 open calls settle at the end, each once", async () => {
  const p = pair({ maxCalls: 20_000, callTimeout: Infinity }, { maxCalls: 20_000 });
  await p.a.ready;
  let settled = 0;
  const calls = Array.from({ length: 10_000 }, () =>
    Hang.call(p.a, undefined).catch((e: CallError) => {
      settled++;
      return e.executed;
    }),
  );
  await settle();
  expect(p.a.stats.out.open).toBe(10_000);
  expect(p.b.stats.in.open).toBe(10_000);
  const began = performance.now();
  p.ends[0].close();
  const ends = await Promise.all(calls);
  expect(performance.now() - began).toBeLessThan(1000);
  expect([settled, new Set(ends)]).toEqual([10_000, new Set(["maybe"])]);
  await Promise.all([p.a.done, p.b.done]);
  await settle();
  expect(idle(p)).toBe(true);
  expect(p.a.error?.code).toBe("unavailable");
  expect((await failed(Hi.call(p.a, "x"))).slice(0, 2)).toEqual(["unavailable", "no"]);
});

test("limits of calls and streams", async () => {
  const p = pair({}, { maxCalls: 3, maxStreams: 1 });
  await p.a.ready;
  const open = [Hang.call(p.a, undefined), Hang.call(p.a, undefined)];
  const stream = Count.call(p.a, 1e9);
  expect((await failed(Count.call(p.a, 1).next()))[0]).toBe("resource_exhausted");
  expect((await failed(Hang.call(p.a, undefined)))[0]).toBe("resource_exhausted");
  stream.cancel();
  p.a.close();
  expect((await failed(open[0] as Promise<string>)).slice(0, 2)).toEqual(["unavailable", "maybe"]);
  await Promise.allSettled(open);
  await p.b.done;
  expect(p.b.error).toBeUndefined();
});

test("close, and what the other side sees", async () => {
  const p = pair();
  const call = failed(Hang.call(p.a, undefined));
  const served = failed(Hang.call(p.b, undefined));
  await settle();
  p.a.close();
  p.a.close();
  expect((await call).slice(0, 2)).toEqual(["unavailable", "maybe"]);
  expect((await served).slice(0, 2)).toEqual(["unavailable", "maybe"]);
  await Promise.all([p.a.done, p.b.done]);
  expect([p.a.error, p.b.error]).toEqual([undefined, undefined]);
  expect((await failed(Hi.call(p.a, "x"))).slice(0, 2)).toEqual(["unavailable", "no"]);
});

test("shutdown lets open calls finish and takes no more", async () => {
  const hold = gate<string>();
  const mux = services();
  const Wait = method<void, string>("wait", { params: { form: "none" } });
  Wait.handle(mux, () => hold.promise);
  const p = pair({}, {}, mux);
  const [out, back] = [Wait.call(p.a, undefined), Wait.call(p.b, undefined)];
  await settle();
  let over = false;
  const end = p.b.shutdown().then(() => {
    over = true;
  });
  await settle();
  expect((await failed(Hi.call(p.a, "x"))).slice(0, 2)).toEqual(["unavailable", "no"]);
  expect((await failed(Hi.call(p.b, "x"))).slice(0, 2)).toEqual(["unavailable", "no"]);
  expect(over).toBe(false);
  hold.open("done");
  expect(await Promise.all([out, back])).toEqual(["done", "done"]);
  await Promise.all([end, p.a.done]);
  expect([p.a.error, p.b.error]).toEqual([undefined, undefined]);
});

test("shutdown ends at once when its signal is aborted", async () => {
  const p = pair();
  const call = failed(Hang.call(p.a, undefined));
  await settle();
  const control = new AbortController();
  const end = p.b.shutdown(control.signal);
  control.abort();
  await end;
  expect((await call)[0]).toBe("unavailable");
});

test("keyed calls have one effect", async () => {
  let runs = 0;
  const mux = new Mux();
  const Pay = method<number, number>("pay", { args: integer(), result: integer() });
  const hold = gate();
  Pay.handle(
    mux,
    async (n) => {
      runs++;
      await hold.promise;
      if (n < 0) throw new CallError("aborted", "try again");
      return n * 2;
    },
    { keyed: keys() },
  );
  const p = pair({}, {}, mux);
  const key = "0123456789abcdef";
  const first = Pay.call(p.a, 4, { key });
  const again = Pay.call(p.a, 4, { key });
  hold.open();
  expect([await first, await again, await Pay.call(p.a, 4, { key })]).toEqual([8, 8, 8]);
  expect(runs).toBe(1);
  expect((await failed(Pay.call(p.a, 5, { key }))).slice(0, 2)).toEqual(["invalid_argument", "no"]);
  expect((await failed(Pay.call(p.a, 5, { key: "short" })))[0]).toBe("failed_precondition");
  const failing = { key: "fedcba9876543210" };
  const [one, other] = [failed(Pay.call(p.a, -2, failing)), failed(Pay.call(p.a, -2, failing))];
  expect([await one, await other]).toEqual([
    ["aborted", "yes", "try again"],
    ["aborted", "yes", "try again"], // it ran, for the first
  ]);
  expect((await failed(Pay.call(p.a, -1, failing)))[0]).toBe("aborted");
  expect((await failed(Pay.call(p.a, -1, failing)))[0]).toBe("aborted");
  expect(runs).toBe(4); // what failed may be tried again
});

test("trace sees each frame, both ways", async () => {
  const seen: string[] = [];
  const p = pair({ trace: (f) => seen.push(`${f.sent ? ">" : "<"}${f.kind}:${f.id}`) });
  await Hi.call(p.a, "x");
  expect(new Set(seen)).toEqual(new Set([">1:0", "<1:0", ">2:1", ">12:0", "<12:0", ">13:0", "<13:0", "<3:1"]));
});

test("what is on a Mux", () => {
  const mux = new Mux();
  mux.handle("a", () => {});
  expect(() => mux.handle("a", () => {})).toThrow(/already/);
  expect(() => mux.handle("b c", () => {})).toThrow(/method name/);
  expect(() => mux.handle("", () => {})).toThrow(/method name/);
});
