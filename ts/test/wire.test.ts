import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Frame, formed, joined, LONG, MAX_FRAME, OWN, Reader, Writer } from "../src/wire.ts";
import { hex, toHex, vectors } from "./vectors.ts";

const kinds = ["", "hello", "request", "result", "error", "cancel", "item", "end", "part", "credit"].concat([
  "mark",
  "ack",
  "ping",
  "pong",
  "goaway",
  "bye",
]);
const forms = ["json", "bytes", "pair"];

interface FrameVector {
  kind: string;
  own: boolean;
  form: string;
  long: boolean;
  id: number;
  payload_hex: string;
}

const { valid, invalid } = vectors<{
  valid: { name: string; message_hex: string; frames: FrameVector[] }[];
  invalid: { name: string; message_hex: string; reason: string }[];
}>("frames.json");

/** What our errors say of the classes of reasons. */
const reasons: Record<string, RegExp> = {
  empty: /bad number/, // the peer says that a message is empty, see abuse.test.ts
  kind: /head/,
  number: /bad number/,
  too_long: /too long/,
  cut_short: /cut short/,
  id: /head/,
  call: /head/,
  side: /head/,
  form: /head/,
  long: /head/,
};

const frames = (message: Uint8Array): (Frame & { payload: Uint8Array })[] => {
  const r = new Reader(message);
  const f = { kind: 0, form: 0, own: false, long: false, id: 0 };
  const p = new Reader(message);
  const list = [];
  do {
    r.next(f, p);
    list.push({ ...f, payload: p.take().slice() });
  } while (r.at < r.end);
  return list;
};

describe("vectors", () => {
  test("there are some", () => expect([valid.length > 20, invalid.length > 20]).toEqual([true, true]));

  test.each(valid)("$name", (v) => {
    const message = hex(v.message_hex);
    const got = frames(message);
    expect(
      got.map((f) => ({
        kind: kinds[f.kind],
        own: f.own,
        form: forms[f.form],
        long: f.long,
        id: f.id,
        payload_hex: toHex(f.payload),
      })),
    ).toEqual(v.frames);
    const w = new Writer();
    for (const f of got) {
      w.frame(formed(f.kind | (f.own ? OWN : 0) | (f.long ? LONG : 0), f.form), f.id, f.payload);
    }
    expect(toHex(w.copy(0, w.at))).toBe(v.message_hex);
  });

  test.each(invalid)("refused: $name", (v) => {
    const reason = reasons[v.reason];
    if (!reason) throw new Error(`unknown reason ${v.reason}`);
    expect(() => frames(hex(v.message_hex))).toThrow(reason);
  });
});

const frame = fc
  .record({
    kind: fc.integer({ min: 1, max: 15 }),
    form: fc.integer({ min: 0, max: 2 }),
    own: fc.boolean(),
    long: fc.boolean(),
    id: fc.oneof(fc.maxSafeInteger().map(Math.abs), fc.nat(300)),
    payload: fc.uint8Array({ maxLength: 300 }),
  })
  .map((f) => {
    const ofConnection = f.kind === 1 || f.kind >= 10;
    const valued = f.kind === 2 || f.kind === 3 || f.kind === 6;
    return {
      ...f,
      id: ofConnection ? 0 : f.id || 1,
      own: f.kind === 2 || f.kind === 5 || (f.own && !ofConnection && f.kind !== 3 && f.kind !== 4),
      form: valued ? f.form : 0,
      long: valued && f.long,
    };
  });

test("what is written is read", () => {
  fc.assert(
    fc.property(fc.array(frame, { minLength: 1 }), (list) => {
      const w = new Writer();
      for (const f of list) {
        w.frame(formed(f.kind | (f.own ? OWN : 0) | (f.long ? LONG : 0), f.form), f.id, f.payload);
      }
      expect(frames(w.copy(0, w.at))).toEqual(list);
    }),
  );
});

test("any bytes are frames or refused, and frames are written as they came", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), (message) => {
      let list: ReturnType<typeof frames>;
      try {
        list = frames(message);
      } catch {
        return;
      }
      const w = new Writer();
      for (const f of list) {
        w.frame(formed(f.kind | (f.own ? OWN : 0) | (f.long ? LONG : 0), f.form), f.id, f.payload);
      }
      expect(w.copy(0, w.at)).toEqual(message);
    }),
    { numRuns: 10_000 },
  );
});

test("a payload whose length was guessed wrongly is moved", () => {
  for (const text of ["", "x", "ü".repeat(126), "€".repeat(100), "x".repeat(127), "x".repeat(128), "ü".repeat(9_000)]) {
    for (const number of [0, 127, 128, 2 ** 53]) {
      const w = new Writer();
      w.frame(12, 0, text, number, text);
      w.frame(12, 0, text);
      const [first, second] = frames(w.copy(0)).map((f) => f.payload);
      expect(Buffer.from(second!).toString()).toBe(text);
      expect(first).toEqual(joined(text, number, text));
    }
  }
});

test("numbers", () => {
  for (const n of [0, 127, 128, 16_383, 16_384, 2 ** 32, 2 ** 49, 2 ** 53 - 1, 2 ** 53]) {
    const w = new Writer();
    w.u(n);
    expect(new Reader(w.copy(0, w.at)).u()).toBe(n);
  }
  expect(new Reader(hex("8180808080808010")).u()).toBe(2 ** 64); // 2^53 + 1, which no number here can hold
  const w = new Writer();
  w.frame(12, 0, new Uint8Array(MAX_FRAME));
  expect(frames(w.copy(0, w.at)).length).toBe(1);
});
