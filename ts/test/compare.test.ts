import { expect, test } from "vitest";
import { describe } from "../src/describe.ts";
import { compare, type Expected, Mux } from "../src/index.ts";
import { Peer } from "../src/peer.ts";
import { pipe } from "../src/pipe.ts";
import { failed, pair } from "./pair.ts";
import { frame, Raw, settle } from "./raw.ts";

const expected: Expected = {
  schema: "0123456789abcdef",
  methods: [
    ["get", "call", "a1", "", "a2", ""],
    ["list", "source", "b1", "", "", "b2"],
    ["put", "sink", "c1", "c2", "c3", ""],
  ],
};
const same = [
  { name: "get", kind: "call", args: { hash: "a1" }, result: { hash: "a2" } },
  { name: "list", kind: "source", args: { hash: "b1" }, out: { hash: "b2" } },
  { name: "put", kind: "sink", args: { hash: "c1" }, in: { hash: "c2" }, result: { hash: "c3" } },
];

/** What comes of it when the other side's hello and its answer to rpc.methods are these, and how often it was asked. */
const compared = async (answer: unknown, schema?: string): Promise<[found: unknown, asked: number]> => {
  const raw = new Raw(new Mux());
  raw.send(frame(1, 0, JSON.stringify({ version: 1, limits: { calls: 1 }, schema })));
  const found = compare(raw.peer, expected);
  found.catch(() => {}); // it is awaited below
  await settle();
  const asked = raw.kind(2);
  for (const { id } of asked) raw.send(frame(3, id, JSON.stringify(answer)));
  return [await found, asked.length];
};

const differences = async (answer: unknown): Promise<unknown> => {
  const [found, asked] = await compared(answer, "another");
  expect(asked).toBe(1);
  return found;
};

test("a hello that says that all is the same is believed, and nothing is asked", async () => {
  expect(await compared({}, expected.schema)).toEqual([[], 0]);
  expect(await compared({ methods: same }, "another")).toEqual([[], 1]);
});

test("what differs is told, in order", async () => {
  expect(await differences({ methods: [...same, { name: "more", kind: "call" }] })).toEqual([]);
  expect(await differences({ methods: same.slice(1) })).toEqual([{ method: "get", part: "method" }]);
  const other = [
    { ...same[2], in: { hash: "c9" }, result: { go: "unknown", form: "any" } },
    { ...same[1], kind: "duplex" },
    { ...same[0], out: { hash: "a3" }, args: { hash: "" } },
  ];
  expect(await differences({ methods: other })).toEqual([
    { method: "get", part: "args" },
    { method: "get", part: "out" },
    { method: "list", part: "kind" },
    { method: "put", part: "in" },
    { method: "put", part: "result" },
  ]);
  const odd = [
    { ...same[0], args: null },
    { ...same[1], args: 5 },
    { ...same[2], args: { hash: ["c1"] } },
  ];
  expect(await differences({ methods: odd })).toEqual(
    ["get", "list", "put"].map((method) => ({ method, part: "args" })),
  );
});

test.each([null, {}, { methods: {} }, { methods: [null] }, { methods: 5 }, "methods"])(
  "an answer that makes no sense is an error: %j",
  async (answer) => {
    expect((await failed(differences(answer))).slice(0, 2)).toEqual(["data_loss", "yes"]);
  },
);

test("the other side's hello is waited for, and its end", async () => {
  const [near, far] = pipe();
  const peer = new Peer(near);
  expect(peer.schema).toBe("");
  const found = compare(peer, expected);
  far.start({ message: () => {}, closed: () => {} });
  far.close();
  expect((await failed(found))[0]).toBe("unavailable");
});

test("a hello whose schema is no string is malformed", async () => {
  const raw = new Raw(new Mux());
  raw.send(frame(1, 0, '{"version":1,"schema":5}'));
  await raw.peer.done;
  expect(raw.errors.map(String)).toEqual([expect.stringContaining("a hello that is none")]);
});

test("a side in TypeScript says nothing of its types", async () => {
  const mux = new Mux();
  mux.handle("get", () => 1);
  describe(mux);
  const { a } = pair({}, {}, mux);
  const [method] = expected.methods;
  expect(await compare(a, { schema: "x", methods: [method!] })).toEqual([
    { method: "get", part: "args" },
    { method: "get", part: "result" },
  ]);
  expect(a.schema).toBe("");
});
