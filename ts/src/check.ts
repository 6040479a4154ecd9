/**
 * Checkers hold what came from the other side to what was declared. Each takes a value and the path
 * to it, and returns it as the type that it stands for, or throws an Error that names the path. None
 * lets anything through that was not declared; none changes what it is given.
 */
import { fromBase64 } from "./json.ts";

export interface Checker<T> {
  (value: unknown, path: string): T;
  /** What stands for a parameter, or a whole result, that the other side left out. */
  readonly zero?: T;
  /** Of an object: its members in the order of their declaration. */
  readonly members?: ReadonlyMap<string, Checker<unknown>>;
  /** It may be missing, if it is a member of an object. */
  readonly optional?: true;
  /** Likewise, and is zero then. */
  readonly filled?: true;
}

/** The type that a checker stands for. */
export type Checked<C> = C extends Checker<infer T> ? T : never;

const fail = (path: string, want: string): never => {
  throw new Error(`${path}: it should be ${want}`);
};

const checker = <T>(check: (value: unknown, path: string) => T, zero?: unknown, members?: unknown): Checker<T> =>
  Object.assign(check, { zero, members }) as Checker<T>;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);

const forbidden = (name: string): boolean => name === "__proto__" || name === "constructor" || name === "prototype";

const withPath = (path: string, name: string | number): string =>
  typeof name === "number" ? `${path}[${name}]` : `${path}.${name}`;

/** What a string must be like; lengths are in characters as JSON Schema counts them: code points. */
export interface StringOptions {
  /** A regular expression that must match somewhere in it. */
  readonly pattern?: string;
  /** date-time (RFC 3339) is checked, and int8 to int64, uint8 to uint64 of a number in a string; others are for people. */
  readonly format?: string;
  readonly min?: number;
  readonly max?: number;
}

const dateTime = /^(\d{4}-\d\d-\d\d)[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$/;

/** Whether a text is a time as RFC 3339 has it, on a day that there is; in no leap second, which Go cannot read either. */
const isTime = (value: string): boolean => {
  const day = dateTime.exec(value)?.[1];
  const at = Date.parse(day ?? "");
  return Number.isFinite(at) && new Date(at).toISOString().slice(0, 10) === day; // some take February 30
};

/** Whether a text is a whole number, as JSON writes it, within what an integer type holds. */
const holds = (format: string, value: string): boolean => {
  const [, unsigned, bits] = /^(u?)int(8|16|32|64)$/.exec(format) ?? [];
  if (!bits) return true;
  if (!/^(0|-?[1-9]\d*)$/.test(value) || value.length > 20) return false;
  const n = BigInt(value);
  return n === (unsigned ? BigInt.asUintN : BigInt.asIntN)(Number(bits), n);
};

export const string = (options: StringOptions = {}): Checker<string> => {
  const { pattern, format, min = 0, max = Infinity } = options;
  const like = pattern === undefined ? undefined : new RegExp(pattern, "u");
  return checker((value, path) => {
    if (typeof value !== "string") return fail(path, "a string");
    if (min || max < Infinity) {
      const length = [...value].length;
      if (length < min || length > max) fail(path, `a string of ${min} to ${max} characters`);
    }
    if (like && !like.test(value)) fail(path, `a string like ${pattern}`);
    if (format !== undefined && !holds(format, value)) fail(path, `an ${format} in a string`);
    if (format === "date-time" && !isTime(value)) fail(path, "a time like 2006-01-02T15:04:05Z");
    return value;
  }, "");
};

/** A whole number; without bounds, one that JavaScript holds exactly. */
export const integer = (
  min: number = Number.MIN_SAFE_INTEGER,
  max: number = Number.MAX_SAFE_INTEGER,
): Checker<number> =>
  checker(
    (value, path) =>
      Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max
        ? (value as number)
        : fail(path, `an integer from ${min} to ${max}`),
    0,
  );

export const number = (min: number = -Infinity, max: number = Infinity): Checker<number> =>
  checker(
    (value, path) =>
      Number.isFinite(value) && (value as number) >= min && (value as number) <= max
        ? (value as number)
        : fail(path, min > -Infinity || max < Infinity ? `a number from ${min} to ${max}` : "a number"),
    0,
  );

export const boolean = (): Checker<boolean> =>
  checker((value, path) => (typeof value === "boolean" ? value : fail(path, "true or false")), false);

/** Nothing at all, whatever came. */
export const nothing = (): Checker<void> => checker(() => undefined);

/** Raw bytes; in a place where the other side cannot send them raw, base64. */
export const bytes = (min = 0, max: number = Infinity): Checker<Uint8Array> =>
  checker((value, path) => {
    let b: unknown = value;
    if (typeof value === "string") {
      try {
        b = fromBase64(value);
      } catch {
        // said below
      }
    }
    return b instanceof Uint8Array && b.length >= min && b.length <= max
      ? b
      : fail(path, max < Infinity ? `${min} to ${max} bytes` : "bytes");
  }, new Uint8Array());

/** Bytes within JSON, where they are base64. */
export const base64: typeof bytes = bytes;

export const array = <T>(of: Checker<T>, min = 0, max: number = Infinity): Checker<T[]> =>
  checker(
    (value, path) =>
      Array.isArray(value) && value.length >= min && value.length <= max
        ? value.map((v, i) => of(v, withPath(path, i)))
        : fail(path, min || max < Infinity ? `an array of ${min} to ${max}` : "an array"),
    [],
  );

/** An array of fixed length, each element with a checker of its own. */
export const tuple = <T extends readonly unknown[]>(...of: { readonly [K in keyof T]: Checker<T[K]> }): Checker<T> =>
  checker((value, path) =>
    Array.isArray(value) && value.length === of.length
      ? (of.map((check, i) => check(value[i], withPath(path, i))) as unknown as T)
      : fail(path, `an array of ${of.length}`),
  );

/** An object of any names, but those that would reach an object's prototype. */
export const record = <T>(of: Checker<T>, names?: Checker<string>): Checker<Record<string, T>> =>
  checker((value, path) => {
    if (!isObject(value)) return fail(path, "an object");
    const result: Record<string, T> = {};
    for (const name of Object.keys(value)) {
      const at = withPath(path, name);
      if (forbidden(name)) fail(at, "under another name");
      names?.(name, at);
      result[name] = of(value[name], at);
    }
    return result;
  }, {});

/** What object makes of a table of checkers: members whose checker is optional() may be missing. */
export type Members<M> = {
  [K in keyof M as M[K] extends Optional<unknown> ? never : K]: Checked<M[K]>;
} & {
  [K in keyof M as M[K] extends Optional<unknown> ? K : never]?: Checked<M[K]>;
};

/** An object with the members declared. Others are left out of the result. */
export const object = <M extends Record<string, Checker<unknown>>>(members: M): Checker<Members<M>> => {
  const list = new Map<string, Checker<unknown>>(Object.entries(members));
  for (const name of list.keys()) if (forbidden(name)) throw new Error(`a member cannot be named ${name}`);
  return checker(
    (value, path) => {
      if (!isObject(value)) return fail(path, "an object");
      const result: Record<string, unknown> = {};
      for (const [name, check] of list) {
        if (Object.hasOwn(value, name)) result[name] = check(value[name], withPath(path, name));
        else if (check.filled) result[name] = check.zero;
        else if (!check.optional) fail(withPath(path, name), "there");
      }
      return result as Members<M>;
    },
    {},
    list,
  );
};

export interface Optional<T> extends Checker<T> {
  readonly optional: true;
}

/** A member of an object that may be missing. */
export const optional = <T>(of: Checker<T>): Optional<T> =>
  Object.assign(
    checker<T>((value, path) => of(value, path), of.zero, of.members),
    { optional: true as const },
  );

/** A member of an object that may be missing, and is zero then: of the bytes of a pair. */
export const filled = <T>(of: Checker<T>): Checker<T> =>
  Object.assign(
    checker<T>((value, path) => of(value, path), of.zero, of.members),
    { filled: true as const },
  );

export const nullable = <T>(of: Checker<T>): Checker<T | null> =>
  checker((value, path) => (value === null ? null : of(value, path)), null, of.members);

/** One of these strings, numbers, booleans or null. */
export const literal = <const T extends readonly (string | number | boolean | null)[]>(...of: T): Checker<T[number]> =>
  checker((value, path) =>
    of.includes(value as T[number]) ? (value as T[number]) : fail(path, `one of ${of.join(", ")}`),
  );

/** What the first of these checkers takes that takes it. */
export const union = <T extends readonly unknown[]>(
  ...of: { readonly [K in keyof T]: Checker<T[K]> }
): Checker<T[number]> =>
  checker((value, path) => {
    let last: unknown;
    for (const check of of) {
      try {
        return check(value, path);
      } catch (error) {
        last = error;
      }
    }
    throw last;
  });

/** A checker that is made when first needed: for types that hold themselves. */
export const lazy = <T>(of: () => Checker<T>): Checker<T> => {
  let check: Checker<T> | undefined;
  return checker((value, path) => {
    check ??= of();
    return check(value, path);
  });
};

/** Anything that JSON can hold, or bytes, but names that would reach an object's prototype. */
export const unknown = (): Checker<unknown> => anything;

const anything: Checker<unknown> = checker((value, path) => {
  if (Array.isArray(value)) for (const [i, v] of value.entries()) anything(v, withPath(path, i));
  else if (isObject(value)) {
    for (const [name, v] of Object.entries(value)) {
      if (forbidden(name)) fail(withPath(path, name), "under another name");
      anything(v, withPath(path, name));
    }
  }
  return value;
});
