import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeText, fromBase64, parseJSON, toBase64, writeJSON } from "../src/json.ts";

test("what JSON.parse takes is taken, names twice and lone surrogates aside", () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: "binary" }), fc.constantFrom(undefined, 1, "\t"), (value, space) => {
      const text = JSON.stringify(value, null, space);
      expect(parseJSON(text)).toEqual(JSON.parse(text));
    }),
    { numRuns: 2000 },
  );
});

test("a name twice is refused, wherever it is", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string({ unit: "binary" }), (value, name) => {
      const n = JSON.stringify(name);
      const v = JSON.stringify(value);
      expect(() => parseJSON(`[{"a":[${v},{${n}:1, ${n} :${v}}]}]`)).toThrow(/name twice/);
    }),
  );
  expect(() => parseJSON('{"__proto__":1,"__proto__":2}')).toThrow(/name twice/);
  expect(() => parseJSON('{"a":1,"\\u0061":2}')).toThrow(/name twice/);
  expect(parseJSON('{"a":":","b\\\\":"\\":"}')).toEqual({ a: ":", "b\\": '":' });
});

test("lone surrogates", () => {
  for (const bad of [
    '"\\ud800"',
    '"\\uDC00"',
    '"\\ud800\\ud800"',
    '"\\udc00\\ud800"',
    '"\\\\\\ud800"',
    '{"\\ud800":1}',
  ]) {
    expect(() => parseJSON(bad), bad).toThrow(/surrogate/);
  }
  for (const good of ['"\\ud83d\\ude00"', '"\\\\ud800"', '"\\uD83D\\uDE00"', '"\\u00fc"']) {
    expect(parseJSON(good)).toBe(JSON.parse(good));
  }
});

test("levels and numbers", () => {
  const nested = (n: number): string => "[".repeat(n) + "]".repeat(n);
  expect(parseJSON(nested(64))).toEqual(JSON.parse(nested(64)));
  expect(() => parseJSON(nested(65))).toThrow(/64 levels/);
  expect(() => parseJSON(`[${'{"a":'.repeat(64)}1${"}".repeat(64)}]`)).toThrow(/64 levels/);
  expect(() => parseJSON("1e999")).toThrow(/Infinity in JSON/);
  expect(() => parseJSON("[-1e999]")).toThrow(/Infinity in JSON/);
});

test("texts are read as they are in UTF-8, or refused", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 100 }), (text) => {
      const b = new TextEncoder().encode(`xx${text}yy`);
      expect(decodeText(b.subarray(2, -2))).toBe(text);
    }),
  );
  for (const bad of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82]]) {
    expect(() => decodeText(Uint8Array.from(bad))).toThrow();
  }
  expect(decodeText(Uint8Array.from([0xef, 0xbb, 0xbf, 0x31]))).toBe("\ufeff1"); // which JSON then refuses
});

test("base64", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (b) => {
      expect(toBase64(b)).toBe(Buffer.from(b).toString("base64"));
      expect(fromBase64(toBase64(b))).toEqual(b);
    }),
  );
  expect(toBase64(new Uint8Array(20_000))).toBe(Buffer.alloc(20_000).toString("base64"));
});

test("what JSON cannot hold is not written", () => {
  const circle: unknown[] = [];
  circle.push(circle);
  for (const bad of [Number.NaN, [Infinity], { a: -Infinity }, 1n, circle, "\ud800", { "\udc00": 1 }])
    expect(() => writeJSON(bad)).toThrow();
  expect(writeJSON({ a: new Uint8Array([0, 255]), b: undefined })).toBe('{"a":"AP8="}');
  expect(writeJSON(undefined)).toBe("");
});
