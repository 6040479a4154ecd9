import { createHmac } from "node:crypto";
import type { Conn, Receiver, Resumer } from "../src/conn.ts";

/** The text of a control message. */
export const text = (message: Uint8Array): string => new TextDecoder().decode(message.subarray(2));

/** Makes a control message. */
export const control = (op: number, body: object): Uint8Array =>
  Uint8Array.of(0, op, ...new TextEncoder().encode(JSON.stringify(body)));

/** Makes the head of an ack. */
export function ackHead(count: number): number[] {
  const head = [0, 6];
  for (; count >= 128; count = Math.floor(count / 128)) head.push(128 | (count % 128));
  return [...head, count];
}

/** Reads an ack: the count, and what stands behind it. */
export function readAck(message: Uint8Array): [count: number, data: Uint8Array] {
  let count = 0;
  let i = 2;
  for (let scale = 1; ; scale *= 128) {
    const byte = message[i++] ?? 0;
    count += (byte % 128) * scale;
    if (byte < 128) return [count, message.subarray(i)];
  }
}

export const proofOf = (secret: string, side: string, id: string, attempt: number, received: number): string =>
  createHmac("sha256", secret).update(`chum.1 ${side}\n${id}\n${attempt}\n${received}`).digest("hex");

/**
 * The server's side of spec/session.md, as plain as it can be: it acknowledges with each message it sends, and after
 * each tenth that came. Written from the specification, not from our client.
 */
export class SessionServer {
  readonly sessions: Map<string, ServerSession> = new Map();

  /** Serves a connection. `onSession` is given each new session. */
  accept(conn: Conn, onSession: (session: ServerSession) => void): void {
    let session: ServerSession | undefined;
    conn.start({
      message: (message) => {
        if (session) return session.take(conn, message);
        if (message[0] === 0 && message[1] === 1) {
          const id = `s${this.sessions.size}`;
          session = new ServerSession(id, `secret of ${id}`);
          this.sessions.set(id, session);
          conn.send(control(2, { id, secret: session.secret, grace: 60 }));
          session.attach(conn, 0);
          onSession(session);
        } else if (message[0] === 0 && message[1] === 3) {
          const said = JSON.parse(text(message));
          session = this.sessions.get(said.id);
          if (!session?.resume(conn, said)) {
            conn.send(control(5, { reason: "unknown" }));
            conn.close();
          }
        } else throw new Error(`a connection began with ${message.subarray(0, 9)}`);
      },
      closed: () => session?.lose(conn),
    });
  }
}

/** A session on the server's side. It is a Conn for what stands above. */
export class ServerSession implements Resumer {
  readonly id: string;
  readonly secret: string;
  #to: Receiver | undefined;
  #link: Conn | undefined;
  #try = 0;
  #received = 0;
  #acked = 0;
  #kept: Uint8Array[] = [];

  constructor(id: string, secret: string) {
    this.id = id;
    this.secret = secret;
  }

  get buffered(): number {
    return this.#kept.length;
  }

  get linked(): boolean {
    return this.#link !== undefined;
  }

  start(to: Receiver): void {
    this.#to = to;
  }

  send(message: Uint8Array): void {
    this.#kept.push(message);
    this.#transmit(message);
  }

  close(): void {
    this.#link?.send(Uint8Array.of(0, 7));
    this.#link?.close();
    this.#link = undefined;
  }

  renew(): boolean {
    this.#link?.close();
    this.#link = undefined;
    return true;
  }

  #transmit(message: Uint8Array): void {
    this.#link?.send(Uint8Array.of(...ackHead(this.#received), ...message));
  }

  #release(count: number): void {
    if (count < this.#acked || count > this.#acked + this.#kept.length) throw new Error(`acknowledges ${count}`);
    this.#kept.splice(0, count - this.#acked);
    this.#acked = count;
  }

  /** Goes on with a connection whose other side has so many messages. */
  attach(conn: Conn, has: number): void {
    this.#release(has);
    this.#link = conn;
    for (const message of this.#kept) this.#transmit(message);
  }

  resume(conn: Conn, said: { try: number; received: number; proof: string }): boolean {
    if (said.try <= this.#try) return false;
    if (said.proof !== proofOf(this.secret, "resume", this.id, said.try, said.received)) return false;
    this.#try = said.try;
    this.#link?.close();
    const received = this.#received;
    conn.send(control(4, { received, proof: proofOf(this.secret, "resumed", this.id, said.try, received) }));
    this.attach(conn, said.received);
    return true;
  }

  take(conn: Conn, message: Uint8Array): void {
    if (conn !== this.#link) return;
    if (message[0] === 0 && message[1] === 7) {
      this.#link = undefined;
      this.#to?.closed();
      return;
    }
    let data = message;
    if (message[0] === 0) {
      if (message[1] !== 6) throw new Error(`control message ${message.subarray(0, 9)}`);
      let count: number;
      [count, data] = readAck(message);
      this.#release(count);
      if (data.length === 0) return;
    }
    if (++this.#received % 10 === 0) conn.send(Uint8Array.from(ackHead(this.#received)));
    this.#to?.message(data);
  }

  lose(conn: Conn): void {
    if (conn === this.#link) this.#link = undefined;
  }
}
