import type { Conn, Receiver, Resumer } from "./conn.ts";
import {
  ack,
  CLOSE,
  control,
  importKey,
  isControl,
  OPEN,
  OPENED,
  prove,
  REFUSED,
  RESUME,
  RESUMED,
  read,
  split,
  VERSION,
} from "./control.ts";
import { retrying, type Waiting } from "./redial.ts";

/** What has become of the connection beneath: connected once, then waiting and resumed in turns, at last over. */
export type State =
  | { phase: "connected" }
  | Waiting
  /** A new connection stands and nothing was lost. */
  | { phase: "resumed" }
  /** There is no session any more. Without an error the end was in order. */
  | { phase: "over"; error: Error | undefined };

/** What a session may be told. */
export interface SessionOptions {
  /** Milliseconds to wait for a new connection. Unset: 60,000. The shorter one of both sides' holds. */
  readonly grace?: number;
  /**
   * Bytes that are held for the other side to acknowledge before `buffered` tells more than lies in the connection.
   * With twice as many the session ends. Unset: 32 MiB.
   */
  readonly buffer?: number;
  /** Is told of each change of state. Unset: nobody is. */
  readonly onState?: (state: State) => void;
}

/** Makes a connection. It must reject when the signal ends it. */
export type Dial = (signal: AbortSignal) => Promise<Conn>;

const ackCount = 256; // messages that may have come before they are acknowledged in a message of its own
const ackBytes = 256 << 10;
const ackTime = 1_000; // ms
const rideBytes = 4 << 10; // a longer message would cost more to copy than an ack's own message
const longestWait = 3_000; // ms between two tries
const longestReopen = 30_000; // the same once the session is lost: the server may be gone for long
const longestGrace = 1 << 20; // s
const messageCost = 128; // bytes that a kept message costs beside its own
const vainLimit = 3; // connections in a row that were given up on which the other side took nothing

// What the program does there must not harm us, so it is called from nowhere.
const telling =
  ({ onState }: SessionOptions) =>
  (state: State): void =>
    queueMicrotask(() => onState?.(state));

const isCount = (n: unknown, least: number, most: number): n is number =>
  Number.isSafeInteger(n) && (n as number) >= least && (n as number) <= most;

/**
 * Opens a session on a connection that `dial` makes, and calls `dial` again whenever that is cut. The signal bounds
 * the first connecting and has no effect later. If the other side keeps no sessions, or the page has no WebCrypto to
 * prove with that it is the same (it was not loaded over https), the Conn ends with its connection.
 */
export async function openSession(
  dial: Dial,
  signal: AbortSignal,
  options: SessionOptions = {},
): Promise<Conn & Partial<Resumer>> {
  const first = await dial(signal);
  if (!globalThis.crypto?.subtle) return first;

  const limit = options.buffer ?? 32 << 20;
  const life = new AbortController(); // ends redialing
  let to: Receiver | undefined;
  const { promise: started, resolve: start } = Promise.withResolvers<Receiver>();
  let link: Conn | undefined = first; // undefined while there is no connection, and after the end
  let born = performance.now();
  let fresh = true; // the answer to the opening is not here yet
  let counting = true; // there is a session
  let over = false;

  let id = "";
  let key: Promise<CryptoKey>;
  let grace = options.grace ?? 60_000;
  let tries = 0;

  const kept: Uint8Array[] = []; // sent, not acknowledged
  let bytes = 0; // what they cost
  let acked = 0; // messages that the other side has
  let received = 0;
  let reported = 0; // of those, acknowledged
  let unacked = 0; // bytes that came since
  let ackTimer: ReturnType<typeof setTimeout> | undefined;
  let vain = 0;
  let ackedThen = 0; // acked and received when the connection came
  let receivedThen = 0;

  const tell = telling(options);
  const retry = retrying(longestWait, tell);

  const end = (error?: Error): void => {
    if (over) return;
    over = true;
    link?.close();
    link = undefined;
    kept.length = bytes = 0;
    clearTimeout(ackTimer);
    life.abort();
    tell({ phase: "over", error });
    started.then((to) => to.closed(error));
  };

  /** Goes on as if there were no session: the end of the connection is the end. */
  const without = (): void => {
    counting = false;
    kept.length = bytes = 0;
  };

  const acking = (...data: Uint8Array[]): void => {
    reported = received;
    unacked = 0;
    link?.send(ack(received, ...data));
  };

  const ackNow = (): void => {
    clearTimeout(ackTimer);
    ackTimer = undefined;
    if (received > reported) acking();
  };

  const transmit = (message: Uint8Array): void => {
    if (isControl(message) || (received > reported && message.length < rideBytes)) acking(message);
    else link?.send(message);
  };

  const broken = (why: unknown): void =>
    end(new Error(`session: the other side broke the protocol: ${(why as Error).message}`));

  /** Lets go of what the other side has; throws if it cannot have that. */
  const acknowledged = (count: unknown): void => {
    if (!isCount(count, acked, acked + kept.length)) {
      throw new Error(`it has ${count} messages, after ${acked}; ${acked + kept.length} were sent`);
    }
    for (const message of kept.splice(0, count - acked)) bytes -= message.length + messageCost;
    acked = count;
  };

  /** Takes a message in. */
  const take = (message: Uint8Array): void => {
    try {
      if (fresh) {
        fresh = false;
        if (isControl(message, OPENED)) return opened(message);
        without(); // the other side knows nothing of sessions
      }
      if (isControl(message)) {
        if (isControl(message, CLOSE)) return end();
        const [count, data] = split(message);
        acknowledged(count);
        if (data.length === 0) return;
        message = data;
      }
    } catch (error) {
      return broken(error);
    }
    received++;
    if (counting) {
      unacked += message.length;
      if (received - reported >= ackCount || unacked >= ackBytes) ackNow();
      else ackTimer ??= setTimeout(ackNow, ackTime);
    }
    to?.message(message);
  };

  const opened = (message: Uint8Array): void => {
    const said = read(message, OPENED);
    if (!said.id) return without();
    const { secret, grace: theirs } = said;
    if (typeof said.id !== "string" || typeof secret !== "string" || !secret || !isCount(theirs, 0, longestGrace)) {
      throw new Error("it opened without a secret, or for too long");
    }
    id = said.id;
    grace = Math.min(grace, theirs * 1000);
    key = importKey(secret);
  };

  /** The connection is gone. */
  const cut = (why = new Error("session: the connection was closed")): void => {
    if (fresh || !counting) return end(why);
    link?.close();
    link = undefined;
    // At once, unless the last connection brought nothing: whatever cuts it may do so again and again.
    const better = acked > ackedThen || received > receivedThen;
    retry(resume, life.signal, { error: why, within: grace, better }).catch((error) =>
      end(new Error(`session: lost: no connection within ${grace / 1000} s: ${error.message}`)),
    );
  };

  /** Connects and resumes; throws if another try may bring more. */
  const resume = async (signal: AbortSignal): Promise<void> => {
    const conn = await dial(signal);
    const attempt = ++tries;
    const early: Uint8Array[] = []; // the answer, and what came behind it while its proof was checked
    const answered = Promise.withResolvers<void>();
    let gone: Error | undefined;
    // At the end of the try, whichever it is: then this is the session's connection, or nobody's.
    const giveUp = (): void => {
      if (link !== conn) conn.close();
    };
    signal.addEventListener("abort", giveUp);
    const proof = await prove(key, "resume", id, attempt, received);
    signal.throwIfAborted();
    conn.start({
      message(message) {
        if (link === conn) return take(message);
        early.push(message);
        answered.resolve();
      },
      closed(error) {
        if (link === conn) return cut(error);
        gone = error ?? new Error("session: the connection was closed");
        answered.reject(gone);
      },
    });
    conn.send(control(RESUME, { id, try: attempt, received, proof }));
    await answered.promise;
    const answer = early.shift()!;
    if (isControl(answer, REFUSED)) {
      return end(new Error(`session: lost: the server refused to resume it: ${read(answer, REFUSED).reason}`));
    }
    const { received: has, proof: theirs } = read(answer, RESUMED);
    if (theirs !== (await prove(key, "resumed", id, attempt, has))) {
      throw new Error("session: who answers does not know the secret");
    }
    if (gone) throw gone;
    signal.throwIfAborted();
    attach(conn, has);
    for (const message of early) if (link === conn) take(message);
  };

  /** Goes on with a connection whose other side has so many messages. */
  const attach = (conn: Conn, has: unknown): void => {
    const before = acked;
    try {
      acknowledged(has);
    } catch (error) {
      return broken(error);
    }
    if (acked > before) vain = 0;
    link = conn;
    born = performance.now();
    reported = received; // the resume said so
    unacked = 0;
    ackedThen = acked;
    receivedThen = received;
    tell({ phase: "resumed" });
    for (const message of kept) transmit(message);
  };

  tell({ phase: "connected" });
  first.send(control(OPEN, { version: VERSION }));
  return {
    start(receiver) {
      to = receiver;
      start(receiver);
      first.start({
        message: (message) => link === first && take(message),
        closed: (error) => link === first && cut(error),
      });
    },

    send(message) {
      if (over) return;
      if (!counting) return link?.send(message);
      kept.push(message);
      bytes += message.length + messageCost;
      if (link) transmit(message);
      // Whoever heeds `buffered` does not come here.
      if (bytes > 2 * limit) end(new Error(`session: the other side acknowledged nothing of ${bytes} bytes`));
    },

    get buffered() {
      return link ? link.buffered + Math.max(0, bytes - limit) : bytes;
    },

    close() {
      if (counting) link?.send(Uint8Array.of(0, CLOSE));
      end();
    },

    renew(age, why) {
      if (over || fresh || !counting) return false;
      if (!link || performance.now() - born < age) return true;
      const nothing = acked === ackedThen && (kept.length > 0 || received === receivedThen);
      vain = nothing ? vain + 1 : 0;
      if (vain >= vainLimit) return false;
      cut(why);
      return true;
    },
  };
}

/**
 * Makes what opens a new session where one was lost for good: the server was started anew, or was away for too long.
 * It tries at once and then with growing waits, without end, and rejects only when the signal ends it.
 */
export function reopening(dial: Dial, options: SessionOptions = {}): Dial {
  const retry = retrying(longestReopen, telling(options));
  return (signal) => retry((signal) => openSession(dial, signal, options), signal);
}
