// What belongs to the session itself: a message whose first byte is 0, which begins no frame, and whose second says what
// it does. See spec/session.md.

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

/** The error for what the other side must not do. */
export const broken = (what: string): Error => new Error(`session: the other side broke the protocol: ${what}`);

/** Tells a message of the session, of one kind if that is given, from one of the layer above. */
export const isControl = (message: Uint8Array, op?: number): boolean =>
  message[0] === 0 && (op === undefined || message[1] === op);

const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/** Makes a control message. */
export const control = (op: number, body: object): Uint8Array => Uint8Array.of(0, op, ...encode(JSON.stringify(body)));

/** Reads a control message, which must be of the kind given. */
export function read(message: Uint8Array, op: number): Said {
  try {
    if (isControl(message, op) && message.length <= maxControl) {
      return Object(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(message.subarray(2))));
    }
  } catch {}
  throw broken(`${message.length} bytes that begin with ${message.subarray(0, 9)} are no op ${op}`);
}

/** The head of an ack. */
export function head(received: number): Uint8Array {
  const bytes: number[] = [0, ACK];
  for (; received > 127; received = Math.floor(received / 128)) bytes.push((received % 128) + 128);
  return Uint8Array.of(...bytes, received);
}

/** Takes the head of an ack off a message. What is left may be a message of the layer above; an ack alone has none. */
export function split(message: Uint8Array): [received: number, data: Uint8Array] {
  if (isControl(message, ACK)) {
    let n = 0;
    for (let i = 2, scale = 1; i < 10; i++, scale *= 128) {
      const byte = message[i];
      if (byte === undefined || (byte === 0 && i > 2)) break; // cut short, or not in its shortest form
      n += (byte & 127) * scale;
      if (byte < 128) return [n, message.subarray(i + 1)];
    }
  }
  throw broken(`${message.subarray(0, 9)} is no ack`);
}

/** Makes the key of proofs from a session's secret. */
export const importKey = (secret: string): Promise<CryptoKey> =>
  crypto.subtle.importKey("raw", encode(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);

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
  const text = encode(`chum.1 ${side}\n${id}\n${attempt}\n${received}`);
  const mac = await crypto.subtle.sign("HMAC", await key, text);
  return Array.from(new Uint8Array(mac), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
