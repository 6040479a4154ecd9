import { expect, test } from "vitest";
import { bytes } from "../src/check.ts";
import { source } from "../src/index.ts";
import { MAX_FRAME, MAX_MESSAGE } from "../src/wire.ts";
import { frame, hello, join, Raw, request, settle, textOf, u, utf8 } from "./raw.ts";
import { services } from "./services.ts";

// What is too long for spec/vectors/conversations.json: floods, and values at the limits.

const item = (n: number): Uint8Array => frame(6, 1, new Uint8Array(n), { own: true, form: 1 });
const sink = request(1, 1, "deaf");
const many = (n: number, f: Uint8Array): Uint8Array => join(...Array<Uint8Array>(n).fill(f));
const longHead = (method: string, total: number): Uint8Array =>
  frame(2, 1, join(u(0, 0, 0, method.length), utf8(method), u(total)), { own: true, long: true });
const parts = (text: string): Uint8Array[] =>
  (text.match(/.{1,60000}/gs) ?? []).map((t) => frame(8, 1, t, { own: true }));
const deep = "[".repeat(100_000) + "]".repeat(100_000);

const cuts: [string, RegExp, () => Uint8Array[]][] = [
  ["a message too long", /a message of 1048578 bytes/, () => [new Uint8Array(MAX_MESSAGE + 2)]],
  ["a frame too long", /frame of kind 12, call 0: too long/, () => [frame(12, 0, new Uint8Array(MAX_FRAME + 1))]],
  ["an item beyond the credit", /no credit/, () => [join(sink, item(32_768 - 32), item(0))]],
  ["empty items beyond the credit", /no credit/, () => [join(sink, many(1025, item(0)))]],
  ["a flood of pings", /floods/, () => Array(11).fill(many(1000, frame(12, 0)))],
  ["a flood of pongs", /floods/, () => Array(4).fill(many(1000, frame(13, 0)))],
  ["a flood of marks", /floods/, () => Array(4).fill(many(1000, frame(10, 0)))],
  ["a flood of acks", /floods/, () => Array(4).fill(many(1000, frame(11, 0, u(0, 0))))],
  ["a flood of calls that are refused", /floods/, () => [join(...ids(4000).map((id) => request(id, 0, "no")))]],
  ["a flood of streams that are refused", /floods/, () => [join(...ids(2000).map((id) => request(id, 2, "no")))]],
  [
    "a flood of calls and cancels",
    /floods/,
    () => [join(...ids(4000).map((id) => join(request(id, 0, "hang"), frame(5, id, "", { own: true }))))],
  ],
  [
    "a flood of credit",
    /floods/,
    () => [join(request(1, 2, "zero", "[1]"), many(4000, frame(9, 1, u(0), { own: true })))],
  ],
  [
    "a flood of frames for a call that has ended",
    /floods/,
    () => [join(request(1, 0, "no"), many(4000, frame(9, 1, u(0), { own: true })))],
  ],
  [
    "a flood of small parts",
    /floods/,
    () => [join(longHead("hi", 8_000_000), many(4000, frame(8, 1, "x", { own: true })))],
  ],
];
const ids = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

test.each(cuts)("%s cuts the connection", async (_, reason, messages) => {
  const raw = new Raw(services());
  raw.send(hello());
  await settle();
  raw.send(...messages());
  await raw.peer.done;
  await settle();
  expect(raw.peer.error?.message).toMatch(reason);
  const [bye] = raw.kind(15);
  expect(JSON.parse(textOf(bye?.payload ?? utf8("{}")))).toMatchObject({ code: "invalid_argument" });
  const s = raw.peer.stats;
  expect([s.in.open, s.streams, s.waiting]).toEqual([0, 0, 0]);
  expect(raw.closed).toBe(true);
});

const goes: [string, [string, string][], () => Uint8Array[]][] = [
  ["items to the last of the credit, and one more", [], () => [join(sink, item(32_768 - 33), item(0))]],
  ["an item of a frame on the last byte of credit", [], () => [join(sink, item(32_768 - 33), item(MAX_FRAME))]],
  ["JSON 100,000 deep", [["invalid_argument", "no"]], () => [longHead("hi", deep.length), ...parts(deep)]],
  ["a number of 50 KB", [["invalid_argument", "no"]], () => [request(1, 0, "add", `[${"9".repeat(50_000)},1]`)]],
  [
    "a number of 8 MB",
    [["invalid_argument", "no"]],
    () => [longHead("add", 8_000_004), ...parts(`[${"9".repeat(8_000_000)},1]`)],
  ],
  ["2,000 pings", [], () => [many(2000, frame(12, 0))]],
];

test.each(goes)("%s does not", async (_, errors, messages) => {
  const raw = new Raw(services());
  raw.send(hello());
  await settle();
  raw.send(...messages());
  await settle(40);
  expect(raw.refusals().map((e) => [e.code, e.executed])).toEqual(errors);
  raw.send(request(Number.MAX_SAFE_INTEGER, 0, "echo", utf8("still there"), 1));
  await settle();
  expect(textOf(raw.kind(3).at(-1)?.payload ?? utf8(""))).toBe("still there");
  expect(raw.errors).toEqual([]);
  raw.peer.close();
});

test("an announced length takes no memory", async () => {
  const raw = new Raw(services(), { maxValue: 2 ** 40, maxAssembly: 2 ** 41 });
  raw.send(hello());
  raw.send(longHead("hi", 2 ** 39));
  await settle();
  expect(raw.peer.error).toBeUndefined();
  expect(raw.peer.stats.in.open).toBe(1);
  raw.peer.close();
});

test("all long values together are bounded, and what is refused leaves nothing behind", async () => {
  const raw = new Raw(services(), { maxAssembly: 1_000_000 });
  raw.send(hello());
  const head = (id: number): Uint8Array =>
    frame(2, id, join(u(0, 0, 0, 2), utf8("hi"), u(600_000)), { own: true, long: true });
  raw.send(head(1), head(2));
  await settle();
  expect(raw.refusals()).toEqual([{ id: 2, code: "resource_exhausted", executed: "no" }]);
  raw.send(frame(5, 1, "", { own: true }), head(3));
  await settle();
  expect(raw.refusals().length).toBe(1);
  expect(raw.peer.stats.in.open).toBe(1);
  raw.peer.close();
});

test("answers that nobody takes are bounded", async () => {
  const raw = new Raw(services(), { maxAssembly: 1_000_000 });
  raw.send(hello());
  const args = new Uint8Array(50_000);
  await settle();
  for (let id = 1; id <= 40; id++) raw.send(request(id, 0, "echo", args, 1));
  await settle(40);
  const refused = raw.refusals();
  expect(refused.length).toBeGreaterThan(5);
  expect(new Set(refused.map((e) => `${e.code} ${e.executed}`))).toEqual(new Set(["resource_exhausted yes"]));
  expect(raw.peer.stats.waiting).toBeLessThan(1_000_000);
  raw.peer.close();
});

test("a side that reads nothing is cut before its answers fill the memory", async () => {
  const raw = new Raw(services(), { maxCalls: 10 });
  raw.send(hello());
  await settle();

  Object.defineProperty(raw.near, "buffered", { value: 2 ** 21, writable: true });
  const args = new Uint8Array(8000);
  for (let id = 1; id <= 400; id++) {
    raw.send(request(id, 0, "echo", args, 1));
    if (id % 10 === 0) await settle(2);
  }
  await raw.peer.done;
  expect(raw.peer.error?.message).toMatch(/it takes no answers/);
});

test("a rush of honest calls is no flood", async () => {
  const raw = new Raw(services());
  raw.send(hello());
  for (let k = 0; k < 20; k++) {
    raw.send(join(...ids(1000).map((i) => request(k * 1000 + i, 0, "hi", '["x"]'))));
    await settle(2);
  }
  await settle();
  expect(raw.kind(3).length).toBe(20_000);
  expect(raw.peer.stats.inVain).toBe(0);
  raw.peer.close();
});

test("what may be on its way for a call that ended is no flood", async () => {
  const mux = services();
  const Read = source<number, Uint8Array>("read", { out: bytes() });
  Read.handle(mux, () => [new Uint8Array()]);
  const raw = new Raw(mux);
  raw.send(hello());
  await settle();
  let id = 0;
  for (let i = 0; i < 5; i++) {
    id++;
    const stream = Read.call(raw.peer, 1);
    await settle(2);
    stream.cancel();
    raw.send(many(1000, frame(6, id, "", { form: 1 })));
    await settle(2);
  }
  expect(raw.peer.error).toBeUndefined();
  expect(raw.peer.stats.late).toBe(5000);
  raw.peer.close();
});
