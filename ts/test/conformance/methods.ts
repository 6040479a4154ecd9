/** The methods of the conformance suite, as spec/conformance.md has them. */
import {
  array,
  base64,
  boolean,
  bytes,
  type Checker,
  integer,
  lazy,
  number,
  object,
  optional,
  record,
  string,
  unknown,
} from "../../src/check.ts";
import { type Duplex, duplex, type Method, method, type Sink, type Source, sink, source } from "../../src/method.ts";
import type { Params } from "../../src/value.ts";
import type { Call, Outcome } from "./case.ts";

const none: Params = { form: "none" };
const pair: Params = { form: "pair", positions: ["name", "data"] };

interface Part {
  name: string;
  data: Uint8Array;
}

export const int: Checker<number> = integer();
const part: Checker<Part> = object({ name: string(), data: bytes() });

interface Rec {
  text: string;
  integer: number;
  large: string;
  float: number;
  flag: boolean;
  bytes: Uint8Array;
  list: string[];
  map: Record<string, number>;
  next?: Rec;
}

const recordMembers = ["text", "integer", "large", "float", "flag", "bytes", "list", "map", "next"];
const rec: Checker<Rec> = object({
  text: string(),
  integer: integer(-(2 ** 31), 2 ** 31 - 1),
  large: string({ format: "int64" }),
  float: number(),
  flag: boolean(),
  bytes: base64(),
  list: array(string()),
  map: record(integer(-(2 ** 31), 2 ** 31 - 1)),
  next: optional(lazy((): Checker<Rec> => rec)),
}) as Checker<Rec>;

interface Failure {
  code: string;
  message: string;
  data: unknown;
}

const failure: Checker<Failure> = object({ code: string(), message: string(), data: unknown() });

const echoing = <T>(name: string, check: Checker<T>, params: Params = {}): Method<T, T> =>
  method<T, T>(name, { params, args: check, result: check });
const text = string();

export const about = method<void, { suite: number; offers: string[] }>("conformance", {
  params: none,
  result: object({ suite: int, offers: array(string()) }),
});
export const echoes = [
  echoing("echo", bytes(), { form: "bytes" }),
  echoing("echoText", text),
  echoing("echoInteger", integer(-(2 ** 31), 2 ** 31 - 1)),
  echoing("echoNumber", number()),
  echoing("echoFlag", boolean()),
  echoing("echoList", array(text)),
  echoing("echoMap", record(integer(-(2 ** 31), 2 ** 31 - 1))),
  echoing("echoRecord", rec, { positions: recordMembers, required: 8 }),
  method<Part, Part>("echoPart", { params: pair, args: part, result: part, resultRaw: "data" }),
  echoing("echoAny", unknown()),
  method<void, void>("nothing", { params: none }),
] as Method<unknown, unknown>[];
export const measure = method<Part, { size: number; right: boolean }>("measure", {
  params: pair,
  args: part,
  result: object({ size: int, right: boolean() }),
});
export const give = method<number, Uint8Array>("give", { args: int, result: bytes() });
export const hi = method<string, string>("hi", { args: text, result: text });
export const fail = method<Failure, void>("fail", {
  params: { positions: ["code", "message", "data"] },
  args: failure,
});
export const crash = method<void, void>("crash", { params: none });
export const hang = method<void, void>("hang", { params: none });
export const wait = method<string, void>("wait", { args: text });
export const started: Method<string, boolean> = method("started", { args: text, result: boolean() });
export const cancelled = method<string, boolean>("cancelled", { args: text, result: boolean() });
export const metadata = method<string, string>("metadata", { args: text, result: text });
export const tally = method<string, number>("tally", { args: text, result: int });
export const tallied = method<string, number>("tallied", { args: text, result: int });

export const count = source<number, number>("count", { args: int, out: int });
export const zero = source<number, Uint8Array>("zero", { args: int, out: bytes() });
export const read = source<number, Uint8Array>("read", { args: int, out: bytes() });
export const parts = source<number, Part>("parts", { args: int, out: part, outRaw: "data" });
export const breakOff = source<number, number>("breakOff", { args: int, out: int });
export const drip = source<string, number>("drip", { args: text, out: int });
export const total = sink<void, number, number>("total", { params: none, in: int, result: int });
export const write = sink<void, Uint8Array, Part>("write", {
  params: none,
  in: bytes(),
  result: part,
  resultRaw: "data",
});
export const first = sink<number, number, number>("first", { args: int, in: int, result: int });
export const deaf = sink<void, Uint8Array, string>("deaf", { params: none, in: bytes(), result: text });
export const refuse = sink<number, number, number>("refuse", { args: int, in: int, result: int });
export const chat = duplex<string, string, string>("chat", { args: text, in: text, out: text });
export const double = duplex<void, number, number>("double", { params: none, in: int, out: int });
export const pass = duplex<void, Uint8Array, Uint8Array>("pass", { params: none, in: bytes(), out: bytes() });

const callMembers = [
  "method",
  "arg",
  "args",
  "named",
  "items",
  "take",
  "timeout",
  "cancel",
  "cut",
  "metadata",
  "key",
  "repeat",
  "priority",
  "times",
  "back",
  "want",
];
export const back: Method<Call, Outcome> = method("back", { params: { positions: callMembers, required: 1 } });

/** A method as whoever plays the cases sees it. */
export interface Known {
  /** Items of these are bytes. */
  readonly bytes?: boolean;
  readonly unary?: Method<unknown, unknown>;
  readonly source?: Source<unknown, unknown>;
  readonly sink?: Sink<unknown, unknown, unknown>;
  readonly duplex?: Duplex<unknown, unknown, unknown>;
}

export const known: ReadonlyMap<string, Known> = new Map<string, Known>([
  ...[
    about,
    ...echoes,
    measure,
    give,
    hi,
    fail,
    crash,
    hang,
    wait,
    started,
    cancelled,
    metadata,
    tally,
    tallied,
    back,
  ].map((m): [string, Known] => [m.name, { unary: m as Method<unknown, unknown> }]),
  ...[count, parts, breakOff, drip, zero, read].map((m): [string, Known] => [
    m.name,
    { source: m as Source<unknown, unknown>, bytes: m.name === "zero" || m.name === "read" },
  ]),
  ...[total, write, first, deaf, refuse].map((m): [string, Known] => [
    m.name,
    { sink: m as unknown as Sink<unknown, unknown, unknown> },
  ]),
  ...[chat, double, pass].map((m): [string, Known] => [
    m.name,
    { duplex: m as unknown as Duplex<unknown, unknown, unknown>, bytes: m.name === "pass" },
  ]),
]);
