import { readFileSync } from "node:fs";
import { expect, test, vi } from "vitest";
import { describe } from "../src/describe.ts";
import { CallError, Mux, Peer } from "../src/index.ts";
import { pipe } from "../src/pipe.ts";
import type { Written } from "../src/value.ts";
import * as chum from "./generated/chum.ts";
import * as empty from "./generated/empty.ts";
import * as only from "./generated/only.ts";
import * as shapes from "./generated/shapes.ts";
import { Mutants, prototypeNames } from "./mutants.ts";
import { pair } from "./pair.ts";
import { random } from "./random.ts";
import { type Description, type Json, type Reference, reference } from "./reference.ts";

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8");

// As spec/README.md, sections 4 and 7, has them.
const [JSON_FORM, BYTES_FORM, PAIR_FORM] = [0, 1, 2];
const modes = ["call", "sink", "source", "duplex"];
const TAKES = 2;

type Generated = (peer: Peer, ...rest: unknown[]) => Promise<unknown> | AsyncIterable<unknown>;

/** The functions of a generated file, by the methods that they call. */
const functionsOf = (module: object, source: string): Map<string, Generated> => {
  const exports = new Map<string, unknown>(Object.entries(module));
  const found = [...source.matchAll(/^export const (\w+) = \(peer: Peer.*\n {2}(\w+)\.call\(/gm)];
  return new Map(
    found.map(([, fn, constant]) => [(exports.get(constant!) as { name: string }).name, exports.get(fn!) as Generated]),
  );
};

/** A method, a function that was generated for it, and what judges its answers. */
interface Subject extends Reference {
  name: string;
  kind: string;
  call: Generated;
  form: string;
  sample(): Json;
}

const subjects = (mutants: Mutants, module: object, file: string, description: string): Subject[] => {
  const functions = functionsOf(module, read(`generated/${file}`));
  const { methods, $defs } = JSON.parse(read(description)) as Description;
  const list = methods.filter(({ name }) => !name.startsWith("rpc."));
  expect([...functions.keys()].sort()).toEqual(list.map(({ name }) => name).sort());
  return list.flatMap(({ name, kind, result, out }) => {
    const type = (result ?? out)!;
    if (type.form === "any" || type.form === "none") return []; // of these nothing is checked, or nothing comes
    const judge = reference(type, $defs);
    const sample = (): Json => {
      const value = mutants.sample(judge.schema, $defs);
      expect(judge.takes(value), `${name}: ${JSON.stringify(value)}`).toBe(true);
      return value;
    };
    return [{ ...judge, name, kind, form: type.form, call: functions.get(name)!, sample }];
  });
};

/** What goes over the wire for an answer, and the JSON that it stands for: undefined if it stands for none, or is empty. */
interface Answer {
  written: Written;
  value: Json | undefined;
}

const EMPTY: Answer = { written: { form: JSON_FORM, data: "" }, value: undefined };

const asJSON = (value: Json): Answer => {
  const data = JSON.stringify(value); // in which Infinity is null
  return { written: { form: JSON_FORM, data }, value: JSON.parse(data) };
};

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

const isObject = (value: unknown): value is { [name: string]: Json } =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Answers in one of the forms that the value may have, or in one that it may not have. */
const answer = (value: Json, { form, raw, name }: Subject, mutants: Mutants): Answer => {
  const body = mutants.bytes(mutants.pick([0, 1, 9]));
  const wrong = name !== "interface" && mutants.chance(0.03); // that takes anything, even bytes
  if (name !== "interface" && mutants.chance(0.02)) return EMPTY;
  if (wrong ? form !== "bytes" : form === "bytes" && mutants.chance(0.3)) {
    return { written: { form: BYTES_FORM, data: body }, value: wrong ? undefined : base64(body) };
  }
  if (!(wrong || (form === "pair" && mutants.chance(0.6)))) return asJSON(value);
  const head = Buffer.from(JSON.stringify(value));
  const size = head.length < 128 ? [head.length] : [(head.length & 127) | 128, head.length >> 7];
  if (head.length >= 2 ** 14) throw new Error("a head too long for this test");
  return {
    written: { form: PAIR_FORM, data: Uint8Array.from([...size, ...head, ...body]) },
    value: raw !== undefined && isObject(value) ? { ...value, [raw]: base64(body) } : undefined,
  };
};

/** The JSON of what reached a caller. It throws if there is an object in it that is not as plain as can be. */
const plain = (value: unknown): Json => {
  if (value instanceof Uint8Array) return base64(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value as Json;
  if (Object.getPrototypeOf(value) !== Object.prototype) throw new Error("an object with another prototype");
  const bad = Object.keys(value).find((name) => prototypeNames.includes(name));
  if (bad) throw new Error(`a member ${bad}`);
  return Object.fromEntries(Object.entries(value).map(([name, v]) => [name, plain(v)]));
};

/** Whether all of a is in b; bits of base64 that stand for nothing may differ. */
const within = (a: Json, b: Json | undefined): boolean => {
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((v, i) => within(v, b[i]));
  if (!isObject(a)) return a === b || (typeof b === "string" && a === base64(Buffer.from(b, "base64")));
  return isObject(b) && Object.entries(a).every(([name, v]) => Object.hasOwn(b, name) && within(v, b[name]));
};

const named = (value: unknown): boolean =>
  typeof value === "object" &&
  value !== null &&
  Object.entries(value).some(([name, v]) => prototypeNames.includes(name) || named(v));

/** What is wrong about a value that reached a caller, or does not reach one; "" if nothing is. */
const verdict = (subject: Subject, answer: Answer, reached: boolean, got: unknown): string => {
  let { value } = answer;
  const takes = value !== undefined && subject.takes(value);
  if (!reached) return takes && !named(value) ? "refused, and it is right" : "";
  if (!takes && answer !== EMPTY) return "accepted, and it is wrong";
  let json: Json;
  try {
    json = plain(got);
  } catch (error) {
    return `accepted with ${error}`;
  }
  if (subject.raw !== undefined && isObject(value)) value = { [subject.raw]: "", ...value }; // left out, it is empty
  return subject.takesClosed(json) && (answer === EMPTY || within(json, value))
    ? ""
    : `accepted as ${JSON.stringify(json)}`;
};

/** An answer that goes out as it is. */
class AsIs {
  readonly written: Written;

  constructor(written: Written) {
    this.written = written;
  }
}

vi.mock("../src/value.ts", async (original) => {
  const real = await original<typeof import("../src/value.ts")>();
  const writeValue: typeof real.writeValue = (value, ...rest) =>
    value instanceof AsIs ? value.written : real.writeValue(value, ...rest);
  return { ...real, writeValue };
});

/** Serves the methods with whatever answers are set, as they are. */
const raw = (list: Subject[], answers: () => Written[]): Mux => {
  const mux = new Mux();
  for (const { name, kind } of list) {
    const mode = modes.indexOf(kind);
    const run = (): unknown => {
      const all = answers().map((written) => new AsIs(written));
      return mode & TAKES ? all : all[0];
    };
    mux.put({ name, mode, shape: { params: { form: "any" } }, run });
  }
  return mux;
};

/** Calls a generated function. What it gives in the arguments is not looked at by what serves here. */
const reached = async ({ call, kind }: Subject, peer: Peer): Promise<[values: unknown[], error: unknown]> => {
  const rest: unknown[] = Array(call.length - 2).fill(undefined);
  if (kind === "sink" || kind === "duplex") rest[rest.length - 1] = [];
  const values: unknown[] = [];
  try {
    const given = call(peer, ...rest);
    if (given instanceof Promise) values.push(await given);
    else for await (const value of given) values.push(value);
  } catch (error) {
    return [values, error];
  }
  return [values, undefined];
};

test("the functions of generated files are loaded, each with what it was made from", async () => {
  const mux = new Mux();
  describe(mux);
  const { a } = pair({}, {}, mux);
  expect(await empty.expect(a)).toEqual([]);
  expect(await only.expect(a)).toEqual([
    { method: "getRef", part: "method" },
    { method: "setRef", part: "method" },
  ]);
  expect((await chum.expect(a)).length).toBe(10);
  expect((await shapes.expect(a)).length).toBeGreaterThan(30);
});

const COUNT = 20_000;

test(`of ${COUNT} mutated answers none reaches a caller that the schema refuses, and no other is refused`, async () => {
  const mutants = new Mutants(random(20_261_127));
  const all = [
    ...subjects(mutants, chum, "chum.ts", "../../spec/vectors/chum.json"),
    ...subjects(mutants, shapes, "shapes.ts", "generated/shapes.json"),
  ];
  let answers: Answer[] = [];
  const ends = pipe();
  const server = new Peer(
    ends[0],
    raw(all, () => answers.map(({ written }) => written)),
  );
  const peer = new Peer(ends[1]);
  const wrong: string[] = [];
  const count = { accepted: 0, refused: 0, named: 0, untyped: 0 };
  for (let i = 0; i < COUNT; i++) {
    const subject = all[i % all.length]!;
    let value = subject.sample();
    for (let n = mutants.pick([0, 1, 1, 1, 2, 3]); n > 0; n--) value = mutants.mutate(value);
    const mutant = answer(value, subject, mutants);
    const stream = subject.kind === "source" || subject.kind === "duplex";
    answers = stream ? [asJSON(subject.sample()), mutant, asJSON(subject.sample())] : [mutant];
    const [values, error] = await reached(subject, peer);
    if (error && !(error instanceof CallError && error.code === "data_loss" && error.executed === "yes")) throw error;
    const through = !error;
    expect(values.length, "a stream ends at what is wrong in it").toBe(stream ? (through ? 3 : 1) : Number(through));
    const why = verdict(subject, mutant, through, values[stream ? 1 : 0]);
    if (why) wrong.push(`${subject.name}: ${why}: ${JSON.stringify(mutant.value)} ${error ?? ""}`);
    count[through ? "accepted" : "refused"]++;
    if (named(mutant.value)) count.named++;
    // Without a checker, the judge has much to say.
    if (subject.kind === "call" && i % 4 === 0 && verdict(subject, mutant, true, await peer.send(subject.name)))
      count.untyped++;
  }
  expect(wrong).toEqual([]);
  expect(count.accepted).toBeGreaterThan(COUNT / 5);
  expect(count.refused).toBeGreaterThan(COUNT / 5);
  expect(count.named).toBeGreaterThan(COUNT / 50);
  expect(count.untyped).toBeGreaterThan(COUNT / 20);
  expect(({} as { admin?: unknown }).admin).toBeUndefined();
  peer.close();
  await server.done;
});
