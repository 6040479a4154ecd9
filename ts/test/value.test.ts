import { describe, expect, test } from "vitest";
import { array, bytes, type Checker, integer, nothing, object, optional, record, string } from "../src/check.ts";
import { type Params, readParams, readValue, type Written, writeParams, writeValue } from "../src/value.ts";
import { Reader } from "../src/wire.ts";
import { hex, toHex, vectors } from "./vectors.ts";

interface Vector {
  shape: string;
  form: string;
  payload_hex: string;
  payload_text: string;
  value: unknown;
  written: boolean;
  written_plain: boolean;
}

const file = vectors<{
  shapes: { name: string }[];
  params: Vector[];
  values: Vector[];
  refused: { params: (Vector & { why: string })[]; values: (Vector & { why: string })[] };
}>("values.json");

const forms = ["json", "bytes", "pair"];

/** The shapes of the vectors, as a generated client declares them. */
const shapes: Record<string, { params: Params; check: Checker<unknown>; raw?: string }> = {
  nothing: { params: { form: "none" }, check: nothing() },
  bytes: { params: { form: "bytes" }, check: bytes() },
  text: { params: {}, check: string() },
  integer: { params: {}, check: integer() },
  list: { params: {}, check: array(integer()) },
  point: { params: { positions: ["x", "y"], required: 1 }, check: object({ x: integer(), y: optional(integer()) }) },
  put: {
    params: { form: "pair", positions: ["name", "data"] },
    check: object({ name: string(), data: bytes() }),
    raw: "data",
  },
  lone: { params: { positions: ["labels"] }, check: object({ labels: record(integer()) }) },
};

const shape = (name: string) => {
  const s = shapes[name];
  if (!s) throw new Error(`no shape ${name}`);
  return s;
};

/** The value that a vector means: bytes are base64 in it, nothing is an empty object, and what is optional was not there. */
const meant = (v: Vector): unknown => {
  const b = (text: unknown) => Uint8Array.from(Buffer.from(text as string, "base64"));
  if (v.shape === "bytes") return b(v.value);
  if (v.shape === "put") return { ...(v.value as object), data: b((v.value as { data: string }).data) };
  return v.shape === "nothing" ? undefined : v.value;
};

const bytesOf = (w: Written): string => toHex(typeof w.data === "string" ? new TextEncoder().encode(w.data) : w.data);

const read = (v: Vector, params: boolean): unknown => {
  const { params: p, check, raw } = shape(v.shape);
  const r = new Reader(hex(v.payload_hex));
  const form = forms.indexOf(v.form);
  return params ? readParams(form, r, p, check) : readValue(form, r, check, raw);
};

const write = (v: Vector, params: boolean, plain: boolean): Written => {
  const { params: p, raw } = shape(v.shape);
  return params ? writeParams(meant(v), p, plain) : writeValue(meant(v), plain, raw);
};

test("there are vectors, and all of their shapes are tried", () => {
  expect(file.params.length > 20 && file.values.length > 10).toBe(true);
  expect(file.refused.params.length > 20 && file.refused.values.length > 10).toBe(true);
  expect(file.shapes.map((s) => s.name).sort()).toEqual(Object.keys(shapes).sort());
});

describe.each([
  ["params", file.params, file.refused.params],
  ["values", file.values, file.refused.values],
] as const)("%s", (what, good, bad) => {
  const params = what === "params";
  test.each(good)("$shape $form $payload_text", (v) => {
    // A member that is zero is written or not, as its Go type has it: {"x":1,"y":0} cannot tell.
    expect(read(v, params)).toEqual(meant(v));
    const form = forms.indexOf(v.form);
    if (v.written) {
      const w = write(v, params, false);
      expect([w.form, bytesOf(w)]).toEqual([form, v.payload_hex]);
    }
    if (v.written_plain) {
      const w = write(v, params, true);
      expect([w.form, bytesOf(w)]).toEqual([form, v.payload_hex]);
    }
  });
  test.each(bad)("refused: $why: $shape $form $payload_text", (v) => {
    expect(() => read(v, params)).toThrow();
  });
});
