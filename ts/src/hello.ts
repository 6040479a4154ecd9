import { decodeText, parseJSON, writeJSON } from "./json.ts";
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
  json: boolean;
}

/** What is assumed of the other side until its hello is here. */
export const usual: Hello = {
  agent: "",
  schema: "",
  calls: 1024,
  streams: 256,
  value: Infinity,
  window: 0,
  json: false,
};

export const writeHello = (agent: string, calls: number, streams: number, value: number): string =>
  writeJSON({ version: VERSION, agent, limits: { calls, streams, value, window: FIRST_WINDOW } });

/** Reads a hello. It throws an Error that says what is wrong. */
export const readHello = (payload: Uint8Array): Hello => {
  const {
    version,
    agent = "",
    schema = "",
    limits = {},
    json = false,
  } = parseJSON(decodeText(payload)) as Record<string, unknown>;
  if (version !== VERSION) throw new Error(`${agent} speaks version ${version} of the protocol, this side ${VERSION}`);
  const { calls = 0, streams = 0, value = 0, window = 0 } = limits as Record<string, unknown>;
  const hello = { calls, streams, value, window } as Hello;
  for (const [name, n] of Object.entries(hello)) {
    if (!Number.isSafeInteger(n) || n < 0 || hello.window > 2 ** 40) throw new Error(`a hello with ${name} ${n}`);
  }
  if (typeof agent !== "string" || typeof schema !== "string" || typeof json !== "boolean")
    throw new Error("a hello that is none");
  return { ...hello, agent: agent.slice(0, 128), schema, json };
};
