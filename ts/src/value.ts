/** How values travel, spec/README.md section 4: parameters, results and items, and the bytes they are on the wire. */
import type { Checker } from "./check.ts";
import { decodeText, parseJSON, writeJSON } from "./json.ts";
import { BYTES_FORM, encodeText, JSON_FORM, joined, PAIR_FORM, type Reader } from "./wire.ts";

/** A value that was written. */
export interface Written {
  form: number;
  data: string | Uint8Array;
}

/** How the parameters of a method travel. In a description (rpc.methods) the same members say so. */
export interface Params {
  /**
   * none: nothing; bytes: the argument is bytes and goes raw; pair: its last part goes raw, the rest
   * as JSON; any: the arguments are a list of whatever came. Missing: json.
   */
  readonly form?: "none" | "json" | "bytes" | "pair" | "any";
  /** name: the argument is an object and goes by name only; list: it is a list. Missing: one value. */
  readonly by?: "name" | "list";
  /** The argument is an object; it goes by name, and is taken by position, too: in this order. */
  readonly positions?: readonly string[];
  /** How many of them are needed. Missing: all. */
  readonly required?: number;
  /** The name of the member that goes raw. Missing: the last of the positions. */
  readonly raw?: string;
}

type Dict = Record<string, unknown>;

const isDict = (value: unknown): value is Dict => typeof value === "object" && value !== null && !Array.isArray(value);

const json = (value: unknown): Written => ({ form: JSON_FORM, data: writeJSON(value) });

const pair = (head: unknown, body: Uint8Array): Written => {
  const text = encodeText(writeJSON(head));
  return { form: PAIR_FORM, data: joined(text.length, text, body) };
};

/**
 * Writes a result, an item or a whole argument. If raw names a member, its bytes travel beside the
 * JSON; in plain, which the other side may ask for, all is JSON.
 */
export const writeValue = (value: unknown, plain: boolean, raw?: string): Written => {
  if (plain) return json(value);
  if (value instanceof Uint8Array) return { form: BYTES_FORM, data: value };
  if (raw !== undefined && isDict(value)) {
    const body = value[raw];
    if (body instanceof Uint8Array) return pair({ ...value, [raw]: "" }, body);
  }
  return json(value);
};

/** Writes arguments by position; bytes that come last travel raw. */
export const writeList = (list: readonly unknown[], plain: boolean): Written => {
  const last = list.at(-1);
  if (plain || !(last instanceof Uint8Array)) return list.length ? json(list) : { form: JSON_FORM, data: "" };
  return list.length > 1 ? pair(list.slice(0, -1), last) : { form: BYTES_FORM, data: last };
};

/** The name of the member that goes raw, if there is one. */
const rawOf = (p: Params): string | undefined => (p.form === "pair" ? (p.raw ?? p.positions?.at(-1)) : undefined);

/** Writes the argument of a method. */
export const writeParams = (argument: unknown, p: Params, plain: boolean): Written => {
  if (p.form === "none" || argument === undefined) return { form: JSON_FORM, data: "" };
  if (p.by === "name" || p.positions) return writeValue(argument, plain, rawOf(p));
  if (p.by === "list" || p.form === "any") return writeList(argument as unknown[], plain);
  return p.form === "bytes" ? writeList([argument], plain) : json([argument]);
};

/** Takes a value apart that came: the JSON, and the raw bytes if there are some. */
const split = (form: number, r: Reader): [head: unknown, body: Uint8Array | undefined] => {
  if (form === BYTES_FORM) return [undefined, r.take().slice()];
  const text = decodeText(r.take(form ? r.u() : undefined));
  return [form || text ? parseJSON(text) : undefined, form ? r.take().slice() : undefined];
};

const unexpected = "unexpected raw bytes";

/**
 * Reads a result or an item. Without a checker it is whatever came: JSON, bytes, or of a pair both
 * in a list. It throws an Error that says what is wrong.
 */
export const readValue = (form: number, r: Reader, check?: Checker<unknown>, raw?: string): unknown => {
  const [head, body] = split(form, r);
  let value = form === BYTES_FORM ? body : !form && head === undefined ? check?.zero : head;
  if (form === PAIR_FORM) {
    if (raw !== undefined && isDict(head)) head[raw] = body;
    else if (raw === undefined && !check) value = [head, body];
    else throw new Error(unexpected);
  }
  return check ? check(value, "value") : value;
};

/** Reads the argument of a method. It throws an Error that says what is wrong. */
export const readParams = (form: number, r: Reader, p: Params, check?: Checker<unknown>): unknown => {
  const argument = arrange(...split(form, r), p, check);
  return check ? check(argument, "argument") : argument;
};

const listOf = (value: unknown): unknown[] => {
  if (Array.isArray(value)) return value;
  throw new Error("a list is needed");
};

const arrange = (head: unknown, body: Uint8Array | undefined, p: Params, check?: Checker<unknown>): unknown => {
  const given = head === undefined ? [] : head;
  if (p.by === "list" || p.form === "any") return body ? [...listOf(given), body] : listOf(given);
  if (p.form === "bytes" && body && head === undefined) return body;
  if (body && p.form !== "pair") throw new Error(unexpected);
  if (p.by === "name" || p.positions) {
    const argument = isDict(given) ? byName(given, check) : byPosition(listOf(given), !body, p, check);
    if (body) argument[rawOf(p) as string] = body;
    return argument;
  }
  const none = p.form === "none";
  if (none && isDict(given)) return undefined;
  const list = listOf(given);
  if (list.length > (none ? 0 : 1) || (!none && check && !list.length)) throw new Error(`${list.length} arguments`);
  return list[0];
};

/** A parameter by name that is missing, or null where that is no value, is zero. */
const byName = (argument: Dict, check?: Checker<unknown>): Dict => {
  for (const [name, member] of check?.members ?? []) {
    const { zero } = member;
    if (!member.optional && zero != null && argument[name] == null) argument[name] = zero;
  }
  return argument;
};

const byPosition = (list: unknown[], whole: boolean, p: Params, check?: Checker<unknown>): Dict => {
  const positions = p.positions ?? [];
  const raw = rawOf(p);
  const lone = positions.length === 1 && isDict(check?.members?.get(positions[0] as string)?.zero);
  if (list.length === 1 && whole && isDict(list[0]) && !lone) return byName(list[0], check);
  const names = whole ? positions : positions.filter((name) => name !== raw);
  if (list.length > names.length) throw new Error(`${list.length} arguments`);
  if (list.length < Math.min(names.length, p.required ?? names.length)) {
    throw new Error(`${names[list.length]} is missing`);
  }
  return Object.fromEntries(list.map((value, i) => [names[i], value]));
};
