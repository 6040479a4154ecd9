import type { Mux } from "./mux.ts";
import type { PeerOptions } from "./options.ts";
import { Peer } from "./peer.ts";
import { within } from "./redial.ts";
import { type Dial, openSession, reopening, type SessionOptions } from "./session.ts";
import { dial, type SocketMaker } from "./ws.ts";

/** What connect may be told: of the peer, of its session, and these. */
export interface ConnectOptions extends PeerOptions, SessionOptions {
  /** Milliseconds that the connecting may take. Unset: 30,000. */
  readonly connectTimeout?: number;
  /** Ends the connecting; later it has no effect. Unset: nothing does. */
  readonly signal?: AbortSignal;
  /** The peer ends with its connection, unless `redial` gives it another. Unset: it goes on over another. */
  readonly noResume?: boolean;
  /** The WebSocket to connect with: that of the npm package `ws`, say. Unset: the global one. */
  readonly WebSocket?: SocketMaker;
}

/**
 * Calls the server at `url` (ws, wss, http or https) and gives a peer that is ready: both sides have said hello. It
 * serves the other side from `services`; none serves nothing. Whoever calls this closes the peer.
 *
 * When the connection is cut, the peer makes another one by itself, and nothing is lost. When the server is gone, or was
 * started anew, the peer settles what was open and goes on with a new session as soon as there is a server again,
 * without end until it is closed.
 */
export async function connect(url: string | URL, services?: Mux, options: ConnectOptions = {}): Promise<Peer> {
  const { signal = new AbortController().signal, connectTimeout = 30_000, noResume } = options;
  const dialing: Dial = (signal) => dial(url, signal, options.WebSocket);
  return within(connectTimeout, signal, async (signal) => {
    const conn = await (noResume ? dialing(signal) : openSession(dialing, signal, options));
    const peer = new Peer(conn, services, noResume ? options : { redial: reopening(dialing, options), ...options });
    let ready = false;
    signal.addEventListener("abort", () => ready || peer.close());
    await peer.ready;
    ready = true;
    return peer;
  });
}
