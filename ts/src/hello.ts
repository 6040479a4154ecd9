import { parseJSON, writeJSON } from "./json.ts";
import { FIRST_WINDOW } from "./stream.ts";

const VERSION = 1;

/** What a side says of itself first. */
export interface Hello {
  agent: string;
  /** The hash of the methods that it serves. */
  schema: string;
  /** Calls of the other side that may be open, and of these, such as stream. */
  calls: number;
  streams: number;
  /** Bytes of the longest value that it takes. */
  value: number;
  /** The credit that each stream starts with. */
  window: number;
  /** It takes values in form json only. */
  plain: boolean;
}

/** What is assumed of the other side until its hello is here. */
export const usual: Hello = {
  agent: "",
  schema: "",
  calls: 1024,
  streams: 256,
  value: Infinity,
  window: 0,
  plain: false,
};

export const writeHello = (agent: string, calls: number, streams: number, value: number): string =>
  writeJSON({ version: VERSION, agent, limits: { calls, streams, value, window: FIRST_WINDOW } });

type Dict = Record<string, unknown>;

/** Reads a hello. It throws an Error that says what is wrong. */
export const readHello = (text: string): Hello => {
  const h = parseJSON(text) as Dict;
  const { version, agent = "", schema = "", limits = {}, json = false } = h;
  if (version !== VERSION) {
    throw new Error(`${agent} speaks version ${version} of the protocol, this side ${VERSION}: update the older`);
  }
  const limit = (name: string, most = Number.MAX_SAFE_INTEGER): number => {
    const n = (limits as Dict)[name] ?? 0;
    if (!Number.isSafeInteger(n) || (n as number) < 0 || (n as number) > most)
      throw new Error(`malformed hello: limit ${name}`);
    return n as number;
  };
  if (typeof agent !== "string" || typeof schema !== "string" || typeof json !== "boolean")
    throw new Error("malformed hello");
  return {
    agent: agent.slice(0, 128),
    schema,
    calls: limit("calls"),
    streams: limit("streams"),
    value: limit("value"),
    window: limit("window", 2 ** 40),
    plain: json,
  };
};
