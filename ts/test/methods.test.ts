import { expect, test } from "vitest";
import { array, boolean, literal, object, optional, record, string, unknown } from "../src/check.ts";
import { describe } from "../src/describe.ts";
import { Mux, method, type Params, type Service } from "../src/index.ts";
import { keys } from "../src/keyed.ts";
import { pair } from "./pair.ts";
import { vectors } from "./vectors.ts";

const kinds = ["call", "sink", "source", "duplex"] as const;

const description = object({
  go: string(),
  form: literal("none", "json", "bytes", "pair", "any"),
  schema: optional(record(unknown())),
  positions: optional(array(string())),
  raw: optional(string()),
});

/** What rpc.methods answers, as spec/README.md has it. */
const Methods = method("rpc.methods", {
  params: { form: "none" },
  result: object({
    methods: array(
      object({
        name: string(),
        kind: literal(...kinds),
        doc: optional(string()),
        args: description,
        in: optional(description),
        result: optional(description),
        out: optional(description),
        pure: optional(boolean()),
        keyed: optional(boolean()),
        rule: optional(string()),
      }),
    ),
    $defs: optional(record(unknown())),
  }),
});

interface Described {
  name: string;
  kind: string;
  args: { form: NonNullable<Params["form"]>; positions?: string[]; raw?: string };
  pure?: boolean;
  keyed?: boolean;
}

const { methods } = vectors<{ methods: Described[] }>("methods.json");

test("the description of a Go peer is read whole", async () => {
  expect(methods.length).toBeGreaterThan(10);
  const mux = new Mux();
  mux.handle("vector", () => vectors("methods.json"));
  const p = pair({}, {}, mux);
  const Vector = method("vector", { result: object({ methods: array(unknown()), $defs: unknown() }) });
  expect(await Vector.call(p.a, undefined)).toEqual(vectors("methods.json"));
});

test("a peer tells its own methods: names, kinds, how arguments travel, what may be repeated", async () => {
  const mux = new Mux();
  for (const { name, kind, args, pure, keyed } of methods) {
    const { form, positions, raw } = args;
    const service: Service = {
      name,
      mode: kinds.indexOf(kind as "call"),
      shape: { params: { form, ...(positions && { positions }), ...(raw && { raw }) } },
      pure: pure ?? false,
      ...(keyed && { keyed: keys() }),
      run: () => undefined,
    };
    mux.put(service);
  }
  describe(mux);
  const p = pair({}, {}, mux);
  const answer = await Methods.call(p.a, undefined);
  const pick = (m: Described): unknown => ({
    name: m.name,
    kind: m.kind,
    form: m.args.form,
    positions: m.args.positions,
    raw: m.args.raw,
    pure: m.pure,
    keyed: m.keyed,
  });
  const others = answer.methods.filter((m) => m.name !== "rpc.methods");
  expect(others.map((m) => pick(m as Described))).toEqual(methods.map(pick));
});

test("typed methods and plain functions are described", async () => {
  const p = pair();
  const { methods: list } = await Methods.call(p.a, undefined);
  const names = list.map((m) => m.name);
  expect(names).toEqual([...names].sort());
  expect(list.find((m) => m.name === "sum")).toEqual({
    name: "sum",
    kind: "sink",
    args: { go: "void", form: "none" },
    in: { go: "unknown", form: "any" },
    result: { go: "unknown", form: "any" },
  });
  expect(list.find((m) => m.name === "count")).toMatchObject({ kind: "source", out: { form: "any" } });
  expect(list.find((m) => m.name === "rpc.methods")).toMatchObject({ pure: true });
});
