// What belongs to the session itself: a message whose first byte is 0, which begins no frame, and whose second is op.
// See spec/session.md.

/** What a control message does. */
export const op = {
  open: 1, // client, the first message of a new session
  opened: 2, // server's answer; without an id: no session, the connection goes on without
  resume: 3, // client, the first message of a new connection
  resumed: 4, // server's answer
  refused: 5, // server's other answer
  ack: 6, // a count of messages received; then, perhaps, a message of the layer above
  close: 7, // the orderly end
} as const;

/** Of the protocol of sessions. */
export const version = 1;

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
export const isControl = (message: Uint8Array, kind?: number): boolean =>
  message[0] === 0 && (kind === undefined || message[1] === kind);

/** Makes a control message. */
export function control(kind: number, body: object): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(body));
  const message = new Uint8Array(2 + text.length);
  message[1] = kind;
  message.set(text, 2);
  return message;
}

/** Reads a control message, which must be of the kind given. */
export function read(message: Uint8Array, kind: number): Said {
  if (!isControl(message, kind) || message.length > maxControl) {
    throw broken(`${message.length} bytes that begin with ${message.subarray(0, 2)} came in place of op ${kind}`);
  }
  try {
    return Object(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(message.subarray(2))));
  } catch {
    throw broken(`the text of op ${kind} is not JSON`);
  }
}

/** The head of an ack. */
export function head(received: number): Uint8Array {
  const bytes: number[] = [0, op.ack];
  for (; received > 127; received = Math.floor(received / 128)) bytes.push((received % 128) + 128);
  return Uint8Array.of(...bytes, received);
}

/** Takes the head of an ack off a message. What is left may be a message of the layer above; an ack alone has none. */
export function split(message: Uint8Array): [received: number, data: Uint8Array] {
  if (!isControl(message, op.ack)) throw broken(`op ${message[1]} where none may be`);
  let n = 0;
  for (let i = 2, scale = 1; i < 10; i++, scale *= 128) {
    const byte = message[i];
    if (byte === undefined) break;
    n += (byte & 127) * scale;
    if (byte === 0 && i > 2) break;
    if (byte < 128) return [n, message.subarray(i + 1)];
  }
  throw broken("an ack's count cannot be read");
}

/** Makes the key of proofs from a session's secret. */
export const importKey = (secret: string): Promise<CryptoKey> =>
  crypto.subtle.importKey("raw", new TextEncoder().encode(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);

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
  const text = new TextEncoder().encode(`chum.1 ${side}\n${id}\n${attempt}\n${received}`);
  const mac = new Uint8Array(await crypto.subtle.sign("HMAC", await key, text));
  return Array.from(mac, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
