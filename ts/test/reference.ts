import { Ajv2020 } from "ajv/dist/2020.js";
import { fullFormats } from "ajv-formats/dist/formats.js";

/** JSON, as JSON.parse gives it. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** A JSON Schema, as far as schemas of methods have keywords. */
export interface Schema {
  $ref?: string;
  enum?: Json[];
  const?: Json;
  anyOf?: Schema[];
  type?: string | string[];
  minimum?: number;
  maximum?: number;
  format?: string;
  pattern?: string;
  minLength?: number;
  contentEncoding?: string;
  items?: Schema | boolean;
  prefixItems?: Schema[];
  minItems?: number;
  maxItems?: number;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | boolean;
  propertyNames?: Schema;
}

/** What rpc.methods tells, as far as it matters here. */
export interface Description {
  methods: { name: string; kind: string; result?: Type; out?: Type }[];
  $defs: Record<string, Schema>;
}
export interface Type {
  form: string;
  schema?: Schema;
  raw?: string;
}

const BASE64 = /^([\w+/]{4})*([\w+/]{2}==|[\w+/]{3}=)?$/;

const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
ajv.removeKeyword("contentEncoding"); // or it would be a note for people
ajv.addKeyword({
  keyword: "contentEncoding",
  type: "string",
  validate: (_: string, text: string) => BASE64.test(text) && !text.includes("_"),
});
const { validate: isDateTime } = fullFormats["date-time"] as { validate(text: string): boolean };
// RFC 3339 has no zones without a colon, as ISO 8601 has.
ajv.addFormat("date-time", (text: string) => /(z|:\d\d)$/i.test(text) && isDateTime(text));
for (const name of ["float", "double", "email"]) ajv.addFormat(name, true);
for (const bits of [8n, 16n, 32n, 64n]) {
  const within = (low: bigint, high: bigint) => (text: string) =>
    /^-?\d+$/.test(text) && BigInt(text) >= low && BigInt(text) < high;
  ajv.addFormat(`int${bits}`, within(-(2n ** (bits - 1n)), 2n ** (bits - 1n)));
  ajv.addFormat(`uint${bits}`, within(0n, 2n ** bits));
}

/** The same schema, but that members which are not declared are refused. */
const closed = (schema: unknown): unknown => {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== "object" || schema === null) return schema;
  const all = Object.fromEntries(Object.entries(schema).map(([keyword, value]) => [keyword, closed(value)]));
  return "type" in all && "properties" in all ? { additionalProperties: false, ...all } : all;
};

/** What a schema says of values, by a judge who knows nothing of our checkers. */
export interface Reference {
  readonly schema: Schema;
  readonly raw: string | undefined;
  /** Takes it; members that are not declared do no harm. */
  takes(value: Json): boolean;
  /** Takes it, and there are none. */
  takesClosed(value: Json): boolean;
}

export const reference = ({ form, schema, raw }: Type, $defs: Record<string, Schema>): Reference => {
  const whole = { ...(form === "bytes" ? { type: "string", contentEncoding: "base64" } : schema), $defs };
  const open = ajv.compile<Json>(whole);
  const strict = ajv.compile<Json>(closed(whole) as object);
  return { schema: whole, raw, takes: (v) => open(v), takesClosed: (v) => strict(v) };
};
