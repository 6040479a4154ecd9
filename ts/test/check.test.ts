import { expect, test } from "vitest";
import {
  array,
  base64,
  boolean,
  bytes,
  type Checked,
  type Checker,
  filled,
  integer,
  lazy,
  literal,
  nullable,
  number,
  object,
  optional,
  record,
  string,
  tuple,
  union,
  unknown,
} from "../src/check.ts";
import { Mux, method } from "../src/index.ts";
import { failed, pair } from "./pair.ts";
import { settle } from "./raw.ts";

interface Node {
  name: string;
  children?: Node[];
}
const checkNode: Checker<Node> = object({ name: string(), children: optional(lazy(() => array(checkNode))) });

const checkNote = object({
  id: integer(0, 4_294_967_295),
  title: string({ min: 1, max: 20 }),
  kind: literal("text", "image", 3),
  made: string({ format: "date-time" }),
  hash: string({ pattern: "^[0-9a-f]{8}$" }),
  score: number(-1, 1),
  done: boolean(),
  after: nullable(integer()),
  tags: optional(array(string(), 0, 3)),
  sizes: optional(record(integer(0, 255))),
  data: base64(0, 8),
  at: tuple(number(), number()),
  tree: checkNode,
  any: optional(unknown()),
  either: union(string(), integer()),
});

const note = () => ({
  id: 7,
  title: "a note",
  kind: "text",
  made: "2026-11-27T21:11:00.5+01:00",
  hash: "0123abcd",
  score: 0.5,
  done: false,
  after: null as number | null,
  tags: ["x", "y"],
  sizes: { a: 1, b: 255 },
  data: "AP8=",
  at: [1.5, -2],
  tree: { name: "root", children: [{ name: "leaf" }, { name: "twig", children: [] }] },
  any: { deep: [1, { more: null }] },
  either: 5 as string | number,
});

/** What a note must be, said once more and in another way. */
const isNote = (v: unknown): boolean => {
  const plain = (x: unknown): x is Record<string, unknown> => Object.prototype.toString.call(x) === "[object Object]";
  const int = (x: unknown, low: number, high: number): boolean =>
    typeof x === "number" && x % 1 === 0 && x >= low && x <= high;
  const node = (x: unknown): boolean =>
    plain(x) &&
    typeof x.name === "string" &&
    Object.keys(x).every((k) => k === "name" || k === "children") &&
    (!("children" in x) || (Array.isArray(x.children) && x.children.every(node)));
  const safe = (x: unknown): boolean =>
    typeof x !== "object" ||
    x === null ||
    Object.entries(x).every(([k, w]) => !["__proto__", "constructor", "prototype"].includes(k) && safe(w));
  if (!plain(v) || Object.getPrototypeOf(v) !== Object.prototype) return false;
  const known = "id title kind made hash score done after tags sizes data at tree any either".split(" ");
  return (
    Object.keys(v).every((k) => known.includes(k)) &&
    int(v.id, 0, 2 ** 32 - 1) &&
    typeof v.title === "string" &&
    [...v.title].length >= 1 &&
    [...v.title].length <= 20 &&
    (v.kind === "text" || v.kind === "image" || v.kind === 3) &&
    typeof v.made === "string" &&
    !Number.isNaN(Date.parse(v.made)) &&
    typeof v.hash === "string" &&
    /^[0-9a-f]{8}$/.test(v.hash) &&
    typeof v.score === "number" &&
    v.score >= -1 &&
    v.score <= 1 &&
    typeof v.done === "boolean" &&
    (v.after === null || int(v.after, -(2 ** 53) + 1, 2 ** 53 - 1)) &&
    (!("tags" in v) || (Array.isArray(v.tags) && v.tags.length < 4 && v.tags.every((t) => typeof t === "string"))) &&
    (!("sizes" in v) || (plain(v.sizes) && safe(v.sizes) && Object.values(v.sizes).every((n) => int(n, 0, 255)))) &&
    v.data instanceof Uint8Array &&
    v.data.length <= 8 &&
    Array.isArray(v.at) &&
    v.at.length === 2 &&
    v.at.every((n) => typeof n === "number" && Number.isFinite(n)) &&
    node(v.tree) &&
    safe(v.any) &&
    (typeof v.either === "string" || int(v.either, -(2 ** 53) + 1, 2 ** 53 - 1))
  );
};

/** Numbers that look random and are the same each time (mulberry32). */
const random = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};

const strange: unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  256,
  2 ** 32,
  2 ** 53,
  -1e300,
  "",
  "x".repeat(21),
  "0123abcg",
  "AP8",
  "2026-11-27",
  "2026-13-45T99:99:99Z",
  [],
  [[]],
  [1, 2, 3, 4],
  {},
  { name: 1 },
  { name: "x", children: {} },
  JSON.parse('{"__proto__": {"admin": true}}'),
  JSON.parse('{"constructor": 1}'),
];

/** Changes one place of a value. */
const mutate = (value: unknown, next: () => number): unknown => {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
  if (typeof value !== "object" || value === null || next() < 0.2) return pick(strange);
  const copy = structuredClone(value) as Record<string, unknown>;
  const name = pick(Object.keys(copy));
  switch (Math.floor(next() * 5)) {
    case 0:
      if (name !== undefined && !Array.isArray(copy)) delete copy[name];
      return copy;
    case 1:
      return JSON.parse(JSON.stringify(copy).replace(/^\{/, '{"__proto__":{"x":1},').replace(/,\}$/, "}"));
    case 2:
      if (!Array.isArray(copy)) copy[pick(["constructor", "prototype", "more", "toString"])] = pick(strange);
      return copy;
    default:
      if (name !== undefined) copy[name] = mutate(copy[name], next);
      return copy;
  }
};

test("10,000 mutated answers: none passes that the reference refuses", () => {
  expect(isNote(checkNote(note(), "note"))).toBe(true);
  const next = random(1);
  let passed = 0;
  for (let i = 0; i < 10_000; i++) {
    let value: unknown = note();
    for (let n = Math.ceil(next() * 3); n > 0; n--) value = mutate(value, next);
    const before = JSON.stringify(value);
    let result: unknown;
    try {
      result = checkNote(value, "note");
    } catch (e) {
      expect((e as Error).message).toMatch(/^note/);
      continue;
    }
    passed++;
    if (!isNote(result)) throw new Error(`passed: ${before}`);
    expect(JSON.stringify(value)).toBe(before);
  }
  expect(passed).toBeGreaterThan(500);
  expect(passed).toBeLessThan(5000);
  expect(({} as { admin?: boolean }).admin).toBeUndefined();
});

test("10,000 mutated answers of a peer", async () => {
  const mux = new Mux();
  let value: unknown;
  mux.handle("note", () => value);
  const p = pair({}, {}, mux);
  const GetNote = method<void, Checked<typeof checkNote>>("note", {
    params: { form: "none" },
    result: checkNote as never,
  });
  const next = random(2);
  for (let i = 0; i < 10_000; i += 100) {
    await Promise.all(
      Array.from({ length: 100 }, async () => {
        value = mutate(note(), next);
        try {
          expect(isNote(await GetNote.call(p.a, undefined))).toBe(true);
        } catch (e) {
          expect(e).toMatchObject({ code: "data_loss", executed: "yes" });
        }
      }),
    );
  }
  await settle();
  expect(p.a.stats.out.open).toBe(0);
});

test("errors say where", () => {
  const at = (change: object): string => {
    try {
      checkNote({ ...note(), ...change }, "note");
    } catch (e) {
      return (e as Error).message;
    }
    return "";
  };
  expect(at({ id: -1 })).toBe("note.id: it should be an integer from 0 to 4294967295");
  expect(at({ tree: { name: "x", children: [{ name: "y" }, {}] } })).toBe(
    "note.tree.children[1].name: it should be there",
  );
  expect(at({ sizes: JSON.parse('{"__proto__": 1}') })).toMatch(/^note.sizes.__proto__/);
  expect(at({ kind: "4" })).toBe("note.kind: it should be one of text, image, 3");
  expect(at({ title: "" })).toBe("note.title: it should be a string of 1 to 20 characters");
  expect(at({ made: "now" })).toBe("note.made: it should be a time like 2006-01-02T15:04:05Z");
});

test("an object's result has no members but those declared, whatever their names", () => {
  const check = object({ a: integer(), toString: optional(string()) });
  const got = check(JSON.parse('{"a":1,"__proto__":{"b":2},"constructor":3,"more":4}'), "x");
  expect(Object.entries(got)).toEqual([["a", 1]]);
  expect(Object.getPrototypeOf(got)).toBe(Object.prototype);
  expect(() => object({ a: string() })([], "x")).toThrow();
  expect(() => object({ a: string() })(Object.create({ a: "inherited" }), "x")).toThrow(/x.a/);
  expect(() => object({ ["__proto__"]: string() })).toThrow(/cannot be named/);
});

test("what is missing is refused, unless it may be", () => {
  const check = object({ any: unknown(), bytes: filled(bytes(0, 2)), more: optional(unknown()) });
  expect(check({ any: null }, "x")).toEqual({ any: null, bytes: new Uint8Array() });
  expect(() => check({ bytes: "AP8=" }, "x")).toThrow("x.any: it should be there");
  expect(() => check({ any: 1, bytes: null }, "x")).toThrow("x.bytes: it should be 0 to 2 bytes");
});

test("times are on days that there are", () => {
  const check = string({ format: "date-time" });
  for (const good of ["2024-02-29T23:59:59.123456789Z", "0000-01-01t00:00:00z", "9999-12-31T00:00:00-23:59"]) {
    expect(check(good, "t")).toBe(good);
  }
  for (const bad of [
    "2026-02-29T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:60:00Z",
    "2026-01-01T00:00:00+24:00",
    "2026-01-01 00:00:00Z",
    "2026-01-01T00:00:00",
    "2026-01-01",
  ]) {
    expect(() => check(bad, "t"), bad).toThrow("t: it should be a time");
  }
});

test("numbers in strings", () => {
  const good: [string, string[]][] = [
    ["int64", ["0", "-9223372036854775808", "9223372036854775807"]],
    ["uint64", ["0", "18446744073709551615"]],
    ["int8", ["-128", "127"]],
    ["uri", ["anything"]],
  ];
  for (const [format, list] of good) for (const v of list) expect(string({ format })(v, "n")).toBe(v);
  const bad: [string, string[]][] = [
    ["int64", ["", "9223372036854775808", "-9223372036854775809", "1.0", "1e3", "01", "-0", "+1", " 1", "x", "0x1"]],
    ["uint64", ["-1", "18446744073709551616", "9".repeat(100)]],
    ["int8", ["128", "-129"]],
    ["uint16", ["65536"]],
  ];
  for (const [format, list] of bad) {
    for (const v of list) expect(() => string({ format })(v, "n"), `${format} ${v}`).toThrow(/^n: it should be an /);
  }
});

test("bytes and base64", () => {
  const check = bytes(1, 3);
  expect(check(new Uint8Array(2), "b")).toEqual(new Uint8Array(2));
  expect(check("AP8=", "b")).toEqual(new Uint8Array([0, 255]));
  for (const bad of ["", "AP8", "AP8=\n", "A===", "_w==", "AAAAAAA=", 5, null, [1], {}]) {
    expect(() => check(bad, "b"), String(bad)).toThrow(/^b:/);
  }
});

test("an argument that fails its check never reaches the handler", async () => {
  const mux = new Mux();
  let runs = 0;
  const Put = method<number, void>("put", { args: integer(0, 9) });
  Put.handle(mux, () => {
    runs++;
  });
  const p = pair({}, {}, mux);
  await Put.call(p.a, 9);
  const [code, executed, message] = await failed(Put.call(p.a, 10));
  expect([code, executed, message]).toEqual([
    "invalid_argument",
    "no",
    "argument: it should be an integer from 0 to 9",
  ]);
  expect(runs).toBe(1);
});
