import { readFileSync } from "node:fs";

/** Reads a file of spec/vectors. */
export const vectors = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../../spec/vectors/${name}`, import.meta.url), "utf8")) as T;

export const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "hex"));

export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
