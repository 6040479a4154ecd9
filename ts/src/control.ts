// What belongs to the session itself: a message whose first byte is 0, which begins no frame, and whose second says what
// it does. See spec/session.md.

import { decodeText, parseJSON, writeJSON } from "./json.ts";
import { encodeText, joined, Reader } from "./wire.ts";

export const OPEN = 1; // client, the first message of a new session
export const OPENED = 2; // server's answer; without an id: no session, the connection goes on without
export const RESUME = 3; // client, the first message of a new connection
export const RESUMED = 4; // server's answer
export const REFUSED = 5; // server's other answer
const ACK = 6; // a count of messages received; then, perhaps, a message of the layer above
export const CLOSE = 7; // the orderly end

/** Of the protocol of sessions. */
export const VERSION = 1;

const maxControl = 4 << 10; // bytes, an ack's message aside

/** Members of control messages. Nothing is known of them yet. */
export interface Said {
  id?: unknown;
  secret?: unknown;
  grace?: unknown;
  received?: unknown;
  proof?: unknown;
  reason?: unknown;
}

/** Tells a message of the session, of one kind if that is given, from one of the layer above. */
export const isControl = (message: Uint8Array, op?: number): boolean =>
  message[0] === 0 && (op === undefined || message[1] === op);

/** Makes a control message. */
export const control = (op: number, body: object): Uint8Array => joined(0, op, writeJSON(body));

/** Reads a control message, which must be of the kind given. It throws an Error if it is not. */
export const read = (message: Uint8Array, op: number): Said => {
  if (!isControl(message, op) || message.length > maxControl)
    throw new Error(`no op ${op} but ${message.subarray(0, 9)}`);
  return Object(parseJSON(decodeText(message.subarray(2))));
};

/** Makes an ack, which data may follow. */
export const ack = (received: number, ...data: Uint8Array[]): Uint8Array => joined(0, ACK, received, ...data);

/** Takes the head of an ack off a message. What is left may be a message of the layer above; an ack alone has none. */
export const split = (message: Uint8Array): [received: number, data: Uint8Array] => {
  if (!isControl(message, ACK)) throw new Error(`no ack but ${message.subarray(0, 9)}`);
  const r = new Reader(message.subarray(2));
  return [r.u(), r.take()];
};

/** Makes the key of proofs from a session's secret. */
export const importKey = (secret: string): Promise<CryptoKey> =>
  crypto.subtle.importKey("raw", encodeText(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);

/**
 * Shows that a side knows the secret without saying it. Each proof holds for one try, so that none can be used again;
 * those of the two sides differ, so that neither can be sent back.
 */
export async function prove(
  key: Promise<CryptoKey>,
  side: "resume" | "resumed",
  id: string,
  attempt: number,
  received: unknown,
): Promise<string> {
  const text = encodeText(`chum.1 ${side}\n${id}\n${attempt}\n${received}`);
  const mac = await crypto.subtle.sign("HMAC", await key, text);
  return Array.from(new Uint8Array(mac), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
