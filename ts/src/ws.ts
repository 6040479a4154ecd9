import type { Conn, Receiver } from "./conn.ts";

/** What is needed of a WebSocket: a browser's, Node's own and those of the npm package `ws` have it. */
export interface Socket {
  binaryType: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  send(message: Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: string, listener: (event: SocketEvent) => void): void;
}

/** What a WebSocket's events may tell. */
export interface SocketEvent {
  readonly type: string;
  readonly data?: unknown;
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
}

/** Makes a WebSocket that connects: the global `WebSocket`, or that of the npm package `ws`. */
export type SocketMaker = new (url: string, protocols: string) => Socket;

/** The subprotocol that both sides name in the handshake. */
const subprotocol = "chum.1";

const maxMessage = 1 << 20; // bytes
const connecting = 0;
const open = 1;
const orderly: Set<number | undefined> = new Set([1000, 1001, 1005]); // normal, going away, no code

/**
 * Makes a Conn of a WebSocket that is open, or will be before anything is sent. It must be called before the first
 * message can come: for a server's socket, in the handler of its `connection`.
 */
export function websocket(socket: Socket): Conn {
  const { promise: started, resolve: start } = Promise.withResolvers<Receiver>(); // what comes before waits for it
  let over = false;
  let failure = "";

  // The end is told at once: a network that is gone would have it wait for the closing handshake.
  const end = (code?: number, error?: string): void => {
    if (over) return;
    over = true;
    started.then((to) => to.closed(error === undefined ? error : new Error(`websocket: ${error}`)));
    if (code) socket.close(code, error);
  };

  socket.binaryType = "arraybuffer";
  socket.addEventListener("message", ({ data }) => {
    if (over) return;
    // The RFC's codes for these, 1003 and 1009, a browser must not send.
    if (!(data instanceof ArrayBuffer)) end(4003, "a text message came");
    else if (data.byteLength > maxMessage) end(4009, "a message is too long");
    else started.then((to) => to.message(new Uint8Array(data)));
  });
  // Browsers do not tell what failed. Without a listener, `ws` would throw.
  socket.addEventListener("error", ({ message }) => {
    failure = message ?? "";
  });
  socket.addEventListener("close", ({ code, reason }) => {
    end(0, orderly.has(code) ? undefined : failure || reason || `closed with code ${code}`);
  });

  return {
    start,
    send(message) {
      if (!over && socket.readyState === open) socket.send(message as Uint8Array<ArrayBuffer>);
    },
    get buffered() {
      return socket.bufferedAmount;
    },
    close: () => end(1000),
  };
}

/**
 * Connects to a server. `url` begins with ws, wss, http or https. Rejects if that fails, or when the signal ends it;
 * afterwards the signal has no effect.
 */
export function dial(url: string | URL, signal: AbortSignal, make: SocketMaker = WebSocket): Promise<Conn> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const socket = new make(`${url}`.replace(/^http/, "ws"), subprotocol);
    const conn = websocket(socket);
    const failed = ({ message }: SocketEvent): void => {
      reject(new Error(`websocket: cannot connect${message ? `: ${message}` : ""}`));
    };
    socket.addEventListener("open", () => resolve(conn));
    socket.addEventListener("error", failed);
    socket.addEventListener("close", failed);
    signal.addEventListener("abort", () => {
      if (socket.readyState !== connecting) return;
      reject(signal.reason);
      conn.close();
    });
  });
}
