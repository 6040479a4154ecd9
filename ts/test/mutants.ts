import type { Json, Schema } from "./reference.ts";

/** Names that reach an object's prototype where somebody merges members into another object. */
export const prototypeNames = ["__proto__", "constructor", "prototype"];

const own = (object: object, name: string, value: Json): void => {
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
};

/** Makes values, of schemas and of others, as a random source has it. */
export class Mutants {
  readonly #next: () => number;

  constructor(next: () => number) {
    this.#next = next;
  }

  chance(p: number): boolean {
    return this.#next() < p;
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#next() * list.length)] as T;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => Math.floor(this.#next() * 256));
  }

  /** A value that the schema takes. */
  sample(schema: Schema | boolean, $defs: Record<string, Schema>, depth = 0): Json {
    const of = (s: Schema | boolean): Json => this.sample(s, $defs, depth + 1);
    if (typeof schema === "boolean") return this.pick(strange);
    if (schema.$ref) return this.sample($defs[schema.$ref.replace("#/$defs/", "")]!, $defs, depth);
    if (schema.enum) return this.pick(schema.enum);
    if (schema.const !== undefined) return schema.const;
    if (schema.anyOf) return of(depth > 4 ? schema.anyOf.at(-1)! : this.pick(schema.anyOf));
    const type = Array.isArray(schema.type) ? this.pick(schema.type) : schema.type;
    switch (type) {
      case "null":
        return null;
      case "boolean":
        return this.chance(0.5);
      case "integer":
        return this.#number(schema, true);
      case "number":
        return this.#number(schema, false);
      case "string":
        return this.#text(schema);
      case "array": {
        if (schema.prefixItems) return schema.prefixItems.map(of);
        const { minItems = 0, maxItems = 3 } = schema;
        const length = depth > 4 ? minItems : minItems + Math.floor(this.#next() * (maxItems - minItems + 1));
        return Array.from({ length }, () => of(schema.items ?? true));
      }
      case "object":
        return this.#object(schema, of, depth);
    }
    return this.pick(strange);
  }

  #number({ minimum = -1e6, maximum = 1e6 }: Schema, whole: boolean): number {
    if (this.chance(0.3)) return this.pick([minimum, maximum]);
    const n = minimum + this.#next() * (maximum - minimum);
    return whole ? Math.round(n) : n;
  }

  #text({ pattern, format, contentEncoding, minLength = 0 }: Schema): string {
    if (contentEncoding) return Buffer.from(this.bytes((minLength / 4) * 3 || this.pick([0, 1, 5]))).toString("base64");
    if (format === "date-time") {
      return this.pick(["2026-11-27T21:11:00.5+01:00", "2024-02-29T00:00:00Z", "0001-01-01T00:00:00Z"]);
    }
    const [, unsigned, bits] = /^(u?)int(\d+)$/.exec(format ?? "") ?? [];
    if (bits) {
      const n = 2n ** BigInt(bits);
      return String(this.pick(unsigned ? [0n, 7n, n - 1n] : [-n / 2n, 0n, n / 2n - 1n]));
    }
    const digits = /^\^\[0-9a-f\]\{(\d+)\}\$$/.exec(pattern ?? "")?.[1];
    if (digits) return Array.from({ length: Number(digits) }, () => this.pick([..."0123456789abcdef"])).join("");
    if (pattern) throw new Error(`no text like ${pattern} is known`);
    return this.pick(["a", "füchsin🦊", "x y"]);
  }

  #object(schema: Schema, of: (s: Schema | boolean) => Json, depth: number): Json {
    const object: Json = {};
    for (const [name, member] of Object.entries(schema.properties ?? {})) {
      const needed = schema.required?.includes(name);
      if (needed || (depth < 4 && this.chance(0.6))) object[name] = of(member);
    }
    const { additionalProperties: more, propertyNames } = schema;
    for (let n = more && depth < 4 ? this.pick([0, 1, 2]) : 0; n > 0; n--) {
      object[propertyNames ? (of(propertyNames) as string) : this.pick(["a", "", "b c", "toString"])] = of(more!);
    }
    return object;
  }

  /** The same value, but for one place. */
  mutate(value: Json): Json {
    if (typeof value !== "object" || value === null || this.chance(0.15)) return this.#other(value);
    const copy = JSON.parse(JSON.stringify(value)) as typeof value;
    if (this.chance(0.3)) {
      if (Array.isArray(copy)) this.#list(copy);
      else this.#members(copy);
      return copy;
    }
    const names = Object.keys(copy);
    if (names.length) {
      const name = this.pick(names);
      own(copy, name, this.mutate((copy as Record<string, Json>)[name]!));
    }
    return copy;
  }

  #other(value: Json): Json {
    if (this.chance(0.3)) return this.pick(strange);
    if (this.chance(0.3)) return this.pick(strange.filter((s) => typeof s === typeof value));
    if (typeof value === "number") {
      return this.pick([value + 1, value - 1, -value, value + 0.5, value * 2 ** 32, value - 2 ** 53, `${value}`]);
    }
    if (typeof value === "string") {
      const letters = [...value]; // a lone surrogate is no JSON at all
      const at = Math.floor(this.#next() * (letters.length + 1));
      const character = this.pick([..."0aG=-:9_"]);
      return this.pick([
        letters.toSpliced(at, 1).join(""),
        letters.toSpliced(at, 1, character).join(""),
        `${value}${character}`,
        value.toUpperCase(),
        [value],
      ]);
    }
    if (typeof value === "boolean") return Number(value);
    return [value];
  }

  #list(list: Json[]): void {
    const at = Math.floor(this.#next() * (list.length + 1));
    if (this.chance(0.5)) list.splice(at, 1);
    else list.splice(at, 0, this.chance(0.5) && list.length ? this.pick(list) : this.pick(strange));
  }

  #members(object: { [name: string]: Json }): void {
    const names = Object.keys(object);
    if (this.chance(0.5) && names.length) delete object[this.pick(names)];
    else own(object, this.pick([...prototypeNames, "__proto__", "more", "toString", ""]), this.pick(strange));
  }
}

const strange: readonly Json[] = [
  null,
  true,
  0,
  -1,
  0.5,
  255,
  256,
  65_536,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  -1e300,
  "",
  "0",
  "-0",
  "01",
  "18446744073709551616",
  "AP8",
  "AP8=",
  "2026-02-29T00:00:00Z",
  "2026-11-27T24:00:00Z",
  [],
  [[]],
  [1, 2, 3, 4],
  {},
  { name: 1 },
  JSON.parse('{"__proto__": {"admin": true}}'),
  JSON.parse('{"constructor": {"prototype": {"admin": true}}}'),
];
